"""Keep libmpg123's messages, which name no file, off stderr; everything else gets there."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2
_ITS_LINES = b"[src/libmpg123/"  # such as: [src/libmpg123/layer3.c:…] error: dequantization failed!

_lock = threading.Lock()
_inside = 0  # number of threads in the context
_real = _memory = -1  # descriptors of stderr, and of the file that captures it


@contextmanager
def without_mpg123() -> Iterator[None]:
    """Capture stderr, of all threads; afterwards write all of it but the lines of libmpg123.

    Without files in memory, or without a stderr, nothing is captured.
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
    """Redirect stderr to a file in memory; return the descriptors of both, or −1."""
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
