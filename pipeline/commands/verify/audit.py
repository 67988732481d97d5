"""verify: read everything that lies in a folder once, then compare what it says."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pipeline.commands.verify.consistency import contradictions
from pipeline.commands.verify.outputs import Outputs, Problem, files_of
from pipeline.commands.verify.recorded import SUMS, Lock, read_sums
from pipeline.commands.verify.shards import Examined, examine
from pipeline.core import schema
from pipeline.core.errors import PipelineError
from pipeline.core.progress import progress
from pipeline.core.terminal import amount, printable


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes
    ----------
    problems
        In the order of the paths; none where everything is whole and consistent.
    files, size_bytes
        How much was read.
    unguarded
        Files that nothing has a checksum of, or folders of nothing else: of these only what they say was compared.
    missing
        Outputs that dvc.lock records and that are not there: nobody has to pull all of them.
    has_data
        Whether anything was read but the metrics of the report, which git brings along.
    """

    problems: tuple[Problem, ...]
    files: int
    size_bytes: int
    unguarded: tuple[Path, ...]
    missing: tuple[Path, ...]
    has_data: bool


@dataclass(frozen=True)
class _Read:
    """What reading one file gave: the digests that something is there to compare with, and a shard that is whole."""

    digests: Mapping[str, str] = field(default_factory=dict)
    shard: Examined | None = None
    problem: Problem | None = None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="default: this project")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield a line for each problem, or that there is none; PipelineError where there are some."""
    verdict = verify(options.folder)
    yield from (printable(str(problem)) for problem in verdict.problems)
    for names, what in (
        (verdict.unguarded, "no dvc.lock or SHA256SUMS here has a checksum of {}: only the content was compared"),
        (verdict.missing, "not here, though dvc.lock records it: {} (dvc pull gets it, or dvc repro makes it)"),
    ):
        if names:
            print(f"verify: {what.format(', '.join(map(str, names)))}", file=sys.stderr)
    read = f"{amount(verdict.files, 'file')}, {verdict.size_bytes / 1e6:.1f} MB"
    if verdict.problems:
        raise PipelineError(f"{amount(len(verdict.problems), 'problem')} in {read}")
    yield f"verify: {f'{read}, whole and consistent' if verdict.has_data else 'no data is here, only metrics.json'}"


def verify(folder: Path) -> Verdict:
    """Verify whatever outputs of the pipeline lie in `folder`.

    Every byte is read: shards against their seals, files against the MD5 that the project's dvc.lock records and the
    SHA-256 that a published folder lists, as far as there are such. Every row is compared with the rows of the same
    clip in the other outputs.

    Raises
    ------
    ParameterError
        It is no folder.
    """
    outputs = Outputs.found(folder)
    lock = Lock.above(folder)
    sums, problems = read_sums(folder)
    recorded = lock.files() if lock else set()
    shards = {path: output for output, _ in outputs.folders() for path in outputs.shards(output)}
    files = sorted({*outputs.files(), *sums, *recorded})
    if not files:
        problems.append(Problem(folder, "has no output of the pipeline; make them with: dvc repro, or: dvc pull"))
    read = _read_all(files, shards, {"md5": recorded, "sha256": set(sums)})
    unlisted = {path for path, sha256 in sums.items() if read[path].digests.get("sha256", sha256) != sha256}
    problems += [Problem(path, f"is not what {SUMS} lists; download it again") for path in unlisted]
    problems += [each.problem for path, each in read.items() if each.problem and path not in unlisted]
    problems += contradictions(outputs, {path: read[path].shard for path in shards})
    if lock:
        md5s = {path: each.digests["md5"] for path, each in read.items() if "md5" in each.digests}
        problems += [*lock.problems, *lock.compare(md5s, {problem.path for problem in problems})]
    guarded = {*shards, *recorded, *sums}
    return Verdict(
        problems=tuple(sorted(set(problems))),
        files=len(files),
        size_bytes=sum(path.stat().st_size for path in files if path.exists()),
        unguarded=tuple(sorted({place for output in outputs.tables() for place in _unguarded(output, guarded)})),
        missing=lock.missing if lock else (),
        has_data=any(path.name != schema.METRICS.name for path in files),
    )


def _unguarded(output: Path, guarded: Collection[Path]) -> Iterator[Path]:
    """Yield, for each file of an output that is not guarded, the largest folder in which none is, or the file."""
    partly_guarded = {folder for file in guarded for folder in file.parents}
    for file in files_of(output):
        if file not in guarded:
            places = (place for place in (file, *file.parents) if place.is_relative_to(output))
            *_, largest = (place for place in places if place not in partly_guarded)
            yield largest


def _read_all(
    files: list[Path], shards: Mapping[Path, str], wanted: Mapping[str, Collection[Path]]
) -> dict[Path, _Read]:
    """Read all files, several at a time: hashing and decoding leave the interpreter to the others."""
    sizes = {path: path.stat().st_size for path in files}
    pool = ThreadPoolExecutor()
    try:
        with progress("verified", sum(sizes.values()), "B") as bar:
            running = {
                pool.submit(_read, path, shards.get(path), [name for name in wanted if path in wanted[name]]): path
                for path in sorted(files, key=lambda path: -sizes[path])
            }
            done: dict[Path, _Read] = {}
            for future in as_completed(running):
                done[running[future]] = future.result()
                bar.update(sizes[running[future]])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return done


def _read(path: Path, output: str | None, algorithms: list[str]) -> _Read:
    """Read one file. The disk gives it once: it lies in memory when it is read for the second time."""
    digests: dict[str, str] = {}
    shard, problem = None, None
    try:
        for name in algorithms:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
        if output is not None:
            shard = examine(path, output)
    except (PipelineError, OSError) as error:
        problem = Problem.of(path, error)
    return _Read(digests, shard, problem)
