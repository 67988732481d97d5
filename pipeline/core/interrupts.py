"""Defer SIGINT during critical sections; deliver it again where Python drops it."""

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

    For a callback from C, where cffi prints an exception and continues; for soxr, whose import it would abort; and for
    the start of a process, which inherits the blocked SIGINT and leaves it to its parent. The handler is needed beside
    the mask, since the kernel may choose another thread of this process. Outside of the main thread, Python raises no
    KeyboardInterrupt, and nothing is deferred.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
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
    """Let a Ctrl-C take effect a moment later where Python can only print it and continue.

    This happens in finalizers, in callbacks of weak references and in callbacks from C (`sys.unraisablehook`).
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
