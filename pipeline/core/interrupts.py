"""Ctrl-C, held back where it would be lost or leave something half done, and given again where it was lost."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer_sigint() -> Iterator[None]:
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


_AGAIN_SECONDS = 0.01


@contextmanager
def redeliver_sigint() -> Iterator[None]:
    """Let a Ctrl-C take effect a moment later where Python can only print it and go on.

    That is so in finalizers, in callbacks of weak references and in callbacks from C (`sys.unraisablehook`): whatever
    runs when memory is freed, in any library.
    """
    before = sys.unraisablehook
    timers: list[threading.Timer] = []

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not isinstance(unraisable.exc_value, KeyboardInterrupt):
            before(unraisable)
            return
        timers.append(threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main))  # here it would be lost once more
        timers[-1].start()

    sys.unraisablehook = hook
    try:
        yield
        for timer in timers:
            timer.join()
    finally:
        sys.unraisablehook = before
