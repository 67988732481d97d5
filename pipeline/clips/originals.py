"""The MP3s of some clips, byte for byte as the archive holds them, read from the shards in ``data/clips``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.shards import sealed


def read_mp3s(clip_ids: Iterable[str], folder: Path = schema.CLIPS) -> dict[str, bytes]:
    """Return the MP3 of each of these clips.

    Raises
    ------
    ShardError
        There are no shards, or a clip is in none of them.
    """
    wanted = list(clip_ids)
    found: dict[str, bytes] = {}
    for path in sealed.shard_paths(folder):
        with pq.ParquetFile(path) as shard:
            for group in range(shard.num_row_groups):
                ids = shard.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist()
                places = [place for place, clip_id in enumerate(ids) if clip_id in wanted]
                if places:
                    mp3s = shard.read_row_group(group, columns=["mp3"])["mp3"]
                    found.update((ids[place], mp3s[place].as_py()) for place in places)
    missing = [clip_id for clip_id in wanted if clip_id not in found]
    if missing:
        raise ShardError(f"{folder}: has no MP3 of {', '.join(missing)}; make it again with: dvc repro")
    return {clip_id: found[clip_id] for clip_id in wanted}


def mp3_bytes(folder: Path = schema.CLIPS) -> int:
    """Return how many bytes all MP3s together have, holding one row group in memory."""
    total = 0
    for path in sealed.shard_paths(folder):
        with pq.ParquetFile(path) as shard:
            for group in range(shard.num_row_groups):
                column = shard.read_row_group(group, columns=["mp3"])["mp3"]
                total += pc.sum(pc.binary_length(column)).as_py() or 0
    return total
