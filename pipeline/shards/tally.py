"""How many rows are done of shards that are being made, wherever that is: a file beside each grows by a byte a row.

It goes with the folder that new shards wait in, or is swept with what a killed run left there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.core.atomic import SUFFIX
from pipeline.core.progress import Progress

_SECONDS = 0.5  # from one look to the next


@contextmanager
def counting(shard: Path) -> Iterator[Callable[[int], None]]:
    """Yield what counts rows of `shard`, which is being made."""
    path = _path(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("wb", buffering=0) as file:

            def count(rows: int) -> None:
                file.write(bytes(rows))

            yield count
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def watching(shards: Sequence[Path], bar: Progress) -> Iterator[None]:
    """Let the bar say how many rows of all these shards are done; the caller waits for them, or makes them."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_SECONDS):
            bar.reach(_done(shards))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        bar.reach(_done(shards))


def _done(shards: Sequence[Path]) -> int:
    rows = 0
    for shard in shards:
        with suppress(OSError):  # not begun, or given up
            rows += _path(shard).stat().st_size
    return rows


def _path(shard: Path) -> Path:
    return shard.with_name(f".{shard.name}.rows{SUFFIX}")
