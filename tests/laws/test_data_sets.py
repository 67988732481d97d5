"""The laws on data sets of three layouts; those of bytes are in test_resilience, those of sources in test_sources."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
import soxr

from pipeline import open_waveforms
from pipeline.core import columns, schema
from pipeline.core.errors import SampleError
from tests.support import data_sets
from tests.support.data_sets import DATA_SETS, DataSet, every_data_set, every_layout
from tests.support.deviation import largest_deviation
from tests.support.miniatures import MINIATURES
from tests.support.project import Project


@pytest.fixture
def data_set(staged_once: Project) -> DataSet:
    return DATA_SETS[snapshot_of(staged_once)]


def snapshot_of(project: Project) -> str:
    return str(json.loads((project.root / schema.RECEIPT).read_text())["snapshot"])


def frame(project: Project, path: Path) -> pd.DataFrame:
    return pd.read_parquet(project.root / path)


@every_layout
def test_ranking_is_in_proportion_at_every_clip(staged_once: Project) -> None:
    strata = frame(staged_once, schema.RANKING)["stratum"]
    assert strata.nunique() > 1
    assert largest_deviation(strata.tolist(), "proportional") < 1


@every_data_set
def test_ranking_depends_on_no_order(staged: Project, staged_once: Project, data_set: DataSet) -> None:
    files = dict(reversed(data_set.files().items()))
    for name, data in files.items():
        if name.endswith((".csv", ".tsv")):
            header, *lines = data.decode().splitlines(keepends=True)
            files[name] = "".join([header, *reversed(lines)]).encode()
    data_sets.use(staged, snapshot_of(staged_once), files=files)
    staged.stage("download", "stratify")
    ranking, before = (pq.read_table(each.root / schema.RANKING) for each in (staged, staged_once))
    assert ranking.equals(before)


@every_data_set
def test_sample_is_exact_up_to_the_last_good_clip(staged: Project, data_set: DataSet) -> None:
    assert len(open_waveforms(staged.root / schema.WAVEFORMS)) == data_set.settings.get("subsample__clips", 120)
    staged.set(subsample__clips=data_set.good + 1)
    with pytest.raises(SampleError, match=str(data_set.good)):
        staged.stage("subsample")
    staged.set(subsample__clips=data_set.good)
    staged.stage("subsample", "waveforms")
    sample, ranking = frame(staged, schema.SAMPLE), frame(staged, schema.RANKING)
    rejected = pd.read_csv(staged.root / schema.REJECTED)
    assert dict(zip(rejected["clip_id"], rejected["reason"], strict=True)) == data_set.faults
    assert len(sample) == len(open_waveforms(staged.root / schema.WAVEFORMS)) == data_set.good
    assert sorted([*sample["rank"], *rejected["rank"]]) == list(range(len(ranking)))
    weights, sizes = sample.groupby("stratum")["weight"].sum(), ranking["stratum"].value_counts().sort_index()
    assert weights.to_dict() == sizes.to_dict()


@every_data_set
def test_waveforms_are_what_soundfile_and_soxr_make_of_the_files(staged_once: Project, data_set: DataSet) -> None:
    paths = frame(staged_once, schema.CLIP_TABLE).set_index("clip_id")["path"]
    files = data_set.files()
    for clip in open_waveforms(staged_once.root / schema.WAVEFORMS):
        file = files[paths[clip.clip_id]]
        assert hashlib.sha256(file).hexdigest() == clip.source_sha256
        data, rate = soundfile.read(io.BytesIO(file), dtype="float32", always_2d=True)
        waveform = np.mean(data.T, axis=0) if data.shape[1] > 1 else data[:, 0]
        if rate != 16_000:  # librosa's length: rounded up, and filled with zeros
            length = int(np.ceil(len(waveform) * (16_000 / rate)))
            waveform = soxr.resample(waveform, rate, 16_000, quality="HQ")[:length]
            waveform = np.pad(waveform, (0, length - len(waveform)))
        steps = np.clip(np.rint(waveform.astype(np.float64) * 32768), -32768, 32767)
        if "end_seconds" in clip.columns:
            start, end = (
                round(float(time or 0) * 16_000) for time in (clip.start_seconds, clip.columns["end_seconds"])
            )
            assert abs(clip.waveform * 32768 - steps[start:end]).max() <= (rate != 16_000), clip.clip_id
        else:
            assert np.array_equal(clip.waveform * 32768, steps), clip.clip_id


@every_layout
def test_splits_share_no_value_that_is_kept_apart_and_no_copy(staged_once: Project) -> None:
    ranking = frame(staged_once, schema.RANKING)
    apart = columns.apart(pq.read_schema(staged_once.root / schema.RANKING))
    assert apart or snapshot_of(staged_once) in MINIATURES  # test_catalogue says which columns these are
    for column in apart:
        assert ranking.groupby(column)["split"].nunique().max() == 1, column
    assert ranking["split"].nunique() == 3
    clips = frame(staged_once, schema.CLIP_TABLE).set_index("clip_id").loc[ranking["clip_id"]]
    piece = [name for name in schema.PIECE if name in clips]
    assert not clips.dropna(subset="path").duplicated(["size_bytes", "crc32", *piece]).any()
    split_of = ranking.set_index("clip_id")["split"]
    assert split_of.groupby([clips["size_bytes"], clips["crc32"]]).nunique().max() == 1


@every_data_set
def test_report_and_card_are_made_of_the_declared_columns(staged: Project) -> None:
    staged.stage("report")
    page, card = ((staged.root / path).read_text() for path in (schema.REPORT, schema.CARD))
    ranking = pq.read_schema(staged.root / schema.RANKING)
    assert all(column.name in card for column in columns.declared(ranking))
    assert ("sentence" in page.lower()) == (columns.with_role(ranking, "text") is not None)
