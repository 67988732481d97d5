"""verify: read all that lies in a folder, and compare it with its seals and recorded checksums."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.clips.writer import ClipsSeal
from pipeline.commands.dvc_lock import writer
from pipeline.commands.verify.chain import check_chain
from pipeline.commands.verify.outputs import FOLDERS, FOLDERS_OF_SHARDS, Problem, files_of, find_outputs, shards_of
from pipeline.commands.verify.recorded import SUMS, Lock, read_sums
from pipeline.core import schema
from pipeline.core.errors import GET_AGAIN, MAKE_OR_GET, BusyError, PipelineError, ShardError
from pipeline.core.files import require_file
from pipeline.core.progress import progress
from pipeline.core.terminal import amount, printable
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard, TableSeal


@dataclass(frozen=True)
class Verdict:
    """The result: how much was read, and what is wrong with it."""

    problems: tuple[Problem, ...]  # in the order of the paths; none where everything is whole and consistent
    files: int
    size_bytes: int
    unguarded: tuple[Path, ...]  # files that nothing has a checksum of, or folders of nothing else
    missing: tuple[Path, ...]  # outputs that dvc.lock records and that are not here: nobody has to pull all of them
    has_data: bool  # whether anything was read but the metrics of the report, which git brings along


class _Read(NamedTuple):
    """What reading one file gave: digests to compare with those recorded, and a shard or table that is whole."""

    digests: dict[str, str]
    shard: Shard[Any] | None
    problem: Problem | None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder."""
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="default: this project")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield a line for each problem, or that all is whole; PipelineError if there are problems, or DVC is at work."""
    _require_rest(options.folder)
    verdict = verify(options.folder)
    if verdict.problems:
        _require_rest(options.folder)  # it may have begun meanwhile
    yield from (printable(str(problem)) for problem in verdict.problems)
    if names := ", ".join(map(str, verdict.unguarded)):
        what = f"no seal, dvc.lock or SHA256SUMS here has a checksum of {names}: a changed byte may stay unnoticed"
        print(f"verify: {what}", file=sys.stderr)
    if names := ", ".join(map(str, verdict.missing)):
        what = f"not here, though dvc.lock records it: {names} (dvc pull gets it, or dvc repro makes it)"
        print(f"verify: {what}", file=sys.stderr)
    read = f"{amount(verdict.files, 'file')}, {verdict.size_bytes / 1e6:.1f} MB"
    if verdict.problems:
        raise PipelineError(f"{amount(len(verdict.problems), 'problem')} in {read}")
    yield f"verify: {f'{read}, whole and consistent' if verdict.has_data else 'no data is here, only metrics.json'}"


def _require_rest(folder: Path) -> None:
    """Raise `BusyError` while DVC writes outputs: some are new then, and others old."""
    if process := writer(folder):
        raise BusyError(
            f"a stage of this project is at work (DVC, process {process}), and its outputs are changing. "
            "Nothing is wrong with that: verify them when it has ended."
        )


def verify(folder: Path) -> Verdict:
    """Verify all outputs of the pipeline that lie in `folder`.

    Every byte is read: shards and tables are compared with their seals, files with the MD5 that the project's dvc.lock
    records and the SHA-256 that a published folder lists, if there are any. Seals tell, too, whether each output was
    made of the one that lies there (`pipeline.commands.verify.chain`).

    Raises ParameterError if it is no folder.
    """
    outputs = find_outputs(folder)
    lock = Lock.above(folder)
    sums, problems = read_sums(folder)
    for name, path in list(outputs.items()):
        if name in FOLDERS and not path.is_dir():
            problems.append(Problem(path, f"no folder; {GET_AGAIN}"))
            del outputs[name]
    sealed: dict[Path, type[TableSeal]] = {
        outputs[name]: TableSeal for name in ("ranking", "sample") if name in outputs
    }
    for name in FOLDERS_OF_SHARDS:
        if name in outputs:
            sealed |= dict.fromkeys(shards_of(outputs[name]), ClipsSeal if name == "clips" else DerivedSeal)
    recorded = lock.files() if lock else set()
    files = {file for name, path in outputs.items() for file in (files_of(path) if name in FOLDERS else [path])}
    files = {*files, *sealed, *sums, *recorded} - {problem.path for problem in problems}
    if not files and not problems:
        problems.append(Problem(folder, f"has no output of the pipeline; {MAKE_OR_GET}"))
    read = _read_all(sorted(files), sealed, {"md5": recorded, "sha256": set(sums)})
    unlisted = {path for path, sha256 in sums.items() if read[path].digests.get("sha256", sha256) != sha256}
    problems += [Problem(path, f"is not what {SUMS} lists; download it again") for path in unlisted]
    problems += [each.problem for path, each in read.items() if each.problem and path not in unlisted]
    damaged = {problem.path for problem in problems}
    whole = {path: each.shard for path, each in read.items() if each.shard}
    problems += [problem for problem in check_chain(outputs, whole) if problem.path not in damaged]
    if lock:
        md5s = {path: each.digests["md5"] for path, each in read.items() if "md5" in each.digests}
        problems += [*lock.problems, *lock.compare(md5s, {problem.path for problem in problems})]
    guarded = {*sealed, *recorded, *sums}
    guarded |= {path.with_name(schema.CLIP_TABLE.name) for path in files if path.name == schema.RECEIPT.name}
    tables = [path for name, path in outputs.items() if name not in FOLDERS_OF_SHARDS]
    return Verdict(
        problems=tuple(sorted(set(problems))),
        files=len(files),
        size_bytes=sum(path.stat().st_size for path in files if path.is_file()),
        unguarded=tuple(sorted({place for table in tables for place in _unguarded(table, guarded)})),
        missing=lock.missing if lock else (),
        has_data=any(path.name != schema.METRICS.name for path in files),
    )


def _unguarded(output: Path, guarded: Collection[Path]) -> Iterator[Path]:
    """Yield, for each file of an output that is not guarded, the largest folder without a guarded file, or the file."""
    partly_guarded = {folder for file in guarded for folder in file.parents}
    for file in files_of(output):
        if file not in guarded:
            places = (place for place in (file, *file.parents) if place.is_relative_to(output))
            *_, largest = (place for place in places if place not in partly_guarded)
            yield largest


def _read_all(
    files: list[Path], sealed: Mapping[Path, type[TableSeal]], recorded: Mapping[str, Collection[Path]]
) -> dict[Path, _Read]:
    """Read all files, several at a time, the largest first: hashing leaves the interpreter to other threads."""
    sizes = {path: path.stat().st_size if path.is_file() else 0 for path in files}
    pool = ThreadPoolExecutor()
    try:
        with progress("verified", sum(sizes.values()), "B") as bar:
            running = {}
            for path in sorted(files, key=lambda path: -sizes[path]):
                algorithms = [name for name in recorded if path in recorded[name]]
                running[pool.submit(_read, path, sealed.get(path), algorithms)] = path
            done = {}
            for future in as_completed(running):
                done[running[future]] = future.result()
                bar.update(sizes[running[future]])
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return done


def _read(path: Path, kind: type[TableSeal] | None, algorithms: list[str]) -> _Read:
    """Read one file: once for each checksum, and only the first time from the disk."""
    digests = {}
    shard = None
    try:
        require_file(path, ShardError)
        for name in algorithms:
            with path.open("rb") as file:
                digests[name] = hashlib.file_digest(file, partial(hashlib.new, name, usedforsecurity=False)).hexdigest()
        if kind is not None:
            shard = Shard(path, kind)
            shard.verify()
    except (PipelineError, OSError) as error:
        return _Read(digests, None, Problem.of(path, error))
    return _Read(digests, shard, None)
