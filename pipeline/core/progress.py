"""Progress of a long job on stderr: tqdm's bar on a terminal, a plain line every ten seconds elsewhere.

A job that is done sooner shows nothing.
"""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import Never, TextIO

from tqdm import tqdm

_LINE_SECONDS = 10.0
_LINE = "{desc}: {n_fmt}/{total_fmt}, {rate_fmt}{postfix}, {remaining} left"


class Progress:
    """A bar that counts units, starting at `done`, and the bytes received for them. Thread-safe.

    The unit ``B`` is bytes.
    """

    def __init__(
        self, label: str, total: float | None, unit: str, done: float = 0, *, stream: TextIO | None = None
    ) -> None:
        stream = stream or sys.stderr
        on_terminal = stream.isatty()
        self._lock = threading.Lock()
        self._began = time()
        self._bytes = 0
        self._bar: tqdm[Never] = tqdm(
            desc=label,
            total=total,
            initial=done,
            unit=unit if unit == "B" else f" {unit}",
            unit_scale=unit == "B",
            file=stream if on_terminal else _Lines(stream),
            leave=False,
            delay=1 if on_terminal else _LINE_SECONDS,
            mininterval=0.1 if on_terminal else _LINE_SECONDS,
            miniters=0,
            position=0,
            bar_format=None if on_terminal else _LINE,
        )

    def expect(self, total: float) -> None:
        """Set how many units there are."""
        self._bar.total = total

    def update(self, count: float, size_bytes: int = 0) -> None:
        """Count more units, and the bytes received for them."""
        with self._lock:
            self._bytes += size_bytes
            if self._bytes:
                megabytes = self._bytes / 1e6
                rate = megabytes / max(time() - self._began, 1e-9)
                self._bar.set_postfix_str(f"{megabytes:.1f} MB, {rate:.1f} MB/s", refresh=False)
            self._bar.update(count)

    def reach(self, done: float) -> None:
        """Set how many units are done."""
        self.update(done - self._bar.n)

    def close(self) -> None:
        """Remove the bar."""
        self._bar.close()


class _Lines(io.TextIOBase):
    """Print each update of a bar on a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if text.strip():
            print(text.strip(), file=self._stream, flush=True)
        return len(text)


@contextmanager
def progress(label: str, total: float | None, unit: str, done: float = 0) -> Iterator[Progress]:
    """Yield a `Progress`, which is closed at the end of the block."""
    shown = Progress(label, total, unit, done)
    try:
        yield shown
    finally:
        shown.close()
