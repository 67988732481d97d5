"""How far a long job is, on stderr: a bar on a terminal, a plain line every ten seconds elsewhere.

Nothing is shown of a job that is done at once. Thread-safe.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import TYPE_CHECKING, Never, TextIO

from pipeline.core import interrupts

if TYPE_CHECKING:
    from tqdm import tqdm

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
        self._label = label
        self._total = total
        self._unit = unit
        self._before = self._done = done
        self._stream = stream or sys.stderr
        self._silence = 1 if self._stream.isatty() else _LINE_SECONDS
        self._lock = threading.Lock()
        self._bytes = 0
        self._began = time()
        self._bar: tqdm[Never] | None = None

    def expect(self, total: float) -> None:
        """Say how many units there are."""
        with self._lock:
            self._total = total
            if self._bar is not None:
                self._bar.total = total

    def update(self, count: float, size_bytes: int = 0) -> None:
        """Count more units, and the bytes that were received for them."""
        with self._lock:
            self._done += count
            self._bytes += size_bytes
            seconds = time() - self._began
            if self._bar is None:
                if seconds < self._silence:
                    return
                self._bar = self._made()
            if self._bytes:
                traffic = f"{self._bytes / 1e6:.1f} MB, {self._bytes / max(seconds, 1e-9) / 1e6:.1f} MB/s"
                self._bar.set_postfix_str(traffic, refresh=False)
            self._bar.update(self._done - self._bar.n)

    def reach(self, done: float) -> None:
        """Say how many units are done by now, whatever was counted before.

        It may be the same number again: the time until it changes counts for the rate.
        """
        if done != self._done:
            self.update(done - self._done)

    def close(self) -> None:
        """Write the last line of what was shown, or remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _made(self) -> tqdm[Never]:
        """Make the bar, as if it had been there from the beginning."""
        on_terminal = self._stream.isatty()
        with interrupts.defer_sigint():  # a bar that is half made complains when it is freed
            from tqdm import tqdm  # noqa: PLC0415  slow to import, and most jobs are done before there is a bar

            bar: tqdm[Never] = tqdm(
                desc=self._label,
                total=self._total,
                initial=self._before,
                unit=self._unit if self._unit == "B" else f" {self._unit}",
                unit_scale=self._unit == "B",
                file=self._stream if on_terminal else _Lines(self._stream),
                leave=not on_terminal,
                delay=1e-9,  # nothing is written before it knows when it began
                mininterval=0.1 if on_terminal else _LINE_SECONDS,
                maxinterval=_LINE_SECONDS,
                miniters=0,
                bar_format=None if on_terminal else _LINE,
            )
        bar.start_t = bar.last_print_t = self._began
        return bar


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
