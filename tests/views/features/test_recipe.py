"""Features are derived from waveforms of any encoding, once for each clip, with the same bytes by any steps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.core.errors import ShardError
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive
from pipeline.shards.sealed import Seal, Shard
from pipeline.views.features.columns import COLUMNS
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.waveforms.encodings import ENCODINGS
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.project import Project
from tests.support.waveforms import waveforms_of

RECIPE = FeatureRecipe((65.0, 500.0), "text")


@pytest.fixture
def featured(staged: Project) -> Project:
    """Return a project whose waveforms are in three shards, with their features."""
    staged.set(subsample__clips=80, shards__clips=32)
    staged.stage("subsample", "waveforms", "features")
    return staged


def features(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((project.root / schema.FEATURES).iterdir())}


def test_features_have_the_rows_of_the_waveforms_and_columns_with_units(featured: Project) -> None:
    for path in sorted((featured.root / schema.WAVEFORMS).iterdir()):
        table = pq.read_table(featured.root / schema.FEATURES / path.name)
        assert table.schema.remove_metadata().equals(COLUMNS, check_metadata=True)
        waveforms = pq.read_table(path, columns=["clip_id", "rank", "split"])
        assert table.select(waveforms.column_names).equals(waveforms)


@pytest.mark.more
def test_features_of_a_larger_sample_measure_new_clips_and_have_the_bytes_of_a_fresh_run(
    featured: Project, tmp_path: Path
) -> None:
    kept = features(featured)["part-00000.parquet"]
    featured.set(subsample__clips=100)
    featured.stage("subsample", "waveforms")
    grown = derive(RECIPE, featured.root / schema.WAVEFORMS, featured.root / schema.FEATURES, LocalProcesses(2))
    assert (grown.rows, grown.shards, grown.computed) == (100, 4, 20)
    fresh = derive(RECIPE, featured.root / schema.WAVEFORMS, tmp_path / "fresh", LocalProcesses(1))
    assert fresh.computed == 100
    assert {path.name: path.read_bytes() for path in (tmp_path / "fresh").iterdir()} == features(featured)
    assert features(featured)["part-00000.parquet"] == kept


@pytest.mark.more
def test_features_are_measured_again_for_another_range_of_pitch(featured: Project) -> None:
    waveforms, target = featured.root / schema.WAVEFORMS, featured.root / schema.FEATURES
    assert derive(RECIPE, waveforms, target, LocalProcesses(1)).computed == 0
    assert derive(FeatureRecipe((75.0, 400.0), "text"), waveforms, target, LocalProcesses(1)).computed == 80


@pytest.mark.more
def test_features_of_flac_are_those_of_pcm16(staged_once: Project, tmp_path: Path) -> None:
    declared = tuple(fields(Shard(next((staged_once.root / schema.CLIPS).iterdir()), Seal).columns))
    derive(
        WaveformRecipe(16_000, "flac", declared), staged_once.root / schema.CLIPS, tmp_path / "flac", LocalProcesses(1)
    )
    derive(FeatureRecipe((65.0, 500.0), "text", "audio"), tmp_path / "flac", tmp_path / "of_flac", LocalProcesses(1))
    derive(RECIPE, staged_once.root / schema.WAVEFORMS, tmp_path / "of_pcm16", LocalProcesses(1))
    of_flac, of_pcm16 = (pq.read_table(tmp_path / name) for name in ("of_flac", "of_pcm16"))
    assert of_flac.equals(of_pcm16)


@pytest.mark.more
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_features_are_measured_of_every_encoding(staged: Project, encoding: str) -> None:
    staged.set(subsample__clips=10, waveforms__encoding=encoding)
    staged.stage("subsample", "waveforms", "features")
    assert pq.read_table(staged.root / schema.FEATURES).num_rows == 10


@pytest.mark.parametrize("staged_once", ["labelled"], indirect=True)
def test_features_of_clips_without_text_have_no_words_and_no_row_is_left_out(staged_once: Project) -> None:
    table = pq.read_table(staged_once.root / schema.FEATURES)
    assert table.schema.equals(COLUMNS)
    assert table["words"].null_count == table["words_per_second"].null_count == table.num_rows == 120
    assert table["f0_median_hz"].null_count < 120


def test_features_of_a_rate_too_low_are_an_error(staged: Project) -> None:
    before = features(staged)
    shutil.rmtree(staged.root / schema.WAVEFORMS)
    waveforms_of(staged.root / schema.WAVEFORMS, [np.zeros(4000, dtype=np.float32)], rate=4000)
    with pytest.raises(ShardError, match=r"4000 Hz.* 8000 Hz"):
        staged.stage("features")
    assert features(staged) == before


@pytest.mark.more
def test_features_of_damaged_waveforms_are_an_error_and_stay_unchanged(featured: Project) -> None:
    before = features(featured)
    path = featured.root / schema.WAVEFORMS / "part-00001.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    featured.set(features__f0_hz=[70, 400])
    with pytest.raises(ShardError, match=r"part-00001\.parquet"):
        featured.stage("features")
    after = features(featured)
    assert {name: after[name] for name in before} == before
