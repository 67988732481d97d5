"""Read ``data/clips``: the files of the sample, byte for byte as in the archive."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from posixpath import splitext
from typing import Any, NamedTuple

import pyarrow.compute as pc

from pipeline.audio import decode
from pipeline.audio.walk import walk
from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.core.schema import PIECE
from pipeline.shards.files import Files
from pipeline.shards.folder import shard_paths
from pipeline.shards.sealed import Seal, Shard


class Original(NamedTuple):
    """A clip's file, or that of the recording which it is a piece of."""

    data: bytes
    extension: str  # of its name in the archive, such as .mp3


def read_originals(
    wanted: Iterable[tuple[str, str]], folder: Path = schema.CLIPS, *, cut: bool = False
) -> Iterator[Original]:
    """Yield the file of each clip, holding one row group in memory; none is read twice for clips in rank order.

    `wanted` are the clip ids and SHA-256 that the waveforms have, in rank order. Of pieces of a recording that a shard
    holds once, it is read for each; with `cut`, they are cut out of it: WAVs of 16 bits, at the recording's rate.

    Raises ShardError if a shard is missing or damaged, a clip is in none of them, or its file has another SHA-256.
    """
    groups = ((shard, group) for path in shard_paths(folder) for shard in [Shard(path, Seal)] for group in shard.groups)
    rows: dict[str, Any] = {}
    for clip_id, sha256 in wanted:
        if clip_id not in rows:
            for shard, group in groups:
                ids = shard.read(group, ["clip_id"])["clip_id"].to_pylist()
                if clip_id in ids:
                    rows = _read_rows(shard, group)
                    break
            else:
                raise ShardError(f"{folder}: has no clip {clip_id}; make it again with: dvc repro")
        audio, *piece = (cell.as_py() for cell in rows[clip_id])
        data = audio["bytes"] or Files(shard).read(audio["path"])
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ShardError(f"{folder}: the file of {clip_id} is not the one that its waveform is of; run: dvc repro")
        if piece and cut:
            yield Original(decode.cut(walk(data), *piece), ".wav")
        else:
            yield Original(data, splitext(audio["path"])[1] if piece else audio["path"].removeprefix(clip_id))


def _read_rows(shard: Shard[Seal], group: int) -> dict[str, Any]:
    """Return the file of each clip of a row group, and where it begins and ends in it if it is a piece."""
    pieces = [name for name in PIECE if name in shard.columns.names]
    table = shard.read(group, ["clip_id", "audio", *pieces])
    return dict(
        zip(table["clip_id"].to_pylist(), zip(*(table[name] for name in ("audio", *pieces)), strict=True), strict=True)
    )


def audio_bytes(paths: Iterable[Path]) -> int:
    """Return how many bytes the files in shards have together, each counted once, holding one row group in memory."""
    sizes: dict[str, int] = {}
    for shard in (Shard(path, Seal) for path in paths):
        for group in shard.groups:
            audio = shard.read(group, ["audio"])["audio"].combine_chunks()
            names, lengths = audio.field("path").to_pylist(), pc.binary_length(audio.field("bytes")).to_pylist()
            sizes |= {name: length for name, length in zip(names, lengths, strict=True) if length is not None}
    return sum(sizes.values())
