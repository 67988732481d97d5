"""The recipe of waveforms: decode a clip's file, mix it down to mono, resample, round, encode, measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any, ClassVar

import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audio import decode
from pipeline.core.columns import declared
from pipeline.core.errors import Rejected, ShardError
from pipeline.core.params import Excerpt
from pipeline.core.schema import PIECE
from pipeline.shards.files import Files
from pipeline.shards.recipe import Recipe, binary_values
from pipeline.shards.sealed import Shard
from pipeline.waveforms.encodings import ENCODINGS, waveforms_schema
from pipeline.waveforms.excerpts import piece_of
from pipeline.waveforms.recordings import Recordings, Source

_THREADS = 2  # that decode: libmpg123 and libsoxr leave the interpreter to others meanwhile
_HUGGING_FACE = {pa.float64(): "float64", pa.float32(): "float32"}  # where its names differ from Arrow's


def hugging_face_features(columns: pa.Schema, sample_rate: int | None) -> dict[str, dict[str, Any]]:
    """Return what `datasets` calls the features of a table, as its `Features.to_dict` has them; a struct is audio."""
    return {
        field.name: {"sampling_rate": sample_rate, "_type": "Audio"}
        if pa.types.is_struct(field.type)
        else {"dtype": _HUGGING_FACE.get(field.type, str(field.type)), "_type": "Value"}
        for field in columns
    }


@dataclass(frozen=True)
class WaveformRecipe(Recipe):
    """How the files of clips become waveforms."""

    sample_rate: int  # Hz
    encoding: str  # a key of `pipeline.waveforms.encodings.ENCODINGS`
    # The fields of the declared columns, as the clips have them (`pipeline.core.columns.fields`). Not a setting: where
    # only the declaration changes, a shard is written again, and its waveforms are copied.
    declared: tuple[pa.Field, ...] = ()
    excerpt: Excerpt | None = None  # which piece of each recording is decoded; None for all of it

    NAME: ClassVar[str] = "waveforms"
    REVISION: ClassVar[int] = 2
    ROW_GROUP_ROWS: ClassVar[int] = 16  # docs/performance.md has what it takes to get at one of them

    @property
    def are_pieces(self) -> bool:
        """Whether the clips are pieces of recordings."""
        return PIECE[0] in (field.name for field in self.declared)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The id and the file, and where a piece begins and ends."""
        return "clip_id", "audio", *(PIECE if self.are_pieces else ())

    @property
    def copied(self) -> tuple[str, ...]:
        """The id, the declared columns, and where the clip is from."""
        return "clip_id", *(field.name for field in self._copied), "table", "split", "rank"

    @property
    def columns(self) -> pa.Schema:
        """Those of a shard of waveforms in this encoding."""
        return waveforms_schema(self.encoding, self._copied, pieces=self.are_pieces or self.excerpt is not None)

    @property
    def _copied(self) -> list[pa.Field]:
        """The declared columns without the start of a piece, since its excerpt may begin later."""
        return [field for field in self.declared if field.name != PIECE[0]]

    def settings(self) -> dict[str, Any]:
        """Return the rate and the encoding, and the excerpt where there is one."""
        excerpt = {} if self.excerpt is None else {"excerpt": self.excerpt.as_dict()}
        return {"sample_rate": self.sample_rate, "encoding": self.encoding, **excerpt}

    def versions(self) -> dict[str, str]:
        """Return the versions of what decodes, resamples and rounds."""
        return decode.decoder_versions()

    def parquet(self) -> dict[str, Any]:
        """Return how the samples are packed, and which columns have dictionaries and statistics."""
        encoding = ENCODINGS[self.encoding]
        repeating = [each.name for each in declared(self.columns) if each.type == "text" and "text" not in each.roles]
        return {
            "use_dictionary": ["source_format", "table", "split", *repeating],
            "write_statistics": [name for name in self.columns.names if name != encoding.FIELD.name],
            **encoding.PARQUET,
        }

    def metadata(self) -> dict[str, str]:
        """Return what Hugging Face `datasets` knows a column of audio by."""
        if self.encoding != "flac":
            return {}
        features = hugging_face_features(self.columns, self.sample_rate)
        return {"huggingface": json.dumps({"info": {"features": features}}, sort_keys=True)}

    def rows(self, source: pa.Table) -> pa.Table:
        """Decode clips.

        Raises ShardError, which names the clip, if one does not decode to what its file declares.
        """
        chunks = pc.struct_field(source["audio"], "bytes").chunks
        files = chain.from_iterable(map(binary_values, chunks))
        return self._rows(source, [partial(Source.of, file) for file in files], repeat(decode.WHOLE))

    def start(self, source: Shard[Any]) -> Callable[[pa.Table], pa.Table]:
        """Return what decodes the clips of a shard: pieces need recordings whose bytes earlier rows have."""
        if not self.are_pieces:
            return self.rows
        recordings = Recordings(Files(source))

        def rows(pieces: pa.Table) -> pa.Table:
            paths = pc.struct_field(pieces["audio"], "path").to_pylist()
            places = zip(*(pieces[name].to_pylist() for name in PIECE), strict=True)
            return self._rows(pieces, [partial(recordings.get, path) for path in paths], places)

        return rows

    def _rows(
        self, source: pa.Table, files: Iterable[Callable[[], Source]], pieces: Iterable[decode.Piece]
    ) -> pa.Table:
        clip_ids = source["clip_id"].to_pylist()
        with ThreadPoolExecutor(_THREADS) as pool:
            facts, stored = zip(*pool.map(self._row, clip_ids, files, pieces), strict=True)
        encoding = ENCODINGS[self.encoding]
        measured = pa.schema([field for field in self.columns if field.name not in (*self.copied, encoding.FIELD.name)])
        table = pa.Table.from_pylist(facts, schema=measured)
        return table.append_column(encoding.FIELD, encoding.pack(stored, clip_ids))

    def _row(
        self, clip_id: str, file: Callable[[], Source], piece: decode.Piece
    ) -> tuple[dict[str, Any], npt.NDArray[Any] | bytes]:
        """Decode a clip, and make sure that it is as long as its file declares (law 4); return its row and audio."""
        try:
            source = file()
            if self.excerpt is not None:
                piece = piece_of(source.sound, self.sample_rate, self.excerpt, clip_id, piece)
            decoded = decode.load_piece(source.sound, self.sample_rate, piece)
        except Rejected as rejected:
            raise ShardError(
                f"the clip {clip_id} cannot be decoded as it should: {rejected.reason.value}, {rejected.detail}.\n"
                f"Leave it out with subsample.exclude: [{clip_id}] in params.yaml"
            ) from None
        pcm, clipped = decode.to_pcm16(decoded.waveform)
        peak, rms = decode.levels(decoded.waveform)
        facts = {
            "sample_rate": self.sample_rate,
            "num_samples": len(pcm),
            "duration_seconds": len(pcm) / self.sample_rate,
            "source_format": decoded.source_format,
            "source_sample_rate": decoded.source_sample_rate,
            "source_channels": decoded.source_channels,
            "peak_dbfs": peak,
            "rms_dbfs": rms,
            "clipped_samples": clipped,
            "source_sha256": source.sha256,
            "start_seconds": piece[0],
        }
        return facts, ENCODINGS[self.encoding].encode(decoded, pcm)
