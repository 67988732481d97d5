"""A file under its final name is whole: write a temporary sibling, then rename it.

A file that may be linked into DVC's cache is never written to: the rename puts another one in its place.
"""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from pipeline.core import schema
from pipeline.core.errors import BusyError

SUFFIX = ".tmp"
log = logging.getLogger(__name__)
_LEASE: ContextVar[Path | None] = ContextVar("lease", default=None)


@contextmanager
def publish_only_while(lease: Path) -> Iterator[None]:
    """In this thread, use unique temporary names, and replace no file once `lease` is gone.

    For a worker on another machine, which may still run after its run has ended or its task went to another worker.
    """
    token = _LEASE.set(lease)
    try:
        yield
    finally:
        _LEASE.reset(token)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; give it that name on success, remove it on failure.

    A killed run leaves a file of the same name, which is overwritten. A remote worker (`publish_only_while`) uses a
    unique name; what it leaves is swept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = _LEASE.get()
    temporary = path.with_name(f".{path.name}{f'.{uuid.uuid4().hex}' if lease else ''}{SUFFIX}")
    try:
        yield temporary
        if lease and not lease.exists():
            raise BusyError(f"{path}: the run that asked for it has ended; it is discarded")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with LF, whatever the platform."""
    write_bytes(path, text.encode())


def sweep(folder: Path) -> None:
    """Remove temporary files of killed runs from `folder`."""
    for leftover in folder.glob(f".*{SUFFIX}"):
        leftover.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling of the folder `path`, and replace that folder by it on success."""
    temporary, old = (path.with_name(f".{path.name}.{kind}{SUFFIX}") for kind in ("new", "old"))
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.is_dir() and not path.is_symlink():
            path.replace(old)
        else:
            path.unlink(missing_ok=True)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def exclusive_lock(name: str, folder: Path = schema.DATA) -> Iterator[None]:
    """Hold a lock, so that only one process runs `name` in `folder` at a time: they share temporary names.

    Raises BusyError, which names that process, if another one holds it.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  an installation that only reads samples has none

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{name}.lock"
    try:
        with FileLock(path, timeout=0, mode=0o644):
            path.write_text(str(os.getpid()))
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
    except Timeout:
        holder = path.read_text() or "?"
        raise BusyError(
            f"another {name} is at work in this folder (process {holder}); wait until it has ended, or end it. "
            "Nothing was changed."
        ) from None


@contextmanager
def wait_for_lock(path: Path, doing: str) -> Iterator[None]:
    """Hold a lock on `path` while `doing` something to it; a process that has to wait for it logs so."""
    from filelock import FileLock, Timeout  # noqa: PLC0415  as above

    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("%s: another process is %s; waiting", path.name, doing)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
