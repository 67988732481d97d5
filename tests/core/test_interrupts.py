"""A Ctrl-C always takes effect: held back for a block, or lost where Python only prints exceptions."""

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


def test_what_arrives_in_the_block_takes_effect_at_its_end() -> None:
    reached = []

    def block() -> None:
        with interrupts.defer_sigint():
            _interrupt()
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached


def test_what_is_lost_in_a_finalizer_is_given_again(capfd: pytest.CaptureFixture[str]) -> None:
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


def test_what_else_goes_wrong_in_a_finalizer_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: shown.append(type(unraisable.exc_value)))
    with interrupts.redeliver_sigint():
        anything = Anything()
        weakref.finalize(anything, lambda: 1 / 0)
        del anything
    assert shown == [ZeroDivisionError]
