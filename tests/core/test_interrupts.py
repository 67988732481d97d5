"""A Ctrl-C always takes effect: deferred by a block, or dropped where Python only prints exceptions."""

from __future__ import annotations

import signal
import sys
import weakref

import pytest

from pipeline.core import interrupts


class Anything:
    """What a weak reference can be of."""


def _interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_defer_sigint_until_the_end_of_the_block() -> None:
    reached = []

    def block() -> None:
        with interrupts.defer_sigint():
            _interrupt()
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached


def test_redeliver_sigint_that_a_finalizer_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    hook = sys.unraisablehook

    def block() -> None:
        with interrupts.redeliver_sigint():
            anything = Anything()
            weakref.finalize(anything, _interrupt)
            del anything  # the exception is raised, and lost, here

    with pytest.raises(KeyboardInterrupt):
        block()
    assert sys.unraisablehook is hook
    assert capfd.readouterr().err == ""


def test_redeliver_sigint_leaves_other_errors_to_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: shown.append(type(unraisable.exc_value)))
    with interrupts.redeliver_sigint():
        anything = Anything()
        weakref.finalize(anything, lambda: 1 / 0)
        del anything
    assert shown == [ZeroDivisionError]
