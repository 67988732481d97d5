"""The section on voices: counted again by pandas, and sensible for samples as odd as they come."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.clips import reader
from pipeline.core import schema
from pipeline.report import comparison, examples, voices
from pipeline.report.material import VOICE, Material
from pipeline.report.measurements import measurements
from tests.support.materials import ODD, material, odd_material, with_columns
from tests.support.project import Project


@pytest.fixture(scope="module")
def metrics(reported_once: Project) -> dict[str, Any]:
    return dict(json.loads((reported_once.root / "reports/metrics.json").read_text()))


@pytest.fixture(scope="module")
def table(reported_once: Project) -> pd.DataFrame:
    """Return features and metadata of the demo, side by side."""
    data = reported_once.root / "data"
    features, shards = (
        pd.concat(map(pd.read_parquet, sorted((data / name).glob("*.parquet")))).set_index("clip_id")
        for name in ("features", "waveforms")
    )
    joined = features.drop(columns=["rank", "split"]).join(shards, validate="1:1")
    joined["share"] = (joined["speech_end_seconds"] - joined["speech_start_seconds"]) / joined["duration_seconds"]
    return joined


def summarise(made: Material) -> voices.Voices:
    return voices.summarise(measurements(made), comparison.level_names(made.sample["gender"]).to_numpy())


def with_features(made: Material, **columns: Any) -> Material:
    return with_columns(made, "features", **columns)


def with_genders(made: Material, genders: list[str | None]) -> Material:
    return with_columns(made, "sample", gender=genders)


# Numbers


def test_voices_have_the_medians_of_pandas(metrics: dict[str, Any], table: pd.DataFrame) -> None:
    assert metrics["f0_median_hz"] == pytest.approx(table["f0_median_hz"].median(), abs=1e-3)
    for gender in ("female", "male", "other"):
        of_gender = table.loc[table["gender"] == gender, "f0_median_hz"]
        assert metrics[f"f0_median_hz_{gender}"] == pytest.approx(of_gender.median(), abs=1e-3)
    assert metrics["f0_median_hz_female"] > 1.5 * metrics["f0_median_hz_male"]
    assert metrics["words_per_second_median"] == pytest.approx(table["words_per_second"].median(), abs=1e-5)
    assert metrics["speech_share_median"] == pytest.approx(table["share"].median(), abs=1e-5)
    assert metrics["clips_without_voice"] == table["f0_median_hz"].isna().sum()


def test_voices_have_the_metrics_that_the_documentation_lists() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/report.md").read_text(encoding="utf-8")
    section = page.split("## Voices")[1].split("\n## ")[0]
    documented = {
        name for line in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in line.split("`")[1::2]
    }
    assert documented == set(voices.metrics(measurements(material()), np.array([])))


# Genders


@pytest.mark.parametrize("name", ODD)
def test_voices_have_every_clip_in_one_gender_and_every_pitch_in_one_bin(name: str) -> None:
    odd = odd_material(name)
    made = summarise(odd)
    assert sum(gender.clips for gender in made.genders) == len(odd.sample)
    voiced = int(odd.features["f0_median_hz"].to_pandas().notna().sum())
    assert sum(gender.voiced for gender in made.genders) == voiced
    assert sum(sum(each.counts["sample"]) for each in made.pitch) == voiced
    assert len({each.edges for each in made.pitch}) == 1
    assert [each.title for each in made.pitch] == [f"Pitch, {gender.name}" for gender in made.genders]


def test_genders_are_in_order_of_size_and_the_missing_one_is_last() -> None:
    genders = [None] * 20 + ["b"] * 6 + ["a"] * 3 + ["c"]
    names = [gender.name for gender in summarise(with_genders(material(60), genders)).genders]
    assert names == ["b", "a", "c", "(missing)"]


def test_genders_that_are_rare_are_put_together() -> None:
    genders = [None] * 2 + ["a"] * 9 + ["b"] * 8 + ["c"] * 7 + ["d"] * 2 + ["e"] * 2
    shown = summarise(with_genders(material(60), genders)).genders
    assert [(gender.name, gender.clips) for gender in shown] == [
        *(("a", 9), ("b", 8), ("c", 7), ("2 others", 4)),
        ("(missing)", 2),
    ]


def test_voices_of_silence_have_no_numbers() -> None:
    made = summarise(odd_material("digital silence"))
    assert {(gender.voiced, gender.f0_quartiles_hz, gender.speech_share) for gender in made.genders} == {
        (0, None, None)
    }
    assert all(each.not_shown.endswith("not shown") for each in (*made.pitch, *made.histograms))
    assert [outlier.kind for outlier in made.outliers] == ["No voice found"]


def test_genders_have_the_quartiles_of_their_clips() -> None:
    hertz = np.arange(30, dtype=np.float32) + 90
    hertz[4] = np.nan
    made = with_features(with_genders(material(60), ["a", "b"] * 15), f0_median_hz=hertz)
    for gender, start in zip(summarise(made).genders, (0, 1), strict=True):
        assert gender.f0_quartiles_hz == pytest.approx(np.nanquantile(hertz[start::2], (0.25, 0.5, 0.75)))


# Outliers


def test_outliers_are_those_that_pandas_finds(reported_once: Project, table: pd.DataFrame) -> None:
    usual = table.groupby("gender")["f0_median_hz"].transform("median")
    usual = usual.where(table["gender"] != "other", table["f0_median_hz"].median())  # three clips
    octaves = (table["f0_median_hz"] / usual).map(np.log2)
    expected = {
        "Lowest pitch": octaves.idxmin(),
        "Highest pitch": octaves.idxmax(),
        "Slowest speech": table["words_per_second"].idxmin(),
        "Fastest speech": table["words_per_second"].idxmax(),
        "Least speech": table["share"].idxmin(),
    }
    page = (reported_once.root / schema.REPORT).read_text(encoding="utf-8")
    found = re.findall(r'<h4 id="outlier-\d">(.*?)</h4>.*?<span class="id".*?>(.*?)</span>.*?<audio', page, re.DOTALL)
    assert dict(found) == expected


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("f0_median_hz", 66.0, "Lowest pitch"),
        ("f0_median_hz", 499.0, "Highest pitch"),
        ("words_per_second", 0.1, "Slowest speech"),
        ("words_per_second", 19.0, "Fastest speech"),
        ("speech_end_seconds", 0.2, "Least speech"),
        ("f0_median_hz", np.nan, "No voice found"),
    ],
)
def test_outliers_include_a_planted_clip(column: str, value: float, kind: str) -> None:
    made = material(60)
    planted = made.features[column].to_pandas().copy()
    planted.iloc[17] = value
    found = {each.kind: each.place for each in summarise(with_features(made, **{column: planted})).outliers}
    assert found[kind] == 17


def test_outliers_of_pitch_are_relative_to_the_gender() -> None:
    hertz = np.array([100, 220] * 15, dtype=np.float32)
    hertz[6] = 140  # an a, higher than any other of them
    made = with_features(with_genders(material(60), ["a", "b"] * 15), f0_median_hz=hertz)
    (highest,) = (each for each in summarise(made).outliers if each.kind == "Highest pitch")
    assert (highest.place, highest.distance) == (
        6,
        "140\N{NO-BREAK SPACE}Hz; the median of a is 100\N{NO-BREAK SPACE}Hz",
    )


@pytest.mark.parametrize("clips", [1, 30])
def test_outliers_are_none_where_all_clips_are_alike(clips: int) -> None:
    alike = with_features(material(60, drawn=clips), **{name: np.float32(2) for name in VOICE})
    assert summarise(with_columns(alike, "waveforms", duration_seconds=3.0)).outliers == ()


def test_outliers_have_players_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    made = material(60)
    outliers = [voices.Outlier("Slowest speech", "", place) for place in (9, 2, 5)]
    monkeypatch.setattr(reader, "read_mp3s", lambda wanted: (b"-" * 250_000 for _ in wanted))
    found = examples.read_outliers(made, outliers)
    assert [each.clip_id for each in found] == [made.sample["clip_id"][each.place].as_py() for each in outliers]
    assert [each.mp3 is None for each in found] == [True, False, False]  # those of the ranking's head come first
