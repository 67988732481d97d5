"""The section on voices: counted again by pandas, and sensible for samples as odd as they come."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.core import schema
from pipeline.report import comparison, voices
from pipeline.report.material import VOICE, Material
from pipeline.report.measurements import measurements
from tests.report.materials import ODD, material, odd_material, with_columns
from tests.support.project import Project


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
    labels = np.full(len(made.sample), voices.ALL, dtype=object)
    if "gender" in made.sample.column_names:
        labels = comparison.level_names(made.sample["gender"]).to_numpy()
    return voices.summarise(measurements(made), labels)


# Numbers


def test_voices_have_the_medians_of_pandas(metrics: dict[str, Any], table: pd.DataFrame) -> None:
    assert metrics["f0_median_hz"] == pytest.approx(table["f0_median_hz"].median(), abs=1e-3)
    of_genders = table.groupby("gender")["f0_median_hz"].median()
    assert metrics["f0_median_hz_by_label"] == pytest.approx(of_genders.to_dict(), abs=1e-3)
    assert metrics["words_per_second_median"] == pytest.approx(table["words_per_second"].median(), abs=1e-5)
    assert metrics["speech_share_median"] == pytest.approx(table["share"].median(), abs=1e-5)
    assert metrics["clips_without_voice"] == table["f0_median_hz"].isna().sum()


def test_voices_have_the_metrics_that_the_documentation_lists() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/report.md").read_text(encoding="utf-8")
    section = page.split("## Voices")[1].split("\n## ")[0]
    documented = {
        name for line in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in line.split("`")[1::2]
    }
    assert documented == {*voices.metrics(measurements(material()), np.array([]), Counter()), "words_per_second_median"}


def test_voices_have_metrics_of_the_nine_most_frequent_labels_of_the_population() -> None:
    population = Counter({"(missing)": 50} | {f"label{number:02}": 1 + number for number in range(12)})
    found = voices.metrics(measurements(material()), np.array(["label11"] * 30), population)["f0_median_hz_by_label"]
    assert list(found) == [f"label{number:02}" for number in range(3, 12)]
    assert [name for name, hertz in found.items() if hertz is not None] == ["label11"]


# Groups by label


@pytest.mark.parametrize("name", ODD)
def test_voices_have_every_clip_in_one_group_and_every_pitch_in_one_bin(name: str) -> None:
    odd = odd_material(name)
    made = summarise(odd)
    assert sum(group.clips for group in made.groups) == len(odd.sample)
    voiced = len(odd.features) - odd.features["f0_median_hz"].null_count
    assert sum(group.voiced for group in made.groups) == voiced
    assert sum(sum(each.counts["sample"]) for each in made.pitch) == voiced
    assert len({each.edges for each in made.pitch}) == 1
    assert [each.title for each in made.pitch] == [f"Pitch, {group.name}" for group in made.groups]


@pytest.mark.parametrize(
    ("genders", "shown"),
    [
        ([*"bbbbbbaaac", *[None] * 20], [("b", 6), ("a", 3), ("c", 1), ("(missing)", 20)]),
        ([*"abcdefghij" * 3], [(letter, 3) for letter in "abcdefghij"]),
        (
            [*"abcdefgh" * 3, *"iijkl", None],
            [*((letter, 3) for letter in "abcdefgh"), ("i", 2), ("3 others", 3), ("(missing)", 1)],
        ),
    ],
)
def test_groups_are_the_nine_largest_and_the_rest_with_the_missing_one_last(
    genders: list[str | None], shown: list[tuple[str, int]]
) -> None:
    made = summarise(with_columns(material(60), "sample", gender=genders))
    assert [(group.name, group.clips) for group in made.groups] == shown


def test_voices_of_silence_have_no_numbers() -> None:
    made = summarise(odd_material("digital silence"))
    assert {(group.voiced, group.f0_quartiles_hz, group.speech_share) for group in made.groups} == {(0, None, None)}
    assert all(each.not_shown.endswith("not shown") for each in made.pitch)
    assert made.histograms == ()
    assert [outlier.kind for outlier in made.outliers] == ["No voice found"]


def test_groups_have_the_quartiles_of_their_clips() -> None:
    hertz = np.arange(30, dtype=np.float32) + 90
    hertz[4] = np.nan
    made = with_columns(with_columns(material(60), "sample", gender=["a", "b"] * 15), "features", f0_median_hz=hertz)
    for group, start in zip(summarise(made).groups, (0, 1), strict=True):
        assert group.f0_quartiles_hz == pytest.approx(np.nanquantile(hertz[start::2], (0.25, 0.5, 0.75)))


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
    planted = made.features[column].to_numpy().copy()
    planted[17] = value
    found = {each.kind: each.place for each in summarise(with_columns(made, "features", **{column: planted})).outliers}
    assert found[kind] == 17


def test_outliers_of_pitch_are_relative_to_the_label() -> None:
    hertz = np.array([100, 220] * 15, dtype=np.float32)
    hertz[6] = 140  # an a, higher than any other of them
    made = with_columns(with_columns(material(60), "sample", gender=["a", "b"] * 15), "features", f0_median_hz=hertz)
    (highest,) = (each for each in summarise(made).outliers if each.kind == "Highest pitch")
    assert (highest.place, highest.distance) == (
        6,
        "140\N{NO-BREAK SPACE}Hz; the median of a is 100\N{NO-BREAK SPACE}Hz",
    )


@pytest.mark.parametrize("clips", [1, 30])
def test_outliers_are_none_where_all_clips_are_alike(clips: int) -> None:
    alike = with_columns(material(60, drawn=clips), "features", **{name: np.float32(2) for name in VOICE})
    assert summarise(with_columns(alike, "waveforms", duration_seconds=3.0)).outliers == ()
