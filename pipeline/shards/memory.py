"""Which shards are whole, remembered from one stage to the next for as long as nobody writes to the files.

A stage that ends well has verified or made each shard of its folder, and to read all of them again takes longer than to
grow the sample. As for DVC, a file is unchanged while its inode, its size and the time of its last writing are: whoever
writes to it, or puts another one in its place, changes one of them. Since a power failure may undo what was written,
nothing is remembered beyond a start of the machine. What a disk loses by itself is not seen here, but by readers, since
each page has a checksum, and by `python -m pipeline verify`, which reads every byte.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core import atomic
from pipeline.shards.footer import Footer, require_regular

FOLDER = Path(".dvc/tmp")  # what DVC keeps for itself lies there, too; where there is no DVC, nothing is remembered
_BOOT = Path("/proc/sys/kernel/random/boot_id")  # another one after each start of Linux; elsewhere, nothing is, either
_TICK_NS = 20_000_000  # for which the clock of a file system may stand still: what is written then has the same time
_COARSE_NS = 1_000_000  # multiples of this are times of a clock that stands still for longer

_Identity = tuple[int, int, int]  # of a file: inode, size in bytes, time of the last writing in ns

_known: dict[str, Any] = {}


@contextmanager
def kept(folder: str | None) -> Iterator[None]:
    """Know what was remembered; where the context ends well, all shards of `folder` are whole, and remembered."""
    _known.update(_remembered())
    before = _identities(folder)
    try:
        yield
        with suppress(OSError, ValueError):
            _remember(folder, before)
    finally:
        _known.clear()


def is_whole(path: Path | str, content_sha256: str) -> bool:
    """Tell whether a shard is known to have this digest."""
    known = _known.get(str(path))
    return known is not None and known == [*_identity(Path(path)), content_sha256]


def _remembered() -> dict[str, Any]:
    known: dict[str, Any] = {}
    for file in FOLDER.glob("shards.*.json"):
        with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):  # it is not what was written
            memory = json.loads(file.read_bytes())
            known |= memory["shards"] if memory["boot"] == _BOOT.read_text() else {}
    return known


def _remember(folder: str | None, before: Mapping[Path, _Identity]) -> None:
    """Remember the shards that are as they were before they were verified, and those that were made since."""
    if folder is None or not FOLDER.is_dir() or not _BOOT.exists():
        return
    now = _identities(folder)
    made = set(now.values()) - set(before.values())
    if made:
        time.sleep(_TICK_NS / 1e9)
    written_to = {inode for inode, *_ in before.values()} & {inode for inode, *_ in made}
    shards = {
        str(path): [*now[path], _sealed_sha256(path)]
        for path, (inode, _, written) in now.items()
        if inode not in written_to and written % _COARSE_NS and written + _TICK_NS <= time.time_ns()
    }
    memory = {"boot": _BOOT.read_text(), "shards": shards}
    atomic.write_text(FOLDER / f"shards.{Path(folder).name}.json", json.dumps(memory, indent=1))


def _identities(folder: str | None) -> dict[Path, _Identity]:
    found = {}
    for path in sorted(Path(folder).glob("part-*.parquet")) if folder else []:
        with suppress(OSError):  # a link that leads nowhere
            found[path] = _identity(path)
    return found


def _identity(path: Path) -> _Identity:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _sealed_sha256(path: Path) -> str:
    require_regular(path)
    with path.open("rb") as file:
        return Footer.read(file).digest("content_sha256")
