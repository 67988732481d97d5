"""Read ``data/clips``: the MP3s of the sample, byte for byte as in the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.shards.folder import shard_paths
from pipeline.shards.sealed import Seal, Shard


def read_mp3s(wanted: Iterable[tuple[str, str]], folder: Path = schema.CLIPS) -> Iterator[bytes]:
    """Yield the MP3 of each clip, holding one row group in memory; none is read twice for clips in rank order.

    Parameters
    ----------
    wanted
        Clip id and SHA-256 of each, as the waveforms have them, in rank order.

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
    """Return how many bytes the MP3s of a shard have together, holding one row group in memory."""
    shard = Shard(path, Seal)
    return sum(pc.sum(pc.binary_length(shard.read(group, ["mp3"])["mp3"])).as_py() or 0 for group in shard.groups)
