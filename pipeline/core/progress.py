"""How far a long job is, on stderr: a bar on a terminal, a plain line every ten seconds elsewhere.

Nothing is shown of a job that is done at once. Thread-safe.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never, TextIO

from tqdm import tqdm

from pipeline.core import interrupts

_LINE_SECONDS = 10.0
_LINE = "{desc}: {n_fmt}/{total_fmt}, {rate_fmt}{postfix}, {remaining} left"


class Progress:
    """So many of `total` units are done, and so many bytes were received.

    Parameters
    ----------
    label
        What is under way.
    total
        How many units there are, where that is known; may be set later.
    unit
        What is counted; ``B`` for bytes.
    done
        How many were there before.
    stream
        Where to write.
    """

    def __init__(
        self, label: str, total: float | None, unit: str, done: float = 0, *, stream: TextIO | None = None
    ) -> None:
        stream = stream or sys.stderr
        on_terminal = stream.isatty()
        self._lock = threading.Lock()
        self._bytes = 0
        with interrupts.held():  # a bar that is half made complains when it is freed
            self._bar: tqdm[Never] = tqdm(
                desc=label,
                total=total,
                initial=done,
                unit=unit if unit == "B" else f" {unit}",
                unit_scale=unit == "B",
                file=stream if on_terminal else _Lines(stream),
                leave=not on_terminal,
                delay=1 if on_terminal else _LINE_SECONDS,
                mininterval=0.1 if on_terminal else _LINE_SECONDS,
                maxinterval=_LINE_SECONDS,
                miniters=0,
                bar_format=None if on_terminal else _LINE,
            )

    def expect(self, total: float) -> None:
        """Say how many units there are."""
        with self._lock:
            self._bar.total = total

    def update(self, count: float, size_bytes: int = 0) -> None:
        """Count more units, and the bytes that were received for them."""
        with self._lock:
            if size_bytes:
                self._bytes += size_bytes
                seconds = max(self._bar.format_dict["elapsed"], 1e-9)
                traffic = f"{self._bytes / 1e6:.1f} MB, {self._bytes / seconds / 1e6:.1f} MB/s"
                self._bar.set_postfix_str(traffic, refresh=False)
            self._bar.update(count)

    def reach(self, done: float) -> None:
        """Say how many units are done by now, whatever was counted before.

        It may be the same number again: the time until it changes counts for the rate.
        """
        if done != self._bar.n:
            self.update(done - self._bar.n)

    def close(self) -> None:
        """Write the last line of what was shown, or remove the bar."""
        self._bar.close()


class _Lines(io.TextIOBase):
    """Turns what would overwrite a line of a terminal into a line of its own, unless it says the same."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = ""

    def write(self, text: str) -> int:
        line = text.strip()
        if line and line != self._last:
            print(line, file=self._stream, flush=True)
            self._last = line
        return len(text)


@contextmanager
def progress(label: str, total: float | None, unit: str, done: float = 0) -> Iterator[Progress]:
    """Yield something to ``update``; `done` of `total` were there before."""
    shown = Progress(label, total, unit, done)
    try:
        yield shown
    finally:
        shown.close()
