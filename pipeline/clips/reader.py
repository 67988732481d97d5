"""Read ``data/clips``: the files of the sample, byte for byte as in the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.shards.folder import shard_paths
from pipeline.shards.sealed import Seal, Shard


class Original(NamedTuple):
    """A clip's file."""

    data: bytes
    extension: str  # of its name in the archive, such as .mp3


def read_originals(wanted: Iterable[tuple[str, str]], folder: Path = schema.CLIPS) -> Iterator[Original]:
    """Yield the file of each clip, holding one row group in memory; none is read twice for clips in rank order.

    Parameters
    ----------
    wanted
        Clip id and SHA-256 of each, as the waveforms have them, in rank order.

    Raises
    ------
    ShardError
        A shard is missing or damaged, a clip is in none of them, or its file has another SHA-256.
    """
    groups = ((shard, group) for path in shard_paths(folder) for shard in [Shard(path, Seal)] for group in shard.groups)
    files: dict[str, Any] = {}
    for clip_id, sha256 in wanted:
        if clip_id not in files:
            for shard, group in groups:
                ids = shard.read(group, ["clip_id"])["clip_id"].to_pylist()
                if clip_id in ids:
                    files = dict(zip(ids, shard.read(group, ["audio"])["audio"], strict=True))
                    break
            else:
                raise ShardError(f"{folder}: has no clip {clip_id}; make it again with: dvc repro")
        data, path = (files[clip_id][name].as_py() for name in ("bytes", "path"))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ShardError(f"{folder}: the file of {clip_id} is not the one that its waveform is of; run: dvc repro")
        yield Original(data, path.removeprefix(clip_id))


def audio_bytes(path: Path) -> int:
    """Return how many bytes the files in a shard have together, holding one row group in memory."""
    shard = Shard(path, Seal)
    files = (pc.struct_field(shard.read(group, ["audio"])["audio"], "bytes") for group in shard.groups)
    return sum(pc.sum(pc.binary_length(group)).as_py() or 0 for group in files)
