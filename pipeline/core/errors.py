"""The tree of errors; each takes the facts and writes one message.

::

    PipelineError                exit status 1
    ├── ParameterError           exit status 2: params.yaml, a snapshot's description or the command line
    ├── SnapshotError            the archive or folder is not as expected
    │   ├── TableError           a table of the snapshot: file and line
    │   ├── SnapshotChanged      it is not the one that was opened before
    │   └── TransferError        it could not be reached
    ├── SampleError              the sample asked for cannot be drawn from the eligible clips
    ├── ShardError               a Parquet shard is missing, damaged or of another kind
    ├── WorkerError              a worker process died
    ├── MissingPackage           an extra that is not installed
    └── BusyError                another run is at work on the same output

    Rejected                     a clip is no good: becomes a row with its reason, never ends a run
"""

from __future__ import annotations

import errno
import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.core.schema import Reason  # imports pyarrow, which may be what is missing

# Without --force, DVC asks on a terminal whether it may replace a file, and elsewhere refuses to.
GET_AGAIN = "get it again with: dvc checkout --force or dvc pull --force"
MAKE_OR_GET = "in the project's folder, make it with: dvc repro, or fetch it with: dvc pull"


class PipelineError(Exception):
    """A failure that the message explains in full; the command line prints it without a traceback."""

    exit_status = 1


class ParameterError(PipelineError):
    """Parameters that are unknown, missing, of the wrong type or out of range.

    Parameters
    ----------
    source
        The file (or the command line) that they are from.
    problems
        One line for each: the path of the key, what is allowed, and the value.
    """

    exit_status = 2

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n  ".join([f"{source} cannot be used:", *self.problems]))


class SnapshotError(PipelineError):
    """The snapshot's archive, folder or tables are not as expected."""


class TableError(SnapshotError):
    """A table of the snapshot has something that cannot be read.

    Parameters
    ----------
    table
        File name of the table.
    line
        Line in the file, counted from 1; None for the whole file.
    problem
        Expected and actual content.
    """

    def __init__(self, table: str, line: int | None, problem: str) -> None:
        place = table if line is None else f"{table}, line {line}"
        super().__init__(f"{place}: {problem}")


class SnapshotChanged(SnapshotError):
    """The snapshot is no longer the one that `download` opened."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(
            f"{name} changed since it was opened: expected {expected}, found {found}.\n"
            "Restore the original, or take the new one with: dvc repro --force --downstream download"
        )


class TransferError(SnapshotError):
    """The snapshot could not be reached, or something else was received."""


class SampleError(PipelineError):
    """The sample asked for cannot be drawn from the eligible clips."""


class ShardError(PipelineError):
    """A Parquet shard is missing, damaged or of another kind than expected."""


class WorkerError(PipelineError):
    """A worker process died."""


class MissingPackage(PipelineError, ImportError):
    """A package that only speech to text needs (the extra `asr` of pyproject.toml) is not installed."""

    def __init__(self, package: str) -> None:
        packages = " ".join(dict.fromkeys([package, "jiwer", "whisper-normalizer"]))
        super().__init__(f"{package} is not installed; what is needed here comes with: pip install {packages}")


class MissingExtra(PipelineError, ImportError):
    """A package that the reader does without is not installed: the extra `make` of pyproject.toml brings it."""

    def __init__(self, error: ModuleNotFoundError) -> None:
        name = (error.name or str(error)).partition(".")[0]
        super().__init__(
            f"{name} is not installed; what is needed here comes with the extra make. {how_to_install('make')}"
        )


class BusyError(PipelineError):
    """Another run is at work on the same output."""


class Rejected(Exception):
    """A clip is rejected. `subsample` turns it into a row of ``data/rejected.csv``.

    Parameters
    ----------
    reason
        Out of the closed list `pipeline.core.schema.Reason`.
    detail
        Expected and actual value, for a person; the same on every machine.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Rejected], tuple[Reason, str]]:
        return Rejected, (self.reason, self.detail)


def how_to_install(extra: str) -> str:
    """Return what to type for an extra of pyproject.toml; an environment that `make` sets up has all but `asr`."""
    return (
        "In a clone of the project: make env, and source .venv/bin/activate. "
        f"Elsewhere: pip install 'audio-subsample[{extra}] @ git+URL', with the URL of the project's repository"
    )


def import_optional(module: str, package: str) -> ModuleType:
    """Import a module of a package that only speech to text needs; raise `MissingPackage` where it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingPackage(package) from None


@contextmanager
def naming_the_extra() -> Iterator[None]:
    """Raise `MissingExtra` where an import in the block finds no such module."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(error) from None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; the name of its type if it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


_FULL = {  # what is wrong with the disk, and what to do
    errno.ENOSPC: ("no space left on the disk", "Free some"),
    errno.EDQUOT: ("no space left in your quota of the disk", "Free some"),
    errno.EFBIG: (
        "a file would be larger than the disk's file system (FAT32: 4 GiB) or a limit (ulimit -f) allows",
        "Take another disk, or raise the limit,",
    ),
}


def explain(error: Exception) -> tuple[str | None, int]:
    """Return the message for a failure, None if the code is at fault, and the exit status."""
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("pipeline"):
        error = MissingExtra(error)
    if isinstance(error, PipelineError):
        return str(error), error.exit_status
    if isinstance(error, UnicodeEncodeError):
        return f"the locale has no characters for {error.object[:200]!a}. Set PYTHONUTF8=1, or a locale with UTF-8.", 1
    if not isinstance(error, OSError):
        return None, 1
    place = f" ({error.filename})" if error.filename else ""
    message = f"{error.strerror or error}{place}"
    # Libraries repeat the system's words, some without the number.
    full = next((code for code in _FULL if error.errno == code or os.strerror(code) in str(error)), None)
    if full is not None:
        what, remedy = _FULL[full]
        message = f"{what}{place}. {remedy} and run it again: what is done is kept."
    elif isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError) or error.errno == errno.ELOOP:
        in_place = error.filename2 or error.filename
        message = f"{in_place}: something else lies in the place of this file or folder. Move it, and run this again."
    elif isinstance(error, FileNotFoundError):
        message += f"; {MAKE_OR_GET}"
    return message, 1
