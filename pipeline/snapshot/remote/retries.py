"""Transient failures are retried with exponential backoff."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from pipeline.core.errors import TransferError

Result = TypeVar("Result")
Pause = Callable[[float], object]

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_LONGEST_RETRY_AFTER_SECONDS = 120.0


class Transient(Exception):
    """A failure that may pass by itself.

    Parameters
    ----------
    problem
        What went wrong, for a person; never a URL.
    retry_after
        Seconds that the server asks to wait, if it does.
    progress
        Whether something was won before it failed; then the pauses start from the shortest again.
    """

    def __init__(self, problem: str, retry_after: float | None = None, *, progress: bool = False) -> None:
        super().__init__(problem)
        self.retry_after = retry_after
        self.progress = progress


@dataclass(frozen=True)
class Patience:
    """How often to try again, and what waits so many seconds."""

    retries: int
    pause: Pause

    def call(self, action: Callable[[], Result], what: str) -> Result:
        """Return what `action` returns, trying again after each `Transient` failure.

        Raises
        ------
        TransferError
            It failed once more than there are retries, without any progress in between.
        """
        failures = 0
        for attempt in count():
            try:
                return action()
            except Transient as failure:
                failures = 1 if failure.progress else failures + 1
                if failures > self.retries:
                    times = "once" if failures == 1 else f"{failures} times"
                    raise TransferError(f"{what}: {failure} (tried {times}). Run it again to go on.") from None
                self.pause(_pause_seconds(failures, failure.retry_after, f"{what} {attempt}"))
        raise AssertionError("unreachable")


def _pause_seconds(failures: int, retry_after: float | None, salt: str) -> float:
    """Return how long to wait: twice as long each time, spread by half, and never less than the server asks for.

    The spread keeps many connections from coming back all at once. It is a hash, not dice: a run can be repeated.
    """
    grown = min(_FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1), _LONGEST_PAUSE_SECONDS)
    spread = grown * (0.5 + zlib.crc32(salt.encode()) / 2**33)
    return max(spread, min(retry_after or 0.0, _LONGEST_RETRY_AFTER_SECONDS))
