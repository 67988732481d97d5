"""What a report is made from, without a snapshot: any number of clips, of any strata, as odd as they come."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.core.schema import REJECTED_COLUMNS, Reason
from pipeline.report import sound
from pipeline.report.examples import Example, OutlierExample
from pipeline.report.html import About
from pipeline.report.material import Material
from pipeline.report.voices import Outlier
from pipeline.sampling.ranking import rank
from pipeline.waveforms.reader import Clip

SPLITS = {"train": 0.6, "dev": 0.2, "test": 0.2}
SCRIPT = "<script>document.title = 'broken'</script>"
ABOUT = About(
    title=f"A snapshot {SCRIPT}",
    license="CC0-1.0",
    citation="Nobody | in particular <b>",
    snapshot="odd",
    facts=(("archive sha256", "0" * 64),),
    parameters=(("stratify.strata", "gender, age"),),
    encoding="pcm16",
    sample_rate=16_000,
    extends="other-odd",
)


def material(
    clips: int = 60,
    *,
    drawn: int | None = None,
    strata: tuple[str, ...] = ("gender", "age"),
    levels: int = 3,
    ages: bool = True,
    genders: int = 2,
    rejected: int = 3,
    silent: bool = False,
    text: str = "the sentence number",
) -> Material:
    """Return a material of a number of clips; `drawn` of them, by default half, are in the sample."""
    numbers = np.arange(clips)
    table = pd.DataFrame({"clip_id": [f"valid-train/sample-{number:06}" for number in numbers]})
    table["table"] = np.array(["valid-train", "valid-dev", "valid-test"], dtype=object)[numbers % 3]
    table["text"] = [f"{text} {number % 20}" for number in numbers]
    table["age"] = [f"age{number // 2 % levels}" if ages else None for number in numbers]
    table["gender"] = [f"gender{number % genders}" if genders else None for number in numbers]
    table["accent"] = None
    table = table.astype({"age": "str", "gender": "str", "accent": "str"}).assign(up_votes=1, down_votes=0)
    table.loc[:, "age"] = table["age"].where(table["age"].notna(), None) if not ages else table["age"]
    ranked = rank(table, strata=strata, allocation="proportional", seed=1, splits=SPLITS)
    count = drawn if drawn is not None else max(1, clips // 2)
    rows = pd.DataFrame(
        [(place, f"bad/{SCRIPT}-{place}", list(Reason)[place % 4].value, "as it is") for place in range(rejected)],
        columns=list(REJECTED_COLUMNS),
    )
    sample = ranked.head(count).assign(weight=1)
    return Material(
        population=table_of(table),
        shipped=table_of(table[["table", "text"]]),
        eligible=table_of(ranked),
        sample=table_of(sample),
        rejected=table_of(rows),
        waveforms=table_of(_waveforms(sample, silent)),
        features=table_of(_features(sample, silent)),
        bytes_mp3=1,
        bytes_clips=2,
        bytes_waveforms=3,
    )


def table_of(frame: pd.DataFrame) -> pa.Table:
    """Return a frame as the table that is read from a file: all that is no number is a string."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    types = [each if pa.types.is_primitive(each) else pa.string() for each in table.schema.types]
    return table.cast(pa.schema(zip(table.column_names, types, strict=True)))


def with_columns(made: Material, *tables: str, **columns: Any) -> Material:
    """Return a material in which these columns of these tables hold something else, as pandas assigns it."""
    changed = {name: table_of(getattr(made, name).to_pandas().assign(**columns)) for name in tables}
    return replace(made, **changed)


def _waveforms(sample: pd.DataFrame, silent: bool) -> pd.DataFrame:
    samples = 16_000 + 400 * np.arange(len(sample))
    level = -math.inf if silent else -6.5
    return sample.assign(
        num_samples=samples,
        duration_seconds=samples / 16_000,
        peak_dbfs=np.float32(level),
        rms_dbfs=np.float32(level - 14),
        clipped_samples=0,
        mp3_sha256="0" * 64,
    )


def _features(sample: pd.DataFrame, silent: bool) -> pd.DataFrame:
    numbers = np.full(len(sample), np.nan) if silent else np.arange(len(sample), dtype=np.float64)
    columns = {
        "f0_median_hz": 100 + numbers,
        "words_per_second": 2 + numbers / 10,
        "speech_start_seconds": 0.1 + numbers * 0,
        "speech_end_seconds": 0.9 + numbers / 100,
    }
    return pd.DataFrame({name: values.astype(np.float32) for name, values in columns.items()})


def outlier_example(text: str | None, mp3: bytes | None = b"ID3") -> OutlierExample:
    """Return an outlier with the sentence `text`."""
    outlier = Outlier("Lowest pitch", f"70 Hz; the median of {SCRIPT} is 100 Hz", 0)
    return OutlierExample(outlier, f"valid-train/{SCRIPT}", text, None, None, 0.5, mp3)


def example(text: str | None, mp3: bytes | None = b"ID3", *, silent: bool = False) -> Example:
    """Return a clip to look at, with the sentence `text`."""
    samples = np.zeros(8000, dtype=np.float32)
    if not silent:
        samples[:] = np.sin(np.arange(8000) / 10) / 2
    clip = Clip(
        clip_id=f"valid-train/{SCRIPT}",
        waveform=samples,
        sample_rate=16_000,
        num_samples=8000,
        duration_seconds=0.5,
        source_sample_rate=48_000,
        source_channels=1,
        text=text,
        age=None,
        gender=None,
        accent=None,
        up_votes=1,
        down_votes=0,
        table="valid-train",
        split="train",
        rank=0,
        peak_dbfs=-math.inf if silent else -6.0,
        rms_dbfs=-math.inf if silent else -9.0,
        clipped_samples=0,
        mp3_sha256="0" * 64,
    )
    return Example(clip, sound.draw(samples, 16_000), mp3)


# The options of `material`, by what is odd about it.
ODD: dict[str, dict[str, Any]] = {
    "one clip": {"clips": 1, "rejected": 0},
    "nothing rejected": {"rejected": 0},
    "one stratum": {"strata": ()},
    "a hundred strata": {"clips": 400, "levels": 100},
    "no ages": {"ages": False},
    "no genders": {"genders": 0},
    "seven genders": {"genders": 7},
    "digital silence": {"silent": True},
    "script in the sentences": {"text": SCRIPT},
    "sentences without spaces": {"text": "今天天气很好"},
}


@functools.cache
def odd_material(name: str) -> Material:
    """Return one of the odd materials, made when it is first asked for."""
    return material(**ODD[name])
