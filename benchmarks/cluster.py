"""Two Dask workers beside two local processes and the bare bound: ``python benchmarks/cluster.py``, from the root.

The same clips (benchmarks/corpus.py), in turns, several rounds; a table of medians in Markdown on stdout. The workers
run before the clock does, as those of a cluster do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from statistics import median

import corpus
from distributed import LocalCluster
from speed import HERE, Bench

MOST = 1.15  # of the wall time of local processes


def main() -> None:
    """Measure, and say whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=corpus.ROOT / ".bench", help="corpus and scratch files")
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    bench = Bench(options.folder, options.processes, options.rounds, sys.executable)
    archive = corpus.make(options.folder, options.clips)
    project, mp3s = bench.project(archive, options.clips), bench.unpacked(archive, options.clips)
    bench.stages(project, "download", "stratify", "subsample")
    walls: dict[str, list[float]] = {"the bare bound": [], "local processes": [], "Dask workers": []}
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=options.processes,
        threads_per_worker=1,
        dashboard_address=None,
        host="127.0.0.1",
        silence_logs="critical",
    ) as cluster:
        executors = {"local processes": "local", "Dask workers": cluster.scheduler_address.replace("tcp://", "dask://")}
        for _ in range(options.rounds):
            out = options.folder / "peer"
            bound = [sys.executable, HERE / "peers.py", "bound", mp3s, out, options.processes, options.clips]
            walls["the bare bound"].append(bench.run(bound, options.folder).wall)
            for name, executor in executors.items():
                shutil.rmtree(project / "data/waveforms", ignore_errors=True)
                os.environ["PIPELINE_EXECUTOR"] = executor
                walls[name].append(bench.stages(project, "waveforms").wall)
    local = median(walls["local processes"])
    print(
        f"| {options.clips} clips, {options.processes} at a time | wall, s | against local processes |\n|---|---|---|"
    )
    for name, seconds in walls.items():
        print(f"| {name} | {median(seconds):.2f} | {median(seconds) / local:.2f} |")
    verdict = "met" if median(walls["Dask workers"]) <= MOST * local else "not met"
    print(f"\nBar: at most {MOST:g} of local processes: {verdict}.")


if __name__ == "__main__":
    main()
