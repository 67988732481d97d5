"""Which shards that lie there are whole, byte for byte: many are read at a time."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import compress
from pathlib import Path
from typing import Any, TypeVar

from pipeline.core.errors import ShardError
from pipeline.shards.sealed import AnySeal, Shard

Key = TypeVar("Key", bound=Hashable)


def opened(paths: Iterable[Path], kind: type[AnySeal]) -> dict[Path, Shard[AnySeal]]:
    """Return those shards that can be opened: their footers are whole."""
    shards = {}
    for path in paths:
        with suppress(ShardError):
            shards[path] = Shard(path, kind)
    return shards


@contextmanager
def verifying(shards: Mapping[Key, Shard[Any]]) -> Iterator[Iterator[Key]]:
    """Read shards byte for byte, one on each core, while the caller goes on; yield the keys of damaged ones."""

    def is_damaged(shard: Shard[Any]) -> bool:
        try:
            shard.verify()
        except ShardError:
            return True
        return False

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield compress(shards, pool.map(is_damaged, shards.values()))
    finally:
        pool.shutdown(cancel_futures=True)


def read_whole(paths: Iterable[Path], kind: type[AnySeal]) -> dict[Path, AnySeal]:
    """Return the seals of those shards that are whole, byte for byte."""
    shards = opened(paths, kind)
    with verifying(shards) as damaged:
        broken = set(damaged)
    return {path: shard.seal for path, shard in shards.items() if path not in broken}
