"""The stage gives exactly as many good clips as it is asked for, or an error that says how many there are."""

from __future__ import annotations

import pandas as pd
import pytest

from pipeline.core.errors import SampleError
from tests.support.project import Project


def test_subsample_holds_as_many_good_clips_as_asked_for(fresh: Project) -> None:
    fresh.set(subsample__clips=9)
    fresh.stage("download", "stratify", "subsample")
    clips, sample = (pd.read_parquet(fresh.root / "data" / name) for name in ("clips", "sample.parquet"))
    assert len(clips) == 9
    assert clips["clip_id"].tolist() == sample["clip_id"].tolist()
    fresh.set(subsample__clips=12)
    fresh.stage("subsample")
    assert pd.read_parquet(fresh.root / "data/clips")["clip_id"].tolist()[:9] == clips["clip_id"].tolist()


def test_subsample_of_more_than_there_are_good_ones_is_an_error_that_counts_them(fresh: Project) -> None:
    fresh.set(subsample__clips=210, subsample__max_rejected=0.9)
    fresh.stage("download", "stratify")
    with pytest.raises(SampleError, match=r"cannot draw 210 clips .*only 213 clips are eligible, of which 206 are"):
        fresh.stage("subsample")
    assert not (fresh.root / "data/sample.parquet").exists()
    assert not (fresh.root / "data/clips").exists()
