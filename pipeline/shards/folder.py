"""A folder of shards, ``part-00000.parquet …``: list, find, verify, publish and retire them.

New shards wait in a hidden folder beside the final one until all of them are there: a failed run changes nothing, and
the run after a killed one continues where it stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import compress
from pathlib import Path
from typing import TypeVar

import pyarrow.fs

from pipeline.core import atomic
from pipeline.core.errors import GET_AGAIN, MAKE_OR_GET, ShardError, first_line
from pipeline.shards.sealed import AnySeal, Shard

Right = TypeVar("Right")


def shard_name(number: int) -> str:
    """Return the file name of shard `number`, counted from 0."""
    return f"part-{number:05d}.parquet"


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of `folder` in their order.

    Raises ShardError if there are none, or one of them is missing.
    """
    if folder.is_file():
        raise ShardError(f"{folder}: is a single file; name the folder that it is in")
    return [folder / name for name in _in_order(folder, [path.name for path in folder.glob("part-*.parquet")])]


def remote_shard_paths(folder: str, filesystem: pyarrow.fs.FileSystem) -> list[str]:
    """Return the shards of a folder on another file system, as `shard_paths` does."""
    try:
        names = [info.base_name for info in filesystem.get_file_info(pyarrow.fs.FileSelector(folder))]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise ShardError(f"{folder}: cannot be listed ({first_line(error)})") from None
    shards = [name for name in names if name.startswith("part-") and name.endswith(".parquet")]
    return [f"{folder}/{name}" for name in _in_order(folder, shards, "correct its name, or see what was pushed there")]


def _in_order(folder: Path | str, names: list[str], remedy: str = "") -> list[str]:
    if not names:
        remedy = remedy or f"{MAKE_OR_GET} {folder}"
        raise ShardError(f"{folder}: no shards there; {remedy}")
    for number, name in enumerate(sorted(names)):
        if name != shard_name(number):
            remedy = remedy or GET_AGAIN
            raise ShardError(f"{folder}: {shard_name(number)} is missing; {remedy}")
    return sorted(names)


class ShardFolder:
    """A folder of shards, and the hidden one beside it where new shards wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting = _waiting(folder)
        self._new: set[int] = set()
        for place in (self.folder, self.waiting):
            atomic.sweep(place)

    def find(self, number: int, is_right: Callable[[Path], Right | None]) -> Right | None:
        """Return what `is_right` returns for shard `number`, left by a killed run or published by an earlier one."""
        for place in (self.waiting, self.folder):
            right = is_right(place / shard_name(number))
            if right:
                if place == self.waiting:
                    self._new.add(number)
                return right
        return None

    def new(self, number: int) -> Path:
        """Return where to write shard `number`."""
        self._new.add(number)
        return self.waiting / shard_name(number)

    def publish(self, count: int) -> None:
        """Give all new shards their final names, and retire those that are not among the first `count`."""
        if count < 1:
            raise ShardError(f"{self.folder}: refusing to replace its shards with nothing")
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in sorted(self._new):
            (self.waiting / shard_name(number)).replace(self.folder / shard_name(number))
        current = {shard_name(number) for number in range(count)}
        for path in self.folder.iterdir():
            if path.name not in current:
                path.unlink()
        shutil.rmtree(self.waiting, ignore_errors=True)


def existing_shards(folder: Path) -> list[Path]:
    """Return all shards in `folder` and beside it, right or not, the newest first."""
    return [path for place in (_waiting(folder), folder) for path in sorted(place.glob("part-*.parquet"))]


def _waiting(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}")


def open_shards(paths: Iterable[Path], kind: type[AnySeal]) -> dict[Path, Shard[AnySeal]]:
    """Open the shards among `paths` whose footers are whole."""
    shards = {}
    for path in paths:
        with suppress(ShardError):
            shards[path] = Shard(path, kind)
    return shards


def whole_shards(shards: Mapping[Path, Shard[AnySeal]]) -> dict[Path, Shard[AnySeal]]:
    """Return the shards that are whole, byte for byte; reads as many at a time as there are cores."""

    def is_whole(shard: Shard[AnySeal]) -> bool:
        try:
            shard.verify()
        except ShardError:
            return False
        return True

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(compress(shards.items(), pool.map(is_whole, shards.values())))
