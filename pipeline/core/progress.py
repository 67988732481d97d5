"""How far a long job is, on stderr: a bar on a terminal, a plain line now and then elsewhere.

Says nothing of a job that is done at once. May be told of progress by many threads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Never, TextIO

from tqdm import tqdm

_LINE_SECONDS = 10.0


class Progress:
    """So many of `total` units are done, and so many bytes have come.

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
    clock
        Seconds, as `time.monotonic` gives them.
    """

    def __init__(
        self,
        label: str,
        total: float | None,
        unit: str,
        done: float = 0,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.label, self.total, self.unit = label, total, unit
        self._stream, self._clock = stream or sys.stderr, clock
        self._before = self._done = done
        self._bytes = 0
        self._lock = threading.Lock()
        self._begun = self._spoke = clock()
        self._bar: tqdm[Never] | None = None
        if self._stream.isatty():
            self._bar = tqdm(
                desc=label,
                total=total,
                initial=done,
                unit=unit if unit == "B" else f" {unit}",
                unit_scale=unit == "B",
                delay=1,
                file=self._stream,
                leave=False,
            )

    def update(self, count: float, size_bytes: int = 0) -> None:
        """Count more units, and the bytes that came for them."""
        with self._lock:
            self._done, self._bytes = self._done + count, self._bytes + size_bytes
            self._show()

    def reach(self, done: float) -> None:
        """Say how many units are done by now, whatever was counted before."""
        with self._lock:
            self._done = done
            self._show()

    def close(self) -> None:
        """Say the end of what was spoken of, and remove the bar."""
        if self._bar is not None:
            self._bar.close()
        elif self._spoke > self._begun:
            self._say()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.total = self.total
            if self._bytes:
                self._bar.set_postfix_str(self._traffic(), refresh=False)
            self._bar.update(self._done - self._bar.n)
        elif self._clock() - self._spoke >= _LINE_SECONDS:
            self._spoke = self._clock()
            self._say()

    def _say(self) -> None:
        """Write a line such as ``clips: 1200 of 5000, 44.1 MB, 3.2 MB/s, 1:40 left``."""
        seconds = max(self._clock() - self._begun, 1e-9)
        if self.unit == "B":
            of = f" of {self.total / 1e6:.1f}" if self.total else ""
            parts = [f"{self._done / 1e6:.1f}{of} MB", f"{(self._done - self._before) / seconds / 1e6:.1f} MB/s"]
        else:
            of = f" of {self.total:g}" if self.total else ""
            parts = [f"{self._done:g}{of} {self.unit}", f"{(self._done - self._before) / seconds:.1f} {self.unit}/s"]
        if self._bytes:
            parts.append(self._traffic())
        if self.total and self.total > self._done > self._before:
            left = round(seconds * (self.total - self._done) / (self._done - self._before))
            parts.append(f"{left // 60}:{left % 60:02} left")
        print(f"{self.label}: {', '.join(parts)}", file=self._stream, flush=True)

    def _traffic(self) -> str:
        seconds = max(self._clock() - self._begun, 1e-9)
        return f"{self._bytes / 1e6:.1f} MB, {self._bytes / seconds / 1e6:.1f} MB/s"


@contextmanager
def progress(label: str, total: float | None, unit: str, done: float = 0) -> Iterator[Progress]:
    """Yield something to ``update``; `done` of `total` were there before."""
    shown = Progress(label, total, unit, done)
    try:
        yield shown
    finally:
        shown.close()
