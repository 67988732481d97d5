"""One shard: its seal, all of its pages, and what its rows say beside their audio."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.audio import decode
from pipeline.clips.writer import ClipsSeal
from pipeline.core import schema
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Seal, Shard

_AUDIO_NAMES = [field.name for field in schema.AUDIO_COLUMNS.values()]
_CLOSE = 1e-9  # seconds: durations are quotients of integers


@dataclass(frozen=True)
class Examined:
    """A shard that is whole.

    Attributes
    ----------
    seal
        What it says of itself.
    rows
        Its rows without the audio. In place of the MP3s there is ``mp3_sha256``.
    problems
        What its rows contradict: its seal, or themselves.
    """

    path: Path
    seal: Seal
    rows: pd.DataFrame
    problems: tuple[str, ...]


def examine(path: Path, output: str) -> Examined:
    """Verify a shard of `output`, read all of it, and check every row; one row group is in memory.

    Raises
    ------
    ShardError
        Not a byte may differ from what was written, and one does; or it is a shard of something else.
    """
    if output == schema.CLIPS.name:
        return _examine_clips(path)
    shard = Shard(path, DerivedSeal)
    shard.verify()
    if output == schema.WAVEFORMS.name:
        return _examine_waveforms(shard, path)
    frame = _frame([shard.read(group) for group in shard.groups], shard.columns)
    if output == schema.TRANSCRIPTS.name:
        frame = frame.drop(columns="text", errors="ignore")  # as recognised; that of all others is the sentence
    return Examined(path, shard.seal, frame, tuple(_place_problems(frame)))


def _examine_clips(path: Path) -> Examined:
    shard = Shard(path, ClipsSeal)
    shard.verify()
    seal = shard.seal
    tables = []
    for group in shard.groups:
        table = shard.read(group)
        sha256s = [hashlib.sha256(data.as_buffer()).hexdigest() for data in table["mp3"].combine_chunks()]
        tables.append(table.drop_columns(["mp3"]).append_column("mp3_sha256", pa.array(sha256s, pa.string())))
    frame = _frame(tables, shard.columns)
    problems = list(_place_problems(frame))
    if shard.columns != schema.CLIPS_SCHEMA:
        problems.append("has other columns than a shard of clips")
    first, last = seal.ranks
    rejected = [rejection.rank for rejection in seal.rejected]
    if sorted([*frame["rank"], *rejected]) != list(range(first, last + 1)):
        problems.append(f"its rows and the clips rejected among them are not the ranks {first} to {last}, each once")
    if len(seal.nanoseconds) != len(frame):
        problems.append(f"its seal has the lengths of {len(seal.nanoseconds)} clips, and it holds {len(frame)}")
    return Examined(path, seal, frame, tuple(problems))


def _examine_waveforms(shard: Shard[DerivedSeal], path: Path) -> Examined:
    settings = shard.seal.settings
    audio = next((name for name in shard.columns.names if name in _AUDIO_NAMES), None)
    encoding = settings.get("encoding")
    if encoding not in schema.AUDIO_COLUMNS or audio is None or shard.columns != schema.waveforms_schema(encoding):
        return Examined(path, shard.seal, pd.DataFrame(), ("has other columns than a shard of waveforms",))
    tables = []
    lengths: list[int] = []
    for group in shard.groups:
        table = shard.read(group)
        lengths += _lengths(table[audio].combine_chunks())
        tables.append(table.drop_columns([audio]))
    frame = _frame(tables, shard.columns)
    problems = [*_place_problems(frame), *_length_problems(frame, lengths, settings["sample_rate"])]
    return Examined(path, shard.seal, frame, tuple(problems))


def _frame(tables: list[pa.Table], columns: pa.Schema) -> pd.DataFrame:
    frame: pd.DataFrame = (pa.concat_tables(tables) if tables else columns.empty_table()).to_pandas()
    return frame


def _lengths(column: pa.Array) -> list[int]:
    """Return how many samples each row has; FLAC files are decoded for it."""
    if pa.types.is_struct(column.type):
        return [len(decode.from_flac(flac)) for flac in column.field("bytes").to_pylist()]
    lengths: list[int] = pc.list_value_length(column).to_pylist()
    return lengths


def _place_problems(frame: pd.DataFrame) -> Iterator[str]:
    """Yield what is wrong with the ids and ranks of the rows of one shard."""
    for column in ("clip_id", "rank", "table", "split"):
        if column in frame and frame[column].isna().any():
            yield f"{column} is missing in {int(frame[column].isna().sum())} rows"
    if "rank" in frame and not frame["rank"].is_monotonic_increasing:
        yield "its rows are not in the order of their ranks"


def _length_problems(frame: pd.DataFrame, lengths: list[int], sample_rate: Any) -> Iterator[str]:
    """Yield which rows say something else of their waveform than the waveform does."""
    seconds = frame["num_samples"] / frame["sample_rate"]
    wrong = {
        "num_samples is not how many samples the waveform has": frame["num_samples"] != np.array(lengths, dtype=int),
        f"sample_rate is not the {sample_rate} Hz of its seal": frame["sample_rate"] != sample_rate,
        "duration_seconds is not num_samples / sample_rate": (frame["duration_seconds"] - seconds).abs() > _CLOSE,
    }
    for what, rows in wrong.items():
        if rows.any():
            yield f"{what}: {some(frame['clip_id'][rows])}"


def some(clip_ids: pd.Series[str]) -> str:
    """Name a few clips, and say how many more there are."""
    named = ", ".join(map(str, clip_ids[:3]))
    return f"{named} and {len(clip_ids) - 3} more" if len(clip_ids) > 3 else named
