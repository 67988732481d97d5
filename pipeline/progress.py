"""How far a long job is, on stderr: a bar on a terminal, nothing for what takes less than a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Never

from tqdm import tqdm


@contextmanager
def progress(label: str, total: float | None, unit: str, done: float = 0) -> Iterator[tqdm[Never]]:
    """Yield a bar to ``update``; `done` of `total` were there before."""
    bar = tqdm(
        desc=label, total=total, unit=f" {unit}", initial=done, delay=1, file=sys.stderr, disable=None, leave=False
    )
    with bar:
        yield bar
