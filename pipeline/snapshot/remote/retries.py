"""Transient failures are retried with exponential backoff and jitter."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import TypeVar

from pipeline.core.errors import TransferError

Result = TypeVar("Result")

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_RETRY_AFTER_SECONDS = 120.0


class Transient(Exception):
    """A failure after which another attempt may help.

    Its text is for a person, and never a URL; `retry_after` is how many seconds the server asks to wait, if it does;
    `remedy` is what to do if it persists.
    """

    def __init__(
        self, problem: str, retry_after: float | None = None, *, remedy: str = "Run it again to go on."
    ) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
        self.remedy = remedy
        self.progress = False  # whether something was gained; then backoff starts from the shortest pause again


class RetryPolicy:
    """How often to retry, and how to wait in between: by `sleep`, else until `close` at most. Thread-safe."""

    def __init__(self, retries: int, sleep: Callable[[float], object] | None = None) -> None:
        self._retries = retries
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait

    def call(self, action: Callable[[], Result], what: str) -> Result:
        """Return what `action` returns, trying again after each `Transient` failure.

        Raises TransferError if it failed once more than there are retries, without any progress in between, or waiting
        was given up.
        """
        failures = 0
        while True:
            try:
                return action()
            except Transient as failure:
                failures = 1 if failure.progress else failures + 1
                if failures > self._retries:
                    times = "once" if failures == 1 else f"{failures} times"
                    raise TransferError(f"{what}: {failure} (tried {times}). {failure.remedy}") from None
                self._sleep(pause_seconds(failures, failure.retry_after))
                if self._closed.is_set():
                    raise TransferError(f"{what}: given up") from None

    def close(self) -> None:
        """Give up all waiting."""
        self._closed.set()


def pause_seconds(failures: int, retry_after: float | None) -> float:
    """Return how long to wait: twice as long each time, and never less than the server asks for.

    Jitter keeps many connections from being opened again all at once.
    """
    grown = min(_FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
    return max(random.uniform(grown / 2, grown), min(retry_after or 0.0, _LONGEST_RETRY_AFTER_SECONDS))
