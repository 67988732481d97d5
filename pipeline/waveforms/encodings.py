"""How waveforms are stored in Parquet: a class for each encoding, and nothing else knows one from another.

To add one, write its class and name it in `ENCODINGS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core import schema
from pipeline.core.errors import ParameterError

if TYPE_CHECKING:
    from pipeline.audio.decode import Audio, Float32, Int16

_SAMPLES = "waveform.list.element"  # the Parquet name of the column that takes nearly all of the space


class Encoding(ABC):
    """One way to store waveforms."""

    FIELD: ClassVar[pa.Field]  # the Parquet column; encodings with columns of the same type unpack alike
    PARQUET: ClassVar[dict[str, Any]]  # options of `pyarrow.parquet.ParquetWriter` for that column
    BYTES_PER_SECOND: ClassVar[int]  # stored for a second of 16 kHz speech, measured on the snapshot's own clips

    @abstractmethod
    def encode(self, audio: Audio, pcm: Int16) -> npt.NDArray[Any] | bytes:
        """Return one clip as it is stored; `pcm` is its waveform in 16 bits."""

    @abstractmethod
    def pack(self, encoded: Sequence[Any], clip_ids: Sequence[str]) -> pa.Array:
        """Return the column of a row group."""

    @abstractmethod
    def unpack(self, column: pa.Array) -> list[Float32]:
        """Return the waveform of each row, float32 in −1…1."""


class _Lists(Encoding):
    """A list of numbers for each clip, packed and unpacked without a Python object for each sample.

    No sample is ever missing. Declaring so spares Parquet a level for each: a fifth of the time to write and to read.
    """

    def pack(self, encoded: Sequence[npt.NDArray[Any]], clip_ids: Sequence[str]) -> pa.Array:  # noqa: ARG002
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.concatenate(encoded)), type=self.FIELD.type)

    def unpack(self, column: pa.Array) -> list[Float32]:
        samples, offsets = self.to_float(column.values.to_numpy()), column.offsets.to_numpy()
        return [samples[start:stop] for start, stop in pairwise(offsets)]

    @abstractmethod
    def to_float(self, samples: npt.NDArray[Any]) -> Float32:
        """Return stored samples as float32 in −1…1."""


class Pcm16(_Lists):
    """16 bit integers, the differences between neighbours in as few bits as they need."""

    FIELD = pa.field("waveform", pa.list_(pa.field("element", pa.int16(), nullable=False)), nullable=False)
    PARQUET: ClassVar[dict[str, Any]] = {
        "compression": "none",
        "column_encoding": {_SAMPLES: "DELTA_BINARY_PACKED"},
    }
    BYTES_PER_SECOND = 17_500

    def encode(self, audio: Audio, pcm: Int16) -> Int16:  # noqa: ARG002
        """Return the nearest 16 bit values."""
        return pcm

    def to_float(self, samples: Int16) -> Float32:
        """Scale them."""
        waveform = samples.astype(np.float32)
        waveform *= np.float32(1 / (1 << 15))  # exact, as it is a power of two, and quicker than to divide
        return waveform


class Float32Lists(_Lists):
    """float32, exactly as decoded."""

    FIELD = pa.field("waveform", pa.list_(pa.field("element", pa.float32(), nullable=False)), nullable=False)
    PARQUET: ClassVar[dict[str, Any]] = {
        "compression": {_SAMPLES: "zstd"},
        "column_encoding": {_SAMPLES: "BYTE_STREAM_SPLIT"},
    }
    BYTES_PER_SECOND = 64_000

    def encode(self, audio: Audio, pcm: Int16) -> Float32:  # noqa: ARG002
        """Return the waveform."""
        return audio.waveform

    def to_float(self, samples: Float32) -> Float32:
        """Return them as they are."""
        return samples


class Flac(Encoding):
    """A FLAC file of 16 bits for each clip, as the Audio column of Hugging Face `datasets`."""

    FIELD = pa.field("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    PARQUET: ClassVar[dict[str, Any]] = {"compression": "none"}
    BYTES_PER_SECOND = 14_800

    def encode(self, audio: Audio, pcm: Int16) -> bytes:
        """Return the file."""
        from pipeline.audio import decode  # noqa: PLC0415  reading pcm16 takes no decoder

        return decode.to_file(pcm, audio.sample_rate, "FLAC")

    def pack(self, encoded: Sequence[bytes], clip_ids: Sequence[str]) -> pa.Array:
        """Name each file by its clip."""
        paths = pa.array([f"{clip_id}.flac" for clip_id in clip_ids], pa.string())
        return pa.StructArray.from_arrays([pa.array(encoded, pa.binary()), paths], fields=list(self.FIELD.type))

    def unpack(self, column: pa.Array) -> list[Float32]:
        """Decode each file."""
        from pipeline.audio import decode  # noqa: PLC0415

        return [decode.from_flac(flac) for flac in column.field("bytes").to_pylist()]


ENCODINGS: dict[str, Encoding] = {"pcm16": Pcm16(), "float32": Float32Lists(), "flac": Flac()}
AUDIO_NAMES = frozenset(encoding.FIELD.name for encoding in ENCODINGS.values())


def encoding_named(name: str) -> Encoding:
    """Return the encoding that params.yaml asks for.

    Raises ParameterError if there is none of that name.
    """
    if name not in ENCODINGS:
        problem = f"waveforms.encoding: should be one of {', '.join(ENCODINGS)}; got {name!r}"
        raise ParameterError(str(schema.PARAMS), [problem])
    return ENCODINGS[name]


def waveforms_schema(encoding: str, declared: schema.Declared = (), *, pieces: bool = False) -> pa.Schema:
    """Return the columns of a shard of waveforms in an encoding, with the declared columns."""
    return schema.waveforms_schema(ENCODINGS[encoding].FIELD, declared, pieces=pieces)


def waveforms_of(column: pa.Array) -> list[Float32]:
    """Return the waveform of each row of an audio column, float32 in −1…1, in whichever encoding it is stored."""
    encoding = next(each for each in ENCODINGS.values() if each.FIELD.type == column.type)
    return encoding.unpack(column)
