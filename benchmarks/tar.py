"""What it costs to index a .tar.gz by one pass, and to read clips out of it, against ``gzip -dc``.

Run from the root: ``python benchmarks/tar.py``. It writes archives in ``.bench/`` with names and sizes of a release's
clips, and prints a table in Markdown. Every measurement is a process of its own, without its start and its imports;
those that are compared run in turns. The bytes of a clip are drawn so that gzip makes them smaller by a few per cent,
as it makes real MP3s.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import statistics
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd  # noqa: F401  Arrow imports it at its first use, which is not to be measured

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the package is not installed, it lies here

from pipeline.snapshot.archive import LocalFile, Member  # noqa: E402
from pipeline.snapshot.tar_snapshot import TarSnapshot, index_path, read_tar  # noqa: E402

CLIP_BYTES = 24_000
FOLDER = "cv-corpus-17.0-2024-03-15/en/clips"
ALPHABET = bytes(value % 208 for value in range(256))  # 7.63 bits a byte: gzip makes 30 real clips 4 % smaller
FEW = 100
RELEASE_CLIPS, RELEASE_BYTES = 2_500_000, 90e9


class Cost(NamedTuple):
    """What a process took."""

    wall: float
    cpu: float
    peak_mb: float


def make(path: Path, members: int, size_bytes: int) -> Path:
    """Make an archive of so many clips, unless it is there."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    dice = random.Random(2017)
    with subprocess.Popen(["gzip"], stdin=subprocess.PIPE, stdout=path.with_suffix(".tmp").open("wb")) as process:
        assert process.stdin is not None
        with tarfile.open(fileobj=process.stdin, mode="w|", format=tarfile.GNU_FORMAT) as archive:
            for number in range(members):
                info = tarfile.TarInfo(f"{FOLDER}/common_voice_en_{number:08}.mp3")
                info.size = size_bytes
                archive.addfile(info, io.BytesIO(dice.randbytes(size_bytes).translate(ALPHABET)))
        process.stdin.close()
    path.with_suffix(".tmp").replace(path)
    return path


def index(path: Path) -> None:
    """Make the pass."""
    index_path(path).unlink(missing_ok=True)
    read_tar(LocalFile(path), index_path(path))


def read(path: Path, count: int | None) -> None:
    """Read clips that are drawn, or all of them, as subsample does."""
    found = read_tar(LocalFile(path), index_path(path))
    places = list(range(found.members.num_rows))
    drawn = places if count is None else random.Random(7).sample(places, count)
    members = [Member(**row) for row in found.members.take(drawn).to_pylist()]
    snapshot = TarSnapshot(LocalFile(path), found.identity)
    try:
        snapshot.prefetch(members)
        for member in members:
            snapshot.read(member)
    finally:
        snapshot.close()


def measured(archive: Path, do: str) -> Cost:
    """Do something with an archive in a process of its own."""
    own = [sys.executable, str(Path(__file__).resolve()), "--archive", str(archive), "--do", do]
    done = subprocess.run(own, check=True, capture_output=True, cwd=archive.parent)
    return Cost(*json.loads(done.stdout))


def timed(archive: Path, do: str) -> Cost:
    """Do it in this process."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), (time.perf_counter(), time.process_time())
    if do == "gzip":
        subprocess.run(["gzip", "-dc", str(archive)], check=True, stdout=subprocess.DEVNULL)
    elif do == "index":
        index(archive)
    else:
        read(archive, FEW if do == "few" else None)
    wall, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu += children.ru_utime + children.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)


def median(costs: list[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(*(statistics.median(values) for values in zip(*costs, strict=True)))


def ratio(ones: list[Cost], others: list[Cost]) -> float:
    """Return the median ratio of wall times, of runs that followed each other."""
    return statistics.median(one.wall / other.wall for one, other in zip(ones, others, strict=True))


def report(folder: Path, members: int, entries: int, rounds: int) -> Iterator[str]:
    """Yield the lines of the table, and of what is calculated from it."""
    archive = make(folder / f"clips-{members}.tar.gz", members, CLIP_BYTES)
    names = {
        "gzip": "`gzip -dc`",
        "index": "index, one pass",
        "few": f"{FEW} clips after that",
        "all": "all clips after that",
    }
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        for do, each in costs.items():
            each.append(measured(archive, do))
    yield f"| {members:,} clips, {archive.stat().st_size / 1e9:.2f} GB | wall, s | processor, s | peak, MB |"
    yield "|---|---|---|---|"
    for do, each in costs.items():
        cost = median(each)
        memory = "" if do == "gzip" else f"{cost.peak_mb:.0f}"  # a child of a process that has Arrow in memory
        yield f"| {names[do]} | {cost.wall:.2f} | {cost.cpu:.2f} | {memory} |"
    bound, passes, few, every = costs.values()
    yield ""
    yield f"speed of the pass, of `gzip -dc`: {ratio(bound, passes):.2f} (at least 0.70)"
    yield f"{FEW} clips, of a pass: {ratio(few, passes):.3f} (at most 0.05)"
    yield f"all clips, of a pass: {ratio(every, passes):.2f} (at most 1)"
    small = make(folder / f"entries-{entries}.tar.gz", entries, 100)
    peak = measured(small, "index").peak_mb
    yield f"{entries:,} entries: {peak:.0f} MB (less than 700)"
    hours = median(passes).wall / archive.stat().st_size * RELEASE_BYTES / 3600
    yield f"{RELEASE_CLIPS:,} clips, {RELEASE_BYTES / 1e9:.0f} GB, by calculation: one pass takes {hours:.2f} hours"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=50_000)
    parser.add_argument("--entries", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--archive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--do", choices=["gzip", "index", "few", "all"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.do:
        print(json.dumps(timed(asked.archive, asked.do)))
    else:
        folder = ROOT / ".bench"
        for line in report(folder, asked.members, asked.entries, asked.rounds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
