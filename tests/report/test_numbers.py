"""The numbers of the report: counted again by another route, and sensible for samples as odd as they come."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import numbers
from pipeline.sampling.splits import normalise
from tests.support.materials import ODD, material
from tests.support.project import Project

VALID = ("valid-train", "valid-dev", "valid-test")


@pytest.fixture(scope="module")
def reported(staged_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = staged_once.copy(tmp_path_factory.mktemp("reported") / "project")
    project.stage("report")
    return project


@pytest.fixture(scope="module")
def metrics(reported: Project) -> dict[str, Any]:
    return dict(json.loads((reported.root / "reports/metrics.json").read_text()))


@pytest.fixture(scope="module")
def tables(reported: Project) -> pd.DataFrame:
    folder = reported.root / "data/snapshot/tables"
    read = {name: pd.read_csv(folder / f"cv-{name}.csv", dtype=str, keep_default_na=False) for name in VALID}
    return pd.concat(read, names=["table"]).reset_index("table")


@pytest.fixture(scope="module")
def shards(reported: Project) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((reported.root / "data/waveforms").glob("*.parquet"))))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def test_clips_are_counted_as_pandas_counts_the_tables_and_the_shards(
    reported: Project, metrics: dict[str, Any], tables: pd.DataFrame, shards: pd.DataFrame
) -> None:
    ranking = pd.read_parquet(reported.root / "data/ranking.parquet")
    rejected = pd.read_csv(reported.root / "data/rejected.csv")
    assert metrics["population"] == len(tables)
    assert metrics["eligible"] == ((tables["age"] != "") & (tables["gender"] != "")).sum() == len(ranking)
    assert metrics["accepted"] == len(shards)
    assert metrics["examined"] == ranking["rank"].isin([*shards["rank"], *rejected["rank"]]).sum()
    assert metrics["rejected"] == len(rejected)
    for reason, clips in rejected.groupby("reason"):
        assert metrics[f"rejected_{reason}"] == len(clips)
    for split, clips in shards.groupby("split"):
        assert metrics[f"split_{split}"] == len(clips)


def test_audio_is_measured_as_numpy_measures_the_stored_samples(
    reported: Project, metrics: dict[str, Any], shards: pd.DataFrame
) -> None:
    lengths = shards["waveform"].map(len).to_numpy()
    assert metrics["bytes_float32"] == sum(each.astype(np.float32).nbytes for each in shards["waveform"])
    assert metrics["hours"] == pytest.approx(lengths.sum() / 16_000 / 3600, abs=1e-6)
    assert metrics["seconds_median"] == pytest.approx(np.median(lengths) / 16_000, abs=1e-6)
    assert metrics["seconds_mean"] == pytest.approx(lengths.mean() / 16_000, abs=1e-6)
    assert (metrics["seconds_min"], metrics["seconds_max"]) == (lengths.min() / 16_000, lengths.max() / 16_000)
    floats = [each / 32768 for each in shards["waveform"]]
    peaks = [20 * np.log10(np.abs(each).max()) for each in floats]
    rms = [10 * np.log10(np.mean(each**2)) for each in floats]
    assert metrics["peak_dbfs_median"] == pytest.approx(np.median(peaks), abs=0.01)
    assert metrics["rms_dbfs_median"] == pytest.approx(np.median(rms), abs=0.01)
    mp3s = pd.concat(map(pd.read_parquet, sorted((reported.root / "data/clips").glob("*.parquet"))))["mp3"]
    assert metrics["bytes_mp3"] == len(b"".join(mp3s))
    assert metrics["bytes_clips"] == size(reported.root / "data/clips")
    assert metrics["bytes_waveforms"] == size(reported.root / "data/waveforms")


def test_the_shipped_splits_leak_and_ours_do_not(metrics: dict[str, Any], tables: pd.DataFrame) -> None:
    splits_of = tables.assign(sentence=tables["text"].map(normalise)).groupby("sentence")["table"].nunique()
    assert metrics["leak_shipped_sentences"] == (splits_of > 1).sum() > 0
    assert metrics["leak_ours_sentences"] == 0
    assert metrics["population_sentences"] == len(splits_of)
    assert metrics["most_repeated"] == tables["text"].map(normalise).value_counts().max()


def test_words_are_counted_as_pandas_counts_them(metrics: dict[str, Any], shards: pd.DataFrame) -> None:
    words = shards["text"].str.count(r"\S+")
    assert metrics["words_mean"] == pytest.approx(words.mean(), abs=1e-6)
    assert (metrics["words_min"], metrics["words_max"]) == (words.min(), words.max())


def test_columns_and_strata_are_counted_as_pandas_counts_them() -> None:
    made = material(90)
    report = numbers.summarise(made, ("gender", "age"), "proportional")
    for column in report.columns:
        for level in column.levels:
            assert level.population == (made.population[column.name] == level.name).sum()
            assert level.eligible == (made.eligible[column.name] == level.name).sum()
            assert level.sample == (made.sample[column.name] == level.name).sum()
            assert level.exact == pytest.approx(len(made.sample) * level.eligible / len(made.eligible))
    for stratum in report.strata:
        exact = Fraction(len(made.sample) * stratum.eligible, len(made.eligible))
        assert stratum.deviation == pytest.approx(float((made.sample["stratum"] == stratum.name).sum() - exact))
    assert report.metrics["largest_deviation_clips"] == pytest.approx(
        max(abs(stratum.deviation) for stratum in report.strata), abs=1e-6
    )


@pytest.mark.parametrize("allocation", ["proportional", "equal", 0.5])
def test_exact_shares_of_strata_and_of_levels_add_up_to_the_sample(allocation: str | float) -> None:
    made = material(90)
    report = numbers.summarise(made, ("gender", "age"), allocation)
    assert sum(stratum.exact for stratum in report.strata) == pytest.approx(len(made.sample))
    for column in report.columns:
        assert sum(level.exact for level in column.levels) == pytest.approx(len(made.sample))


@pytest.mark.parametrize("name", ODD)
def test_an_odd_sample_has_the_same_keys_and_numbers_that_json_can_say(name: str) -> None:
    odd = numbers.summarise(ODD[name], ("gender", "age"), "proportional").metrics
    usual = numbers.summarise(material(), ("gender", "age"), "proportional").metrics
    assert [key for key in odd if "split_" not in key] == [key for key in usual if "split_" not in key]
    assert json.loads(json.dumps(odd, allow_nan=False)) == odd


def test_silence_is_counted_and_left_out_of_the_levels() -> None:
    report = numbers.summarise(ODD["digital silence"], (), "proportional")
    assert report.metrics["silent_clips"] == report.metrics["accepted"] == 30
    assert report.metrics["peak_dbfs_median"] is None
    (levels,) = [each for each in report.histograms if each.key == "levels"]
    assert sum(levels.counts["sample"]) == 0
    assert levels.apart.startswith("30 ")


def test_without_strata_the_report_still_compares_the_documented_columns() -> None:
    report = numbers.summarise(ODD["one stratum"], (), "proportional")
    assert [column.name for column in report.columns] == ["age", "gender", "accent"]
    assert report.metrics["strata"] == 1


def test_rare_values_of_a_column_are_summed_up() -> None:
    made = ODD["a hundred strata"]
    (column,) = numbers.summarise(made, ("age",), "proportional").columns
    assert column.levels[-1].name == f"{column.rarer} others"
    assert sum(level.population for level in column.levels) == len(made.population)
    assert sum(level.sample for level in column.levels) == len(made.sample)


def test_a_missing_value_is_a_level_of_its_own() -> None:
    (column,) = numbers.summarise(ODD["no ages"], ("age",), "proportional").columns
    assert [(level.name, level.population) for level in column.levels] == [(numbers.MISSING, 60)]


def test_values_outside_of_the_vocabulary_are_named_with_their_counts() -> None:
    clips = pd.DataFrame({"age": ["twenties", "12", None, "12"], "gender": ["male", "Male", "f", None], "accent": None})
    assert numbers.outside_vocabulary(clips) == (("age", "12", 2), ("gender", "Male", 1), ("gender", "f", 1))


def test_rejected_clips_are_listed_by_reason_and_none_is_lost() -> None:
    made = material(refused=9)
    listed = numbers.summarise(made, (), "proportional").refused
    assert sorted(clip for group in listed for clip, _ in group.clips) == sorted(made.rejected["clip_id"])
    for group in listed:
        ids = made.rejected.loc[made.rejected["reason"] == group.reason, "clip_id"]
        assert [clip for clip, _ in group.clips] == list(ids)


@given(st.lists(st.integers(-90_000, 900_000).map(lambda n: n / 1000) | st.just(float("-inf")), max_size=50))
def test_every_finite_value_is_in_the_bin_between_whose_edges_it_lies(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    made = numbers.histogram("key", "Title", "s", {"sample": array}, (0.5, 1, 2, 5, 10, 20, 50))
    finite = array[np.isfinite(array)]
    assert len(made.edges) <= 31
    widths = np.diff(made.edges)
    assert np.allclose(widths, widths[0])
    assert made.counts["sample"] == tuple(
        int(((finite >= low) & (finite < high)).sum()) for low, high in zip(made.edges, made.edges[1:], strict=False)
    )
    assert sum(made.counts["sample"]) == len(finite)


def test_a_sentence_leaks_whatever_its_case_and_spaces() -> None:
    texts = pd.Series(["One  two", "one two", "three", None, None])
    splits = pd.Series(["train", "dev", "train", "dev", "train"])
    (leak,) = numbers.leaks(texts, splits)
    assert (leak.first, leak.second, leak.first_sentences, leak.second_sentences, leak.shared) == (
        "dev",
        "train",
        1,
        2,
        1,
    )
    assert numbers.repeated(texts, splits) == 1
