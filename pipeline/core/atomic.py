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
    """In this thread, share no temporary name with others, and replace no file once `lease` is gone.

    For a worker on another machine: it may go on when its run has ended, or when its work was given to another worker.
    """
    token = _LEASE.set(lease)
    try:
        yield
    finally:
        _LEASE.reset(token)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path`; give it that name on success, remove it on failure.

    One that a killed run left has the same name, and is written over; that of a worker elsewhere (`leased`) has a name
    of its own, and is swept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = _LEASE.get()
    temporary = path.with_name(f".{path.name}{f'.{uuid.uuid4().hex}' if lease else ''}{SUFFIX}")
    try:
        yield temporary
        if lease and not lease.exists():
            raise BusyError(f"{path}: the run that asked for it has ended; it is not kept")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with LF, whatever the platform."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode())


def sweep(folder: Path) -> None:
    """Remove what killed runs left in `folder`."""
    for leftover in folder.glob(f".*{SUFFIX}"):
        leftover.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling of the folder `path`; put it in that folder's place on success."""
    temporary, old = (path.with_name(f".{path.name}.{kind}{SUFFIX}") for kind in ("new", "old"))
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            path.replace(old)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def exclusive_lock(name: str, folder: Path = schema.DATA) -> Iterator[None]:
    """Keep others from doing what is called `name` in `folder` at the same time: they share temporary names.

    Raises
    ------
    BusyError
        Another process does; the message names it.
    """
    from filelock import FileLock, Timeout  # noqa: PLC0415  who only reads need not have it

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
    """Keep other processes from `doing` something to `path` at the same time: they wait, and say so."""
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
