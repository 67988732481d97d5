"""Ctrl-C, held back for the moments in which it would be lost or leave something half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held() -> Iterator[None]:
    """Let Ctrl-C take effect at the end of the block.

    For a callback from C, where cffi prints an exception and goes on; for the import of an extension module, which
    turns it into an ImportError; and for the start of a process, which inherits that SIGINT is blocked and leaves it to
    its parent. The handler is needed beside the mask, since the kernel may choose another thread of this process.
    Nothing is held outside of the main thread, where Python raises no KeyboardInterrupt, or where its handler is not
    Python's.
    """
    mine = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not None
    if not mine:
        yield
        return
    received: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if mask is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if received:
            signal.raise_signal(signal.SIGINT)
