"""The MP3s of the sample, byte for byte as the archive holds them, read from the shards in ``data/clips``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import schema
from pipeline.core.errors import GET_AGAIN, ShardError
from pipeline.shards.folder import shard_paths
from pipeline.shards.sealed import Seal, Shard


def read_mp3s(wanted: Iterable[tuple[str, str]], folder: Path = schema.CLIPS) -> Iterator[bytes]:
    """Yield the MP3 of each clip; one row group is in memory, and none is read twice for clips in rank order.

    Parameters
    ----------
    wanted
        Clip id and SHA-256 of each, as the waveforms have them, in the order of the ranking.

    Raises
    ------
    ShardError
        A shard is missing or damaged, a clip is in none of them, or its MP3 has another SHA-256.
    """
    groups = ((shard, group) for path in shard_paths(folder) for shard in [Shard(path, Seal)] for group in shard.groups)
    places: dict[str, int] = {}
    mp3s = pa.chunked_array([], pa.binary())
    for clip_id, sha256 in wanted:
        if clip_id not in places:
            for shard, group in groups:
                ids = shard.read(group, ["clip_id"])["clip_id"].to_pylist()
                if clip_id in ids:
                    places = {each: place for place, each in enumerate(ids)}
                    mp3s = shard.read(group, ["mp3"])["mp3"]
                    break
            else:
                raise ShardError(f"{folder}: has no MP3 of {clip_id}; make it again with: dvc repro")
        data: bytes = mp3s[places[clip_id]].as_py()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ShardError(f"{folder}: the MP3 of {clip_id} is not the one that its waveform is of; run: dvc repro")
        yield data


def mp3_bytes(path: Path) -> int:
    """Return how many bytes the MP3s of a shard have together, holding one row group in memory.

    Its footer is verified. Its pages are not: `waveforms` has done that, and after a wrong length none can be read.

    Raises
    ------
    ShardError
        It is damaged.
    """
    shard = Shard(path, Seal)
    try:
        with pq.ParquetFile(path, metadata=shard.metadata, pre_buffer=False) as file:
            groups = (file.read_row_group(group, columns=["mp3"], use_threads=False) for group in shard.groups)
            return sum(pc.sum(pc.binary_length(group["mp3"])).as_py() or 0 for group in groups)
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{path}: cannot be read ({error}); {GET_AGAIN}") from None
