"""The MP3s of some clips, byte for byte as the archive holds them, read from the shards in ``data/clips``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.shards import sealed


def read_mp3s(clip_ids: Iterable[str], folder: Path = schema.CLIPS) -> dict[str, bytes]:
    """Return the MP3 of each of these clips; what lies behind the last of them is not read.

    Raises
    ------
    ShardError
        There are no shards, one is damaged, or a clip is in none of them.
    """
    wanted = list(clip_ids)
    found: dict[str, bytes] = {}
    for path in sealed.shard_paths(folder):
        with _opened(path) as shard:
            for group in range(shard.num_row_groups):
                if len(found) == len(set(wanted)):
                    return {clip_id: found[clip_id] for clip_id in wanted}
                ids = shard.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist()
                places = [place for place, clip_id in enumerate(ids) if clip_id in wanted]
                if places:
                    mp3s = shard.read_row_group(group, columns=["mp3"])["mp3"]
                    found.update((ids[place], mp3s[place].as_py()) for place in places)
    missing = [clip_id for clip_id in wanted if clip_id not in found]
    if missing:
        raise ShardError(f"{folder}: has no MP3 of {', '.join(missing)}; make it again with: dvc repro")
    return {clip_id: found[clip_id] for clip_id in wanted}


def mp3_bytes(path: Path) -> int:
    """Return how many bytes the MP3s of a shard have together, holding one row group in memory.

    Raises
    ------
    ShardError
        It is damaged.
    """
    total = 0
    with _opened(path, verify=False) as shard:  # lengths alone are read of the pages
        for group in range(shard.num_row_groups):
            column = shard.read_row_group(group, columns=["mp3"], use_threads=False)["mp3"]
            total += pc.sum(pc.binary_length(column)).as_py() or 0
    return total


@contextmanager
def _opened(path: Path, *, verify: bool = True) -> Iterator[pq.ParquetFile]:
    """Open a shard; with `verify`, a page that is read has to have its checksum."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=verify, pre_buffer=False) as shard:
            yield shard
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{path}: cannot be read ({error}); get it again with: dvc checkout or dvc pull") from None
