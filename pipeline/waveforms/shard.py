"""One shard of MP3s becomes one shard of waveforms: decode, resample, encode, measure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio import decode, mp3
from pipeline.core import schema
from pipeline.core.errors import Rejected, ShardError
from pipeline.shards import sealed

_ROW_GROUP_CLIPS = 16  # to get at one clip, all of its group are read: docs/performance.md has what that takes

_SAMPLES = "waveform.list.element"  # the Parquet name of the column that weighs
_HUGGING_FACE = {pa.float64(): "float64", pa.float32(): "float32"}  # where its names differ from Arrow's
_WITHOUT_SAMPLES = [name for name in schema.waveforms_schema("flac").names if name != "audio"]
_PARQUET: dict[str, dict[str, Any]] = {
    "pcm16": {"compression": "none", "column_encoding": {_SAMPLES: "DELTA_BINARY_PACKED"}},
    "float32": {"compression": {_SAMPLES: "zstd"}, "column_encoding": {_SAMPLES: "BYTE_STREAM_SPLIT"}},
    "flac": {"compression": "none"},
}


@dataclass(frozen=True)
class Recipe:
    """How a shard of waveforms is made, all of which goes into its seal.

    Attributes
    ----------
    sample_rate
        In Hz.
    encoding
        A key of `schema.AUDIO_COLUMNS`.
    facts
        What else the shard says of itself: versions, snapshot, licence.
    """

    sample_rate: int
    encoding: str
    facts: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """Return what all shards that are made by it say of themselves."""
        return {**self.facts, "sample_rate": self.sample_rate, "encoding": self.encoding}

    def seal(self, source: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a shard made from the shard of clips whose seal is `source` says of itself."""
        seal = self.settings()
        return {**seal, "fingerprint": sealed.fingerprint([seal, source["fingerprint"], source["content_sha256"]])}

    def metadata(self) -> dict[str, str]:
        """Return what readers other than this project's look for: Hugging Face `datasets` knows audio by it."""
        if self.encoding != "flac":
            return {}
        features = {"audio": {"sampling_rate": self.sample_rate, "_type": "Audio"}}
        for field in schema.waveforms_schema("flac"):
            features.setdefault(field.name, {"dtype": _HUGGING_FACE.get(field.type, str(field.type)), "_type": "Value"})
        return {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}


def make_shard(clips: Path, waveforms: Path, recipe: Recipe, earlier: Path) -> int:
    """Decode the clips of a shard; return how many.

    What `earlier`, a shard made by the same recipe, has of these clips in the same places is taken from it: so a shard
    that was not full, and is now fuller, costs only what is new.

    Raises
    ------
    ShardError
        The shard of clips is damaged, or a clip does not decode to what its frames declare: names the clip.
    """
    columns = schema.waveforms_schema(recipe.encoding)
    seal = recipe.seal(sealed.read_whole_seal(clips))
    count = 0
    with (
        pq.ParquetFile(clips) as source,
        _open_earlier(earlier, recipe) as known,
        sealed.writing(
            waveforms,
            columns,
            seal,
            recipe.metadata(),
            use_dictionary=["table", "split", "age", "gender", "accent"],
            write_statistics=_WITHOUT_SAMPLES,
            **_PARQUET[recipe.encoding],
        ) as writer,
    ):
        batches = (
            group.slice(start, _ROW_GROUP_CLIPS)
            for group in (source.read_row_group(number, use_threads=False) for number in range(source.num_row_groups))
            for start in range(0, group.num_rows, _ROW_GROUP_CLIPS)
        )
        for number, batch in enumerate(batches):
            made = _recalled(known, number, batch, columns)
            new = batch.slice(made.num_rows)
            if new.num_rows:
                decoded = _decoded(new, recipe, columns)
                made = pa.concat_tables([made, decoded]).combine_chunks() if made.num_rows else decoded
            for name in set(columns.names) - set(made.column_names):
                made = made.append_column(columns.field(name), batch[name])
            writer.write_table(made.select(columns.names))
            count += new.num_rows
    return count


@contextmanager
def _open_earlier(path: Path, recipe: Recipe) -> Iterator[pq.ParquetFile | None]:
    """Open a shard if it is there, whole, and made by `recipe`."""
    try:
        seal = sealed.read_whole_seal(path)
    except ShardError:
        yield None
        return
    if {**seal, **recipe.settings()} != seal:
        yield None
        return
    with pq.ParquetFile(path) as file:
        yield file


def _recalled(known: pq.ParquetFile | None, number: int, clips: pa.Table, columns: pa.Schema) -> pa.Table:
    """Return what decoding gave for the first of `clips`, as far as row group `number` of `known` has the same ones."""
    made = _made_columns(columns)
    if known is None or number >= known.num_row_groups:
        return made.empty_table()
    before = known.read_row_group(number, columns=["clip_id", *made.names], use_threads=False)
    there = zip(before["clip_id"].to_pylist(), before["mp3_sha256"].to_pylist(), strict=True)
    wanted = zip(clips["clip_id"].to_pylist(), map(_sha256, clips["mp3"].to_pylist()), strict=True)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(there, wanted, strict=False)))
    return before.slice(0, same).select(made.names).cast(made).combine_chunks()


def _made_columns(columns: pa.Schema) -> pa.Schema:
    """Return the columns that come out of decoding; the others are those of the clips."""
    return pa.schema([field for field in columns if field.name not in schema.CLIPS_SCHEMA.names])


def _decoded(clips: pa.Table, recipe: Recipe, columns: pa.Schema) -> pa.Table:
    """Decode clips: `_made_columns`, a row for each."""
    clip_ids = clips["clip_id"].to_pylist()
    facts: list[dict[str, Any]] = []
    stored: list[npt.NDArray[Any] | bytes] = []
    for clip_id, data in zip(clip_ids, clips["mp3"].to_pylist(), strict=True):
        decoded = _decode(clip_id, data, recipe.sample_rate)
        pcm, clipped = decode.to_pcm16(decoded.waveform)
        stored.append(_ENCODERS[recipe.encoding](decoded, pcm))
        peak, rms = decode.levels(decoded.waveform)
        facts.append(
            {
                "sample_rate": recipe.sample_rate,
                "num_samples": len(pcm),
                "duration_seconds": len(pcm) / recipe.sample_rate,
                "source_sample_rate": decoded.source_sample_rate,
                "source_channels": decoded.source_channels,
                "peak_dbfs": peak,
                "rms_dbfs": rms,
                "clipped_samples": clipped,
                "mp3_sha256": _sha256(data),
            }
        )
    made = _made_columns(columns)
    field = schema.AUDIO_COLUMNS[recipe.encoding]
    table = pa.Table.from_pylist(facts, schema=pa.schema([each for each in made if each.name != field.name]))
    return table.append_column(field, _audio_array(stored, clip_ids, field.type)).select(made.names)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _decode(clip_id: str, data: bytes, sample_rate: int) -> decode.Audio:
    """Decode a clip, and make sure that it is as long as its frames declare (law 4)."""
    try:
        declared = mp3.walk(data)
        decoded = decode.load(data, sample_rate)
    except Rejected as rejected:
        problem = f"{rejected.reason.value}, {rejected.detail}"
    else:
        if declared.declares(decoded.source_samples):
            return decoded
        problem = f"its frames declare {declared.num_samples} samples, {decoded.source_samples} were decoded"
    raise ShardError(
        f"the clip {clip_id} cannot be decoded as it should: {problem}.\n"
        f"Leave it out with subsample.exclude: [{clip_id}] in params.yaml"
    )


_ENCODERS: dict[str, Callable[[decode.Audio, decode.Int16], npt.NDArray[Any] | bytes]] = {
    "pcm16": lambda _, pcm: pcm,
    "float32": lambda decoded, _: decoded.waveform,
    "flac": lambda decoded, pcm: decode.to_flac(pcm, decoded.sample_rate),
}


def _audio_array(stored: list[Any], clip_ids: list[str], column: pa.DataType) -> pa.Array:
    """Return the audio of a row group as an Arrow array, without a Python object for each sample."""
    if pa.types.is_struct(column):
        paths = [f"{clip_id}.flac" for clip_id in clip_ids]
        return pa.StructArray.from_arrays([pa.array(stored, pa.binary()), pa.array(paths)], fields=list(column))
    offsets = np.cumsum([0, *map(len, stored)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(stored)), type=column)
