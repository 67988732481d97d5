"""The recipe of waveforms: decode an MP3, mix it down to mono, resample, round, encode, measure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.audio import decode, mp3
from pipeline.core import schema
from pipeline.core.errors import Rejected, ShardError
from pipeline.shards.recipe import Recipe

_THREADS = 2  # that decode: libmpg123 and libsoxr leave the interpreter to others meanwhile
_SAMPLES = "waveform.list.element"  # the Parquet name of the column that takes nearly all of the space
_HUGGING_FACE = {pa.float64(): "float64", pa.float32(): "float32"}  # where its names differ from Arrow's
_WITHOUT_SAMPLES = [name for name in schema.waveforms_schema("flac").names if name != "audio"]
_PARQUET: dict[str, dict[str, Any]] = {
    "pcm16": {"compression": "none", "column_encoding": {_SAMPLES: "DELTA_BINARY_PACKED"}},
    "float32": {"compression": {_SAMPLES: "zstd"}, "column_encoding": {_SAMPLES: "BYTE_STREAM_SPLIT"}},
    "flac": {"compression": "none"},
}


@dataclass(frozen=True)
class WaveformRecipe(Recipe):
    """How MP3s become waveforms.

    Attributes
    ----------
    sample_rate
        In Hz.
    encoding
        A key of `pipeline.core.schema.AUDIO_COLUMNS`.
    """

    sample_rate: int
    encoding: str

    NAME: ClassVar[str] = "waveforms"
    REVISION: ClassVar[int] = 1
    INPUTS: ClassVar[tuple[str, ...]] = ("clip_id", "mp3")
    COPIED: ClassVar[tuple[str, ...]] = ("clip_id", *schema.METADATA.names, "table", "split", "rank")
    ROW_GROUP_ROWS: ClassVar[int] = 16  # docs/performance.md has what it takes to get at one of them

    @property
    def columns(self) -> pa.Schema:
        """Those of a shard of waveforms in this encoding."""
        return schema.waveforms_schema(self.encoding)

    def settings(self) -> dict[str, Any]:
        """Return the rate and the encoding."""
        return {"sample_rate": self.sample_rate, "encoding": self.encoding}

    def versions(self) -> dict[str, str]:
        """Return the versions of what decodes, resamples and rounds."""
        return decode.decoder_versions()

    def parquet(self) -> dict[str, Any]:
        """Return how the samples are packed, and which columns have dictionaries and statistics."""
        return {
            "use_dictionary": ["table", "split", "age", "gender", "accent"],
            "write_statistics": _WITHOUT_SAMPLES,
            **_PARQUET[self.encoding],
        }

    def metadata(self) -> dict[str, str]:
        """Return what Hugging Face `datasets` knows a column of audio by."""
        if self.encoding != "flac":
            return {}
        features = {"audio": {"sampling_rate": self.sample_rate, "_type": "Audio"}}
        for field in self.columns:
            features.setdefault(field.name, {"dtype": _HUGGING_FACE.get(field.type, str(field.type)), "_type": "Value"})
        return {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}

    def rows(self, source: pa.Table) -> pa.Table:
        """Decode clips.

        Raises
        ------
        ShardError
            A clip does not decode to what its frames declare: names the clip.
        """
        clip_ids = source["clip_id"].to_pylist()
        with ThreadPoolExecutor(_THREADS) as pool:
            facts, stored = zip(*pool.map(self._made, clip_ids, source["mp3"].to_pylist()), strict=True)
        audio = schema.AUDIO_COLUMNS[self.encoding]
        measured = pa.schema([field for field in self.columns if field.name not in (*self.COPIED, audio.name)])
        table = pa.Table.from_pylist(facts, schema=measured)
        return table.append_column(audio, _audio_array(stored, clip_ids, audio.type))

    def _made(self, clip_id: str, data: bytes) -> tuple[dict[str, Any], npt.NDArray[Any] | bytes]:
        """Return what is known of a clip, and its audio as it is stored."""
        decoded = _decode(clip_id, data, self.sample_rate)
        pcm, clipped = decode.to_pcm16(decoded.waveform)
        peak, rms = decode.levels(decoded.waveform)
        facts = {
            "sample_rate": self.sample_rate,
            "num_samples": len(pcm),
            "duration_seconds": len(pcm) / self.sample_rate,
            "source_sample_rate": decoded.source_sample_rate,
            "source_channels": decoded.source_channels,
            "peak_dbfs": peak,
            "rms_dbfs": rms,
            "clipped_samples": clipped,
            "mp3_sha256": hashlib.sha256(data).hexdigest(),
        }
        return facts, _ENCODERS[self.encoding](decoded, pcm)


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


def _audio_array(stored: Sequence[Any], clip_ids: list[str], column: pa.DataType) -> pa.Array:
    """Return the audio of a row group as an Arrow array, without a Python object for each sample."""
    if pa.types.is_struct(column):
        paths = [f"{clip_id}.flac" for clip_id in clip_ids]
        return pa.StructArray.from_arrays([pa.array(stored, pa.binary()), pa.array(paths)], fields=list(column))
    offsets = np.cumsum([0, *map(len, stored)], dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(stored)), type=column)
