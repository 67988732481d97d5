"""Every agreement between the parts, once: file names, columns, Arrow schemas, vocabularies."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pyarrow as pa

from pipeline.core.version import version

VERSION = version()  # of this project

PARAMS = Path("params.yaml")
SNAPSHOTS = Path("configs/snapshots")
RUNTIME = Path("configs/runtime.yaml")

DATA = Path("data")
ARCHIVE = Path("data/archive")  # whole copies of remote archives, and indexes of tar archives; no output of DVC
SNAPSHOT = Path("data/snapshot")
CLIP_TABLE = SNAPSHOT / "clips.parquet"
RECEIPT = SNAPSHOT / "receipt.json"
RANKING = Path("data/ranking.parquet")
CLIPS = Path("data/clips")
REJECTED = Path("data/rejected.csv")
SAMPLE = Path("data/sample.parquet")
WAVEFORMS = Path("data/waveforms")
FEATURES = Path("data/features")
TRANSCRIPTS = Path("data/transcripts")
REPORTS = Path("reports")
METRICS = REPORTS / "metrics.json"
REPORT = REPORTS / "report.html"
CARD = REPORTS / "DATASET_CARD.md"
DRAWN = REPORTS / "clips"  # what `show` draws, and no stage
PLOTS = {name: REPORTS / "plots" / f"{name}.csv" for name in ("levels", "strata", "distributions", "rejected")}


class Reason(StrEnum):
    """Why a clip was rejected: the closed list of ``data/rejected.csv``."""

    EXCLUDED = "excluded"  # named in subsample.exclude
    MISSING = "missing"  # the tables name it, the archive has no such member
    CHECKSUM = "checksum"  # its bytes are not those that the archive's index describes
    EMPTY = "empty"  # no bytes at all
    NOT_AUDIO = "not_audio"  # no audio, or no file at all by its first bytes: a page, a picture, text
    TRUNCATED = "truncated"  # ends inside of its structure, or before what it announces
    DAMAGED = "damaged"  # other bytes than its structure says, or a frame that no recording can have
    UNSUPPORTED = "unsupported"  # audio of a format that is not decoded here
    UNDECODABLE = "undecodable"  # the decoder refuses it, or gives another length than its frames declare
    TOO_SHORT = "too_short"  # shorter than subsample.seconds allows
    TOO_LONG = "too_long"  # longer than subsample.seconds allows


MEMBERS = pa.schema(
    [
        ("name", pa.string()),  # as in the archive, with / between folders
        ("method", pa.int32()),  # of a zip: 0 stored, 8 deflated (APPNOTE.TXT 4.4.5)
        ("flags", pa.int32()),  # of a zip: general purpose bits (APPNOTE.TXT 4.4.4)
        ("offset", pa.int64()),  # of a zip's local header; of the data in an uncompressed tar; null in a folder
        ("compressed_bytes", pa.int64()),  # of a zip
        ("size_bytes", pa.int64()),
        ("crc32", pa.int64()),  # of the uncompressed bytes; null in a folder
    ]
)

_PLACE = [("rank", pa.int64()), ("clip_id", pa.string())]
_ORIGIN = [("table", pa.string()), ("split", pa.string()), ("stratum", pa.string())]

PIECE = ("start_seconds", "end_seconds")  # of a clip that is a piece of a recording; only there

AUDIO_FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # as Hugging Face's Audio
LEAST_SAMPLE_RATE = 8000  # Hz, of a telephone; below, features have no spectrum to speak of
REJECTED_COLUMNS = ("rank", "clip_id", "reason", "detail")


Declared = Iterable[pa.Field]  # the declared columns, as `pipeline.core.columns.fields` returns them


def ranking_schema(declared: Declared) -> pa.Schema:
    """Return the columns of ``data/ranking.parquet``."""
    return pa.schema([*_PLACE, *_ORIGIN, *declared])


def sample_schema(declared: Declared) -> pa.Schema:
    """Return the columns of ``data/sample.parquet``."""
    return pa.schema([*_PLACE, *_ORIGIN, *declared, ("weight", pa.int64())])


def clips_schema(declared: Declared) -> pa.Schema:
    """Return the columns of a shard of ``data/clips``; `audio` is the file as published."""
    return pa.schema([*_PLACE, ("audio", AUDIO_FILE), *_ORIGIN[:2], *declared])


def waveforms_schema(audio: pa.Field, declared: Declared, *, pieces: bool = False) -> pa.Schema:
    """Return the columns of a shard of waveforms; `audio` is that of its encoding (`pipeline.waveforms.encodings`).

    With `pieces`, each waveform is a piece of its file, and a column says where in it that begins.
    """
    return pa.schema(
        [
            ("clip_id", pa.string()),
            audio,
            ("sample_rate", pa.int32()),  # Hz
            ("num_samples", pa.int32()),
            ("duration_seconds", pa.float64()),
            ("source_format", pa.string()),  # of the file, in libsndfile's names: MP3, WAV/PCM_16, OGG/VORBIS
            ("source_sample_rate", pa.int32()),  # Hz, of the file
            ("source_channels", pa.int32()),
            *declared,
            ("table", pa.string()),
            ("split", pa.string()),
            ("rank", pa.int64()),
            *([("start_seconds", pa.float64())] if pieces else []),
            ("peak_dbfs", pa.float32()),
            ("rms_dbfs", pa.float32()),
            ("clipped_samples", pa.int32()),
            ("source_sha256", pa.string()),
        ]
    )
