"""How fast, how small, how frugal: this pipeline beside its bound and its peers, in one run, as tables in Markdown.

Run from the root: ``make bench``, or ``python benchmarks/speed.py --help``. From the demo's voices benchmarks/corpus.py
makes a corpus of clips like the real ones in ``.bench/``, once. Two tables are printed; docs/performance.md explains
them. What is compared runs in turns, in processes of its own, several times; the figures are medians. Their ratios
mean something on a busy machine, too; their absolute times do not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import corpus

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SLOW = {"ffmpeg": 10}  # taken with so many times fewer clips; its times are multiplied
LABELS = {
    "ours": "**`python -m pipeline waveforms`**",
    "decode": "soundfile alone: read and decode",
    "resample": "the same, and resample and round to 16 bits",
    "bound": "**the bare bound**: the same, and pack as pcm16 Parquet",
    "librosa": "loop over `librosa.load`, `DataFrame.to_parquet`",
    "ffmpeg": "one `ffmpeg` for each clip",
    "lhotse": "lhotse `to_shar`, FLAC",
    "datasets": "Hugging Face `datasets`, map and `to_parquet`",
    "torchcodec": "torchcodec in threads, pcm16 Parquet",
}
PEERS = ("librosa", "ffmpeg", "lhotse", "datasets", "torchcodec")


@dataclass(frozen=True)
class Took:
    """What one run took."""

    wall: float  # seconds
    cpu: float  # seconds of all processes together
    peak_mb: float  # of the process that had most


@dataclass(frozen=True)
class Growth:
    """What `subsample` and `waveforms` took together."""

    few: Took  # some clips, from nothing
    grown: Took  # from those to many
    nothing: Took  # as many, from nothing


@dataclass(frozen=True)
class Bar:
    """A figure, and what it may be at most."""

    figure: str
    value: float
    most: float
    unit: str = ""


class Bench:
    """Everything that is measured, with the same corpus, folder and number of processes."""

    def __init__(self, folder: Path, processes: int, rounds: int, peers: str) -> None:
        self.folder = folder
        self.processes = processes
        self.rounds = rounds
        self.peers = peers

    def compare(self, archive: Path, clips: int) -> dict[str, tuple[Took, float]]:
        """Return what each way to decode `clips` clips took, and the MB that it wrote."""
        project = self.project(archive, clips)
        mp3s = self.unpacked(archive, clips)
        self.stages(project, "download", "stratify", "subsample")
        runs: dict[str, list[tuple[Took, float]]] = {}
        missing: set[str] = set()
        for _ in range(self.rounds):
            for name in LABELS:
                if name == "ours":
                    shutil.rmtree(project / "data" / "waveforms", ignore_errors=True)
                    took = self.stages(project, "waveforms")
                    runs.setdefault(name, []).append((took, _megabytes(project / "data" / "waveforms")))
                elif name not in missing:
                    found = self.peer(name, mp3s, clips)
                    if found is None:
                        missing.add(name)
                    else:
                        runs.setdefault(name, []).append(found)
        return {name: (_median(took for took, _ in found), found[0][1]) for name, found in runs.items()}

    def peer(self, name: str, mp3s: Path, clips: int) -> tuple[Took, float] | None:
        """Run one peer; return None where it does not run here."""
        times = SLOW.get(name, 1) if clips >= 1000 else 1
        out = self.folder / "peer"
        python = self.peers if name in PEERS else sys.executable
        command = [python, HERE / "peers.py", name, mp3s, out, self.processes, clips // times]
        try:
            took = self.run(command, self.folder)
        except SystemExit as error:
            if name not in PEERS:
                raise
            _say(f"left out: {str(error).strip().splitlines()[-1]}")
            return None
        return Took(took.wall * times, took.cpu * times, took.peak_mb), _megabytes(out) * times

    def grow(self, archive: Path, few: int, many: int) -> Growth:
        """Measure growing from `few` to `many` clips, and `many` from nothing."""
        first, grown, nothing = [], [], []
        for _ in range(self.rounds):
            project = self.project(archive, few)
            self.stages(project, "download", "stratify")
            first.append(self.stages(project, "subsample", "waveforms"))
            corpus.make_project(project, archive, many)
            grown.append(self.stages(project, "subsample", "waveforms"))
            project = self.project(archive, many)
            self.stages(project, "download", "stratify")
            nothing.append(self.stages(project, "subsample", "waveforms"))
        return Growth(_median(first), _median(grown), _median(nothing))

    def memory(self, archive: Path, clips: int) -> Took:
        """Return what `clips` clips from nothing took."""
        project = self.project(archive, clips)
        self.stages(project, "download", "stratify")
        return self.stages(project, "subsample", "waveforms")

    def reading(self, archive: Path, clips: int, decoded: int) -> dict[str, Any]:
        """Return what reading `clips` clips took beside decoding `decoded` MP3s."""
        project = self.project(archive, clips)
        self.stages(project, "download", "stratify", "subsample", "waveforms")
        mp3s = self.unpacked(archive, decoded)
        command = [sys.executable, HERE / "reading.py", project / "data" / "waveforms", mp3s, decoded]
        found: dict[str, Any] = json.loads(subprocess.check_output(list(map(str, command))))
        return found

    def nothing_changed(self) -> float:
        """Return the median wall time of ``dvc repro`` on a copy of this project in which nothing changed."""
        copy = self.folder / "project"
        shutil.rmtree(copy, ignore_errors=True)
        names = ["pipeline", "configs", "dvc.yaml", "params.yaml", "pyproject.toml", ".dvcignore", ".gitignore"]
        for name in [*names, "data/demo", ".dvc/config"]:
            _copy(ROOT / name, copy / name)
        environment = _environment()
        subprocess.run(["git", "init", "--quiet"], cwd=copy, env=environment, check=True)
        dvc = [str(Path(sys.executable).with_name("dvc")), "repro", "--quiet"]
        times = []
        for _ in range(1 + self.rounds):
            begun = time.monotonic()
            subprocess.run(dvc, cwd=copy, env=environment, check=True, stdout=subprocess.DEVNULL)
            times.append(time.monotonic() - begun)
        return median(times[1:])

    def stages(self, project: Path, *names: str) -> Took:
        """Run stages of the pipeline, one after the other; return what they took together."""
        took = [self.run([sys.executable, "-m", "pipeline", name], project) for name in names]
        return Took(sum(t.wall for t in took), sum(t.cpu for t in took), max(t.peak_mb for t in took))

    def run(self, command: Iterable[object], folder: Path, checkout: Path = ROOT) -> Took:
        """Run a command in a folder, with the package of a checkout, and measure it."""
        result = self.folder.resolve() / "took.json"
        measured = [sys.executable, str(HERE / "measure.py"), str(result), *map(str, command)]
        environment = {**_environment(checkout), "PIPELINE_WORKERS": str(self.processes)}
        done = subprocess.run(measured, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(measured)}\nended with exit status {done.returncode}:\n{done.stderr}")
        return Took(**json.loads(result.read_text()))

    def project(self, archive: Path, clips: int) -> Path:
        """Return an empty pipeline that takes `clips` clips."""
        folder = self.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        return corpus.make_project(folder, archive, clips)

    def unpacked(self, archive: Path, clips: int) -> Path:
        """Return a folder with at least so many of the archive's MP3s, as peers take them."""
        folder = self.folder / "mp3"
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(archive) as opened:
            for name in [name for name in opened.namelist() if name.endswith(".mp3")][:clips]:
                path = folder / Path(name).name
                if not path.exists():
                    path.write_bytes(opened.read(name))
        return folder.resolve()


def bars_of_decoding(runs: dict[str, tuple[Took, float]]) -> list[Bar]:
    """Compare the pipeline with its bound and its peers."""
    ours, megabytes = runs["ours"]
    peers = [runs[name][0].wall for name in PEERS if name in runs]
    return [
        Bar("wall time against the bare bound", ours.wall / runs["bound"][0].wall, 1.15),
        Bar("processor time against soundfile alone", ours.cpu / runs["decode"][0].cpu, 1.6),
        Bar("wall time against the best installed peer", ours.wall / min(peers), 0.45),
        Bar("bytes, pcm16, against float32 Parquet as pandas writes it", megabytes / runs["librosa"][1], 0.30),
    ]


def bars_of_growing(few: int, growth: Growth, thousand: Took) -> list[Bar]:
    """Compare runs of several sizes."""
    return [
        Bar(f"peak memory of any process at {few} clips", growth.few.peak_mb, 400, " MB"),
        Bar(f"the same against {_THOUSAND} clips", growth.few.peak_mb / thousand.peak_mb, 1.1),
        Bar(f"growing {few} clips by a ninth, against all from nothing", growth.grown.wall / growth.nothing.wall, 0.2),
    ]


def bars_of_reading(found: dict[str, Any], clips: int) -> list[Bar]:
    """Compare reading with decoding."""
    middle, high = found["one_clip_ms"]
    return [
        Bar(f"iterating {clips} clips, against decoding", found["iterate_seconds"] / found["decode_seconds"], 0.2),
        Bar(f"one random clip of {clips}, median", middle, 20, " ms"),
        Bar("the same, 95th percentile", high, 20, " ms"),
    ]


_THOUSAND = 1000


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="corpus and scratch files")
    parser.add_argument("--clips", type=int, default=3000, help="clips of the comparison with peers")
    parser.add_argument("--many", type=int, default=9000, help="clips before growing by a ninth")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--peers", default=sys.executable, help="the Python that has lhotse, datasets, torchcodec")
    options = parser.parse_args()
    few, many = options.many, options.many * 10 // 9
    most = max(many, options.clips, _THOUSAND)
    _say(f"a corpus of {most} clips")
    archive = corpus.make(options.folder, most)
    bench = Bench(options.folder, options.processes, options.rounds, options.peers)
    _say("this pipeline, its bound and its peers, in turns")
    runs = bench.compare(archive, options.clips)
    print(_table_of_runs(runs, options.clips), flush=True)
    bars = bars_of_decoding(runs)
    _say("growing, in turns with starting from nothing")
    growth = bench.grow(archive, few, many)
    bars += bars_of_growing(few, growth, bench.memory(archive, _THOUSAND))
    _say("dvc repro with nothing changed")
    bars.append(Bar("`dvc repro` with nothing changed", bench.nothing_changed(), 1.5, " s"))
    _say("the reader")
    bars += bars_of_reading(bench.reading(archive, few, min(options.clips, _THOUSAND)), few)
    print(_table_of_bars(bars))
    print(f"\n{_machine()}; {options.processes} processes, medians of {options.rounds} runs in turns.")


def _table_of_runs(runs: dict[str, tuple[Took, float]], clips: int) -> str:
    lines = [
        f"| {clips} clips | wall, s | processor, s | peak of a process, MB | written, MB | wall against the bound |",
        "|---|---|---|---|---|---|",
    ]
    bound = runs["bound"][0].wall
    for name, label in LABELS.items():
        if name in runs:
            took, megabytes = runs[name]
            figures = f"{took.wall:.2f} | {took.cpu:.2f} | {took.peak_mb:.0f} | {megabytes:.0f}"
            note = f" (a {SLOW[name]}th of the clips)" if name in SLOW and clips >= 1000 else ""
            lines.append(f"| {label}{note} | {figures} | {took.wall / bound:.2f} |")
        else:
            lines.append(f"| {label} | does not run here | | | | |")
    return "\n".join(lines)


def _table_of_bars(bars: list[Bar]) -> str:
    lines = ["", "| figure | measured | at most | |", "|---|---|---|---|"]
    for bar in bars:
        verdict = "met" if bar.value <= bar.most else "**not met**"
        lines.append(f"| {bar.figure} | {bar.value:.3g}{bar.unit} | {bar.most:g}{bar.unit} | {verdict} |")
    return "\n".join(lines)


def _machine() -> str:
    cpus = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in cpus.splitlines() if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}"


def _median(runs: Iterable[Took]) -> Took:
    runs = list(runs)
    pick: Callable[[str], float] = lambda name: median(getattr(run, name) for run in runs)  # noqa: E731
    return Took(pick("wall"), pick("cpu"), pick("peak_mb"))


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _environment(checkout: Path = ROOT) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PYTHONPATH": str(checkout), "PATH": path}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)


def _say(what: str) -> None:
    print(f"# {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
