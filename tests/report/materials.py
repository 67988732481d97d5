"""What a report is made from, without a snapshot: any number of clips, of any strata, as odd as they come."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core.columns import Column
from pipeline.core.schema import REJECTED_COLUMNS, Reason
from pipeline.core.words import word_count
from pipeline.report import numbers, sound
from pipeline.report.examples import Example, Player
from pipeline.report.html import About
from pipeline.report.material import VOICE, Material
from pipeline.report.numbers import Report
from pipeline.report.voices import Outlier
from pipeline.sampling.ranking import rank
from pipeline.sampling.splits import assign
from pipeline.waveforms.reader import Clip

SPLITS = {"train": 0.6, "dev": 0.2, "test": 0.2}
SCRIPT = "<script>document.title = 'broken'</script>"
ABOUT = About(
    title=f"A snapshot {SCRIPT}",
    license="CC0-1.0",
    citation="Nobody | in particular <b>",
    snapshot="odd",
    facts=(("archive sha256", "0" * 64),),
    remarks=(f"a: 3 rows with an undocumented value of {SCRIPT}",),
    splits=SPLITS,
    parameters=(("stratify.strata", "gender, age"),),
    encoding="pcm16",
    sample_rate=16_000,
)
SPOKEN = (
    Column("sentence", roles=("text",), is_apart=True),
    Column("gender", roles=("label",), values=("gender0", "gender1")),
    Column("age"),
    Column("accent", values=("us", "england")),
)
UNSPOKEN = (*SPOKEN[1:], Column("recording", "integer", is_apart=True))


def material(
    clips: int = 60,
    *,
    drawn: int | None = None,
    columns: tuple[Column, ...] = SPOKEN,
    strata: tuple[str, ...] = ("gender", "age"),
    levels: int = 3,
    ages: bool = True,
    genders: int = 2,
    rejected: int = 3,
    silent: bool = False,
    text: str = "the sentence number",
) -> Material:
    """Return a material of a number of clips; `drawn` of them, by default half, are in the sample."""
    numbers = range(clips)
    values = {
        "clip_id": [f"valid-train/sample-{number:06}" for number in numbers],
        "table": [("valid-train", "valid-dev", "valid-test")[number % 3] for number in numbers],
        "sentence": [f"{text} {number % 20}" for number in numbers],
        "gender": [f"gender{number % genders}" if genders else None for number in numbers],
        "age": [f"age{number // 2 % levels}" if ages else None for number in numbers],
        "accent": [None] * clips,
        "recording": [number % 20 for number in numbers],
    }
    fields = [pa.field("clip_id", pa.string()), pa.field("table", pa.string()), *(each.field for each in columns)]
    table = pa.table([pa.array(values[field.name], field.type) for field in fields], pa.schema(fields))
    split = pa.array(assign(table, SPLITS, seed=1), pa.string())
    ranked = rank(table.append_column("split", split), strata, "proportional", seed=1)
    sample = ranked.slice(0, drawn if drawn is not None else max(1, clips // 2))
    return Material(
        population=table,
        undocumented=0,
        eligible=ranked,
        sample=sample.append_column("weight", pa.array([1] * len(sample))),
        rejected=pa.table(
            [
                [str(place) for place in range(rejected)],
                [f"bad/{SCRIPT}-{place}" for place in range(rejected)],
                [list(Reason)[place % 4].value for place in range(rejected)],
                ["as it is"] * rejected,
            ],
            pa.schema([(name, pa.string()) for name in REJECTED_COLUMNS]),
        ),
        waveforms=_waveforms(sample, silent),
        features=_features(len(sample), silent, word_count(text) if SPOKEN[0] in columns else None),
        bytes_originals=1,
        bytes_clips=2,
        bytes_waveforms=3,
    )


def with_columns(made: Material, *tables: str, **columns: Any) -> Material:
    """Return a material in which these columns of these tables hold other values; a single one stands in all rows."""
    changed = {}
    for name in tables:
        table: pa.Table = getattr(made, name)
        for column, values in columns.items():
            place, several = table.column_names.index(column), isinstance(values, list | np.ndarray)
            array = pa.array(values if several else [values] * len(table), table.schema.types[place], from_pandas=True)
            table = table.set_column(place, table.schema.field(place), array)
        changed[name] = table
    return replace(made, **changed)


def _waveforms(sample: pa.Table, silent: bool) -> pa.Table:
    samples = 16_000 + 400 * np.arange(len(sample))
    level = -math.inf if silent else -6.5
    return pa.table(
        {
            "clip_id": sample["clip_id"],
            "split": sample["split"],
            "num_samples": samples.astype(np.int32),
            "duration_seconds": samples / 16_000,
            "source_format": ["MP3" if place % 2 else "WAV/PCM_16" for place in range(len(sample))],
            "source_sha256": [f"{place:064x}" for place in range(len(sample))],
            "peak_dbfs": np.full(len(sample), level, np.float32),
            "rms_dbfs": np.full(len(sample), level - 14, np.float32),
            "clipped_samples": np.zeros(len(sample), np.int32),
        }
    )


def _features(clips: int, silent: bool, words: int | None) -> pa.Table:
    numbers = np.full(clips, np.nan) if silent else np.arange(clips, dtype=np.float64)
    rates = numbers * np.nan if words is None else 2 + numbers / 10
    measured = (100 + numbers, [words] * clips, rates, 0.1 + numbers * 0, 0.9 + numbers / 100)
    types = [pa.int32() if name == "words" else pa.float32() for name in VOICE]
    columns = [pa.array(each, from_pandas=True).cast(kind) for each, kind in zip(measured, types, strict=True)]
    return pa.table(columns, VOICE)


def example(
    text: str | None, columns: tuple[Column, ...] = SPOKEN, *, silent: bool = False, outlier: bool = False
) -> Example:
    """Return a clip to look at, or an outlier; all its columns but numbers are `text`."""
    samples = np.zeros(8000, dtype=np.float32)
    if not silent:
        samples[:] = np.sin(np.arange(8000) / 10) / 2
    clip = Clip(
        clip_id=f"valid-train/{SCRIPT}",
        waveform=samples,
        sample_rate=16_000,
        num_samples=8000,
        duration_seconds=0.5,
        source_format="MP3",
        source_sample_rate=48_000,
        source_channels=1,
        columns={each.name: text if each.type == "text" else 3 for each in columns},
        label=None,
        text=text,
        table="valid-train",
        split="train",
        rank=0,
        peak_dbfs=-math.inf if silent else -6.0,
        rms_dbfs=-math.inf if silent else -9.0,
        clipped_samples=0,
        source_sha256="0" * 64,
    )
    player = Player(b"ID3", "audio/mpeg") if text else Player(None, "", "Too long for a player in this page.")
    if outlier:
        distance = f"70 Hz; the median of {SCRIPT} is 100 Hz"
        return Example(clip, player, outlier=Outlier("Lowest pitch", distance, 0))
    return Example(clip, player, sound=sound.draw(samples, 16_000))


# The options of `material`, by what is odd about it.
ODD: dict[str, dict[str, Any]] = {
    "one clip": {"clips": 1, "rejected": 0},
    "nothing rejected": {"rejected": 0},
    "one stratum": {"strata": ()},
    "a hundred strata": {"clips": 400, "levels": 100},
    "no ages": {"ages": False},
    "no genders": {"genders": 0},
    "seventeen genders": {"clips": 100, "genders": 17},
    "digital silence": {"silent": True},
    "script in the sentences": {"text": SCRIPT},
    "sentences without spaces": {"text": "今天天气很好"},
    "no text": {"columns": UNSPOKEN},
    "no column": {"columns": (), "strata": ()},
}


@functools.cache
def odd_material(name: str) -> Material:
    """Return one of the odd materials, made when it is first asked for."""
    return material(**ODD[name])


def report_of(made: Material, strata: tuple[str, ...] = ("gender", "age")) -> Report:
    """Return the report of a material whose strata are drawn in proportion."""
    return numbers.summarise(made, strata, "proportional")


def odd_report(name: str) -> Report:
    """Return the report of one of the odd materials."""
    return report_of(odd_material(name), ODD[name].get("strata", ("gender", "age")))
