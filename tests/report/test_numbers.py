"""The metrics of the report: counted again by another route, and sensible for samples as odd as they come."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.sampling.sentences import normalise
from tests.report.materials import ODD, material, odd_material, odd_report, report_of, with_columns
from tests.support.project import Project

VALID = ("valid-train", "valid-dev", "valid-test")


@pytest.fixture(scope="module")
def tables(reported_once: Project) -> pd.DataFrame:
    clips = pd.read_parquet(reported_once.root / "data/snapshot/clips.parquet")
    return clips[clips["table"].isin(VALID)]


@pytest.fixture(scope="module")
def shards(reported_once: Project) -> pd.DataFrame:
    return pd.concat(map(pd.read_parquet, sorted((reported_once.root / "data/waveforms").glob("*.parquet"))))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))


def test_metrics_count_clips_as_pandas_counts_the_tables_and_the_shards(
    reported_once: Project, metrics: dict[str, Any], tables: pd.DataFrame, shards: pd.DataFrame
) -> None:
    ranking = pd.read_parquet(reported_once.root / "data/ranking.parquet")
    rejected = pd.read_csv(reported_once.root / "data/rejected.csv")
    assert metrics["population"] == len(tables)
    assert metrics["eligible"] == (tables["age"].notna() & tables["gender"].notna()).sum() == len(ranking)
    assert metrics["accepted"] == len(shards)
    assert metrics["examined"] == ranking["rank"].isin([*shards["rank"], *rejected["rank"]]).sum()
    assert metrics["rejected"] == len(rejected)
    for reason, clips in rejected.groupby("reason"):
        assert metrics[f"rejected_{reason}"] == len(clips)
    for split, clips in shards.groupby("split"):
        assert metrics[f"split_{split}"] == len(clips)


def test_metrics_of_sound_are_those_of_the_stored_samples(
    reported_once: Project, metrics: dict[str, Any], shards: pd.DataFrame
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
    files = pd.concat(map(pd.read_parquet, sorted((reported_once.root / "data/clips").glob("*.parquet"))))["audio"]
    assert metrics["bytes_originals"] == sum(len(each["bytes"]) for each in files)
    assert metrics["bytes_clips"] == size(reported_once.root / "data/clips")
    assert metrics["bytes_waveforms"] == size(reported_once.root / "data/waveforms")


def test_metrics_of_sentences_and_words_are_those_of_the_tables_and_features_and_none_is_in_two_splits(
    reported_once: Project, metrics: dict[str, Any], tables: pd.DataFrame
) -> None:
    sentences = tables["text"].map(normalise)
    tables_of = tables.groupby(sentences)["table"].nunique()
    assert metrics["in_two_tables"] == {"text": (tables_of > 1).sum()}
    assert metrics["in_two_splits"] == {"text": 0}
    assert metrics["population_sentences"] == len(tables_of)
    assert metrics["most_repeated"] == sentences.value_counts().max()
    words = pd.read_parquet(reported_once.root / "data/features")["words"]
    assert metrics["words_mean"] == pytest.approx(words.mean(), abs=1e-6)
    assert (metrics["words_min"], metrics["words_max"]) == (words.min(), words.max())


@pytest.mark.parametrize("name", ODD)
def test_metrics_of_an_odd_sample_have_the_same_keys_and_are_json(name: str) -> None:
    odd = odd_report(name).metrics
    usual = report_of(material()).metrics
    lacking = [key for key in usual if key not in odd and "split_" not in key]
    assert all("word" in key or "sentence" in key or key == "most_repeated" for key in lacking)
    assert bool(lacking) == name.startswith("no text") or name == "no column"
    assert json.loads(json.dumps(odd, allow_nan=False)) == odd
    assert (odd.get("words_mean", 0) is None) == (name == "sentences without spaces")


def test_metrics_count_recordings_by_their_files_whatever_the_ids_are_made_of() -> None:
    made = material(60, drawn=30)
    assert "recordings" not in report_of(made).metrics
    made = with_columns(made, "waveforms", source_sha256=[f"{place % 7:064x}" for place in range(30)])
    made = replace(made, sample=made.sample.append_column("start_seconds", pa.array(np.arange(30.0))))
    assert report_of(made).metrics["recordings"] == 7


def test_metrics_count_silence_and_leave_it_out_of_levels() -> None:
    report = report_of(odd_material("digital silence"), ())
    assert report.metrics["silent_clips"] == report.metrics["accepted"] == 30
    assert report.metrics["peak_dbfs_median"] is None
    (levels,) = [each for each in report.histograms if each.title == "RMS level"]
    assert sum(levels.counts["sample"]) == 0
    assert levels.not_shown.startswith("30 ")


def test_rejections_are_listed_by_reason_and_none_is_lost() -> None:
    made = material(rejected=9)
    listed = report_of(made, ()).rejections
    rejected = made.rejected.to_pandas()
    assert sum(len(clips) for _, clips in listed) == len(rejected)
    for reason, clips in listed:
        assert [clip for clip, _ in clips] == list(rejected.loc[rejected["reason"] == reason, "clip_id"])
