"""Features are derived from waveforms of any encoding, once for each clip, with the same bytes by any steps."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive
from pipeline.views.features.columns import COLUMNS
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.waveforms.encodings import ENCODINGS
from tests.support.project import Project
from tests.support.tarballs import contents
from tests.support.waveforms import waveforms_of

RECIPE = FeatureRecipe((65.0, 500.0), "text")


def test_features_have_the_rows_of_the_waveforms_and_columns_with_units(staged_once: Project) -> None:
    for path in sorted((staged_once.root / schema.WAVEFORMS).iterdir()):
        table = pq.read_table(staged_once.root / schema.FEATURES / path.name)
        assert table.schema.remove_metadata().equals(COLUMNS, check_metadata=True)
        waveforms = pq.read_table(path, columns=["clip_id", "rank", "split"])
        assert table.select(waveforms.column_names).equals(waveforms)


@pytest.mark.more
def test_features_are_measured_again_for_another_range_of_pitch(staged: Project) -> None:
    waveforms, target = staged.root / schema.WAVEFORMS, staged.root / schema.FEATURES
    assert derive(RECIPE, waveforms, target, LocalProcesses(1)).computed == 0
    assert derive(FeatureRecipe((75.0, 400.0), "text"), waveforms, target, LocalProcesses(1)).computed == 120


@pytest.mark.more
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_features_are_measured_of_every_encoding_and_of_flac_are_those_of_pcm16(
    staged: Project, staged_once: Project, encoding: str
) -> None:
    staged.set(subsample__clips=10, waveforms__encoding=encoding)
    staged.stage("subsample", "waveforms", "features")
    measured, of_pcm16 = (pq.read_table(each.root / schema.FEATURES) for each in (staged, staged_once))
    assert measured.num_rows == 10
    assert encoding == "float32" or measured.equals(of_pcm16.slice(0, 10))


@pytest.mark.parametrize("staged_once", ["labelled"], indirect=True)
def test_features_of_clips_without_text_have_no_words_and_no_row_is_left_out(staged_once: Project) -> None:
    table = pq.read_table(staged_once.root / schema.FEATURES)
    assert table.schema.equals(COLUMNS)
    assert table["words"].null_count == table["words_per_second"].null_count == table.num_rows == 120
    assert table["f0_median_hz"].null_count < 120


def test_features_of_a_rate_too_low_are_an_error(staged: Project) -> None:
    before = contents(staged.root / schema.FEATURES)
    shutil.rmtree(staged.root / schema.WAVEFORMS)
    waveforms_of(staged.root / schema.WAVEFORMS, [np.zeros(4000, dtype=np.float32)], rate=4000)
    with pytest.raises(ShardError, match=r"4000 Hz.* 8000 Hz"):
        staged.stage("features")
    assert contents(staged.root / schema.FEATURES) == before
