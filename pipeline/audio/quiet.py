"""Keep what libmpg123 writes to stderr, which names no file, from the user; nothing else is lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_ITS_LINES = b"[src/libmpg123/"  # such as: [src/libmpg123/layer3.c:…] error: dequantization failed!

_lock = threading.Lock()
_inside = 0  # how many threads are
_real = _memory = -1  # the descriptors of stderr, and of what is written meanwhile


@contextmanager
def without_mpg123() -> Iterator[None]:
    """Hold back what is written to stderr, in any thread; afterwards write all but the lines of libmpg123.

    Where there are no files in memory, or there is no stderr, nothing is held back.
    """
    global _inside, _real, _memory  # noqa: PLW0603  stderr is one, too
    with _lock:
        if not _inside:
            _real, _memory = _redirect()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _real >= 0:
                _restore(_real, _memory)


def _redirect() -> tuple[int, int]:
    """Let stderr lead into a file in memory; return descriptors of both, or −1."""
    try:
        memory = os.memfd_create("stderr")
    except (AttributeError, OSError):
        return -1, -1
    try:
        real = os.dup(_STDERR)
    except OSError:
        os.close(memory)
        return -1, -1
    os.dup2(memory, _STDERR)
    return real, memory


def _restore(real: int, memory: int) -> None:
    os.dup2(real, _STDERR)
    size = os.lseek(memory, 0, os.SEEK_CUR)
    text = os.pread(memory, size, 0) if size else b""
    os.close(memory)
    kept = b"".join(line for line in text.splitlines(keepends=True) if not line.startswith(_ITS_LINES))
    if kept:
        os.write(real, kept)
    os.close(real)
