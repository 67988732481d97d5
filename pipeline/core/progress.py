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
from typing import TYPE_CHECKING, Never, TextIO

if TYPE_CHECKING:
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
        self._label, self._total, self._unit, self._initial = label, total, unit, done
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()
        self._began = time()
        self._bytes = 0
        self._done = done
        self._bar: tqdm[Never] | None = None

    def expect(self, total: float) -> None:
        """Set how many units there are."""
        self._total = total
        if self._bar is not None:
            self._bar.total = total

    def update(self, count: float, size_bytes: int = 0) -> None:
        """Count more units, and the bytes received for them."""
        with self._lock:
            self._done += count
            self._bytes += size_bytes
            seconds = time() - self._began
            if self._bar is None:
                if seconds < (1 if self._stream.isatty() else _LINE_SECONDS):
                    return
                self._bar = self._make_bar()
            if self._bytes:
                megabytes = self._bytes / 1e6
                self._bar.set_postfix_str(f"{megabytes:.1f} MB, {megabytes / seconds:.1f} MB/s", refresh=False)
            self._bar.update(self._done - self._bar.n)

    def reach(self, done: float) -> None:
        """Set how many units are done."""
        self.update(done - self._done)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()

    def _make_bar(self) -> tqdm[Never]:
        from tqdm import tqdm  # noqa: PLC0415  takes a sixth of a stage's start, and short jobs need no bar

        on_terminal = self._stream.isatty()
        bar: tqdm[Never] = tqdm(
            desc=self._label,
            total=self._total,
            initial=self._initial,
            unit=self._unit if self._unit == "B" else f" {self._unit}",
            unit_scale=self._unit == "B",
            file=self._stream if on_terminal else _Lines(self._stream),
            leave=False,
            delay=1e-9,  # nothing is written before it knows when the job began
            mininterval=0.1 if on_terminal else _LINE_SECONDS,
            miniters=0,
            position=0,
            bar_format=None if on_terminal else _LINE,
        )
        bar.start_t = bar.last_print_t = self._began
        return bar


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
