"""Later units open the shards, look at one clip, stream all, take a view."""

from __future__ import annotations

import copy
import json
import pickle
import re
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline import Clip, Waveforms, open_waveforms
from pipeline.audio import decode
from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive, make_shard
from pipeline.shards.recipe import Recipe
from pipeline.waveforms.encodings import ENCODINGS, waveforms_schema
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.project import ROOT, Project
from tests.support.tarballs import flip


@pytest.fixture(scope="module")
def folder(staged_once: Project) -> Path:
    return staged_once.root / "data/waveforms"


@pytest.fixture(scope="module")
def clips(folder: Path) -> Waveforms:
    return open_waveforms(folder)


@pytest.fixture(scope="module")
def frame(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))], ignore_index=True)


def test_reader_the_public_names_are_chosen() -> None:
    assert pipeline.__all__ == ["Clip", "Waveforms", "open_waveforms"]


def test_reader_a_clip_has_every_column_and_its_waveform(clips: Waveforms, frame: pd.DataFrame) -> None:
    declared = [column.name for column in clips.declared]
    columns = [*clips[0].columns, *(field.name for field in fields(Clip))]
    assert {*columns} - {"columns", "label", "start_seconds"} == {*frame.columns}
    assert declared == [*clips[0].columns] == ["text", "age", "gender", "accent", "up_votes", "down_votes"]
    for number in (0, 31, 32, 119, -1):
        clip, row = clips[number], frame.iloc[number]
        assert clip.waveform.dtype == np.float32
        np.testing.assert_array_equal(clip.waveform, row["waveform"] / np.float32(32768))
        for name in {*frame.columns} - {"waveform"}:
            value = getattr(clip, name)
            assert value == row[name] or (value is None and pd.isna(row[name])), name


def test_reader_a_clip_has_the_values_of_declared_columns_and_roles(clips: Waveforms, tmp_path: Path) -> None:
    assert (clips.label, clips.text) == ("gender", "text")
    clip = next(iter(clips.where(accent=None)))
    for same in (clip, pickle.loads(pickle.dumps(clip)), copy.copy(clip)):
        assert same.columns["gender"] == same.gender == same.label
        assert (same.columns["accent"], same.accent) == (None, None)
    with pytest.raises(AttributeError, match="no 'genre'"):
        _ = clip.genre
    path = tmp_path / "waveforms/part-00000.parquet"
    recipe = WaveformRecipe(16_000, "pcm16")  # as if nothing were declared
    make_shard(recipe, Path(str(clips._store._shards[0].path)).parents[1] / "clips/part-00000.parquet", path, path)
    bare = open_waveforms(path.parent)
    assert (bare.declared, bare.label, bare.text) == ((), None, None)
    assert (bare[0].columns, bare[0].label, bare[0].text) == ({}, None, None)


def test_reader_page_on_views_lists_the_columns_of_waveforms() -> None:
    page = (ROOT / "docs/views.md").read_text(encoding="utf-8")
    table = page.partition("## What a row has\n")[2].partition("\n## ")[0]
    listed = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in table.splitlines() if line.startswith("|")]
    columns = {name for encoding in ENCODINGS for name in waveforms_schema(encoding).names}
    assert {name for names in listed for name in names} == columns


def test_reader_iterating_indexing_and_ids_give_the_same_clips(clips: Waveforms, frame: pd.DataFrame) -> None:
    assert len(clips) == len(frame) == 120
    pd.testing.assert_frame_equal(clips.metadata(), frame.drop(columns="waveform"))
    assert clips.sample_rate == 16_000
    assert [clip.clip_id for clip in clips] == frame["clip_id"].tolist()
    for clip_id in frame["clip_id"][[5, 100, 64]]:
        assert clips[clip_id].clip_id == clip_id
        assert clip_id in clips


def test_reader_a_view_is_a_filter_over_the_same_clips(clips: Waveforms, frame: pd.DataFrame) -> None:
    view = clips.where(gender="female", split="train")
    expected = frame[(frame["gender"] == "female") & (frame["split"] == "train")]
    assert [clip.clip_id for clip in view] == expected["clip_id"].tolist()
    assert view.metadata()["clip_id"].tolist() == expected["clip_id"].tolist()
    assert view[0].clip_id == expected["clip_id"].iloc[0]
    assert expected["clip_id"].iloc[0] in view
    other = frame.loc[frame["gender"] == "male", "clip_id"].iloc[0]
    assert other not in view
    with pytest.raises(KeyError, match="not among these"):
        view[other]
    assert len(clips.where(accent=None)) == frame["accent"].isna().sum() > 0
    women = clips.where(gender="female")
    assert len(women.where(gender="male")) == 0  # which other clips of the folder have
    assert women.where(gender="female").metadata()["clip_id"].tolist() == women.metadata()["clip_id"].tolist()


def test_reader_a_condition_is_a_value_a_list_or_none(clips: Waveforms, frame: pd.DataFrame) -> None:
    young = frame["age"].isin(["teens", "twenties"])
    right = frame.loc[young, "clip_id"].tolist()
    listed = ["teens", "twenties"]
    for ages in (listed, tuple(listed), set(listed), np.array(listed), pd.Series(listed)):
        assert clips.where(age=ages).metadata()["clip_id"].tolist() == right
    unknown = frame["accent"].isna()
    for nothing in (None, float("nan"), pd.NA, [None]):
        assert clips.where(accent=nothing).metadata()["clip_id"].tolist() == frame.loc[unknown, "clip_id"].tolist()
    assert len(clips.where(accent=["us", None])) == (unknown | (frame["accent"] == "us")).sum()
    assert len(clips.where(up_votes=[1, 2])) == frame["up_votes"].isin([1, 2]).sum() > 0
    assert len(clips.where(up_votes=np.int64(2), split="train")) > 0
    assert len(clips.where(age=[])) == 0


def test_reader_a_column_or_value_that_is_not_there_is_an_error_that_lists_those_there_are(
    clips: Waveforms, frame: pd.DataFrame
) -> None:
    with pytest.raises(KeyError, match=r"there is no column agee \(did you mean age\?\); there are clip_id, "):
        clips.where(agee="teens")
    with pytest.raises(KeyError, match="f0_median_hz"):
        clips.feature_table(["clip_id", "f0_median"])
    counts = frame["gender"].value_counts()
    there = ", ".join(f"{gender} \\({counts[gender]}\\)" for gender in counts.index)
    for condition in ("femal", ["female", "femal"]):
        with pytest.raises(
            ValueError, match=rf"gender: no clip has femal \(did you mean female\?\); there are {there}$"
        ):
            clips.where(gender=condition)
    assert frame["gender"].notna().all()
    with pytest.raises(ValueError, match=r"gender: no clip has None; there are male "):
        clips.where(gender=None)
    with pytest.raises(ValueError, match=r"accent: no clip has martian.*; there are us .*None \("):
        clips.where(accent="martian")
    with pytest.raises(ValueError, match=r"up_votes: no clip has 9999; there are .*2 \("):
        clips.where(up_votes=9999)


@pytest.mark.parametrize(
    ("column", "condition", "said"),
    [
        (
            "age",
            lambda age: age == "teens",
            "age: a condition is a value, a list of values, or None .*; got a function",
        ),
        ("age", {"teens": True}, "got a dict"),
        ("age", ["teens", ["twenties"]], "got a list"),
        ("age", np.array([["teens"]]), "got a ndarray"),
        ("age", 20, "age: holds text; got the int 20"),
        ("up_votes", ["2"], "up_votes: holds numbers; got the str '2'"),
    ],
)
def test_reader_another_condition_is_an_error_that_says_so(
    clips: Waveforms, column: str, condition: object, said: str
) -> None:
    with pytest.raises(TypeError, match=said):
        clips.where(**{column: condition})


def test_reader_a_boolean_array_makes_a_view(clips: Waveforms, frame: pd.DataFrame) -> None:
    loud = (frame["peak_dbfs"] > frame["peak_dbfs"].median()).to_numpy()
    view = clips[loud]
    assert view.metadata()["clip_id"].tolist() == frame.loc[loud, "clip_id"].tolist()
    assert [clip.clip_id for clip in clips[pd.Series(loud)]] == [clip.clip_id for clip in view]
    of_view = np.zeros(len(view), dtype=bool)
    of_view[[0, -1]] = True
    assert [clip.clip_id for clip in view[of_view]] == [view[0].clip_id, view[-1].clip_id]
    assert len(clips.head(0)[np.zeros(0, dtype=bool)]) == 0
    with pytest.raises(IndexError, match=r"one for each of the 60 clips; got shape \(120,\)"):
        view[loud]
    with pytest.raises(TypeError, match="an array of booleans; got one of int64"):
        clips[np.array([1, 2])]


def test_reader_heads_samples_and_batches_are_the_clips_of_the_view(clips: Waveforms) -> None:
    assert [clip.rank for clip in clips.head(40)] == sorted(clip.rank for clip in clips)[:40]
    assert (len(clips.head(1000)), len(clips[10:20].head(3))) == (120, 3)
    with pytest.raises(ValueError, match="number of clips"):
        clips.head(-1)
    view = clips.where(gender="female")[::-1]
    for samples, clip in zip(view.samples(), view, strict=True):
        np.testing.assert_array_equal(samples, clip.waveform)
        assert samples.dtype == np.float32
    assert len(list(view.batches(1))) == len(view)
    batches = list(view.batches(7))
    assert [len(batch) for batch in batches] == [7] * (len(view) // 7) + [len(view) % 7] * bool(len(view) % 7)
    assert [clip.clip_id for batch in batches for clip in batch] == [clip.clip_id for clip in view]
    with pytest.raises(ValueError, match="1 or more; got 0"):
        view.batches(0)


def test_reader_a_view_travels_to_another_process(clips: Waveforms, folder: Path) -> None:
    view = clips.where(gender="female").head(5)
    arrived = pickle.loads(pickle.dumps(view))
    assert [clip.clip_id for clip in arrived] == [clip.clip_id for clip in view]
    unread = open_waveforms(folder)
    assert len(pickle.dumps(unread)) == len(pickle.dumps(clips[:]))  # what was read stays here


@dataclass(frozen=True)
class RankRecipe(Recipe):
    """A table as small as can be."""

    NAME: ClassVar[str] = "ranks"
    REVISION: ClassVar[int] = 1
    inputs = ("rank",)
    copied = ("clip_id", "split")
    ROW_GROUP_ROWS: ClassVar[int] = 16
    columns = pa.schema([("clip_id", pa.string()), ("split", pa.string()), ("doubled", pa.float32())])

    def settings(self) -> dict[str, Any]:
        return {}

    def versions(self) -> dict[str, str]:
        return {}

    def rows(self, source: pa.Table) -> pa.Table:
        return pa.table({"doubled": pa.array(source["rank"].to_numpy() * 2, pa.float32())})


def test_reader_features_are_the_table_in_the_order_of_the_view(folder: Path, tmp_path: Path) -> None:
    clips = open_waveforms(shutil.copytree(folder, tmp_path / "waveforms"))
    with pytest.raises(ShardError, match=r"no features there; .*dvc repro features"):
        clips.features()
    derive(RankRecipe(), tmp_path / "waveforms", tmp_path / "features", LocalProcesses(1))
    view = clips.where(gender="female")[::-1]
    assert view.features()["clip_id"].tolist() == view.metadata()["clip_id"].tolist()
    assert view.features()["doubled"].tolist() == (view.metadata()["rank"] * 2).tolist()
    assert view.features().equals(view.features().reset_index(drop=True))
    assert "index" not in view.features()
    assert view.feature_table().to_pandas().equals(view.features())
    assert view.feature_table(["doubled"]).to_pandas().equals(view.features()[["doubled"]])
    assert len(clips.features()) == 120


@pytest.mark.more
def test_reader_features_of_other_waveforms_are_an_error(folder: Path, staged: Project, tmp_path: Path) -> None:
    others = staged.root / "data/waveforms"
    staged.set(waveforms__sample_rate=8000)
    staged.stage("waveforms")
    derive(RankRecipe(), others, tmp_path / "features", LocalProcesses(1))
    with pytest.raises(ShardError, match=r"features: was made of other waveforms than .*dvc repro features"):
        open_waveforms(shutil.copytree(folder, tmp_path / "waveforms")).features()
    few = shutil.copytree(others, tmp_path / "few/waveforms")
    (few / "part-00003.parquet").unlink()
    shutil.copytree(tmp_path / "features", tmp_path / "few/features")
    with pytest.raises(ShardError, match="made of other waveforms"):
        open_waveforms(few).features()


def test_reader_what_is_not_there_is_an_error(clips: Waveforms) -> None:
    assert clips[-120].clip_id == clips[np.int64(0)].clip_id
    for place in (120, -121):
        with pytest.raises(IndexError):
            clips[place]
    with pytest.raises(KeyError, match="not among these 120 clips"):
        clips["valid-test/sample-999999"]


def test_reader_the_shards_say_what_they_are(clips: Waveforms, folder: Path) -> None:
    about = clips.about
    assert about["snapshot"] == "demo"
    assert about["license"] == "CC0-1.0"
    assert about["version"] == schema.VERSION
    assert set(about["decoder"]) >= {"soundfile", "libsndfile", "soxr", "pyarrow"}
    assert len(about["content_sha256"]) == 64
    metadata = pq.read_metadata(folder / "part-00000.parquet").metadata
    assert json.loads(metadata[b"pipeline"]) == about


@pytest.mark.more
@pytest.mark.parametrize("encoding", ["float32", "flac"])
def test_reader_the_reader_hides_the_encoding(clips: Waveforms, staged: Project, encoding: str) -> None:
    staged.set(waveforms__encoding=encoding)
    staged.stage("waveforms")
    others = open_waveforms(staged.root / "data/waveforms")
    for clip, other in zip(clips, others, strict=True):
        if encoding == "flac":
            np.testing.assert_array_equal(other.waveform, clip.waveform)
        else:
            np.testing.assert_array_equal(decode.to_pcm16(other.waveform)[0], decode.to_pcm16(clip.waveform)[0])
    pd.testing.assert_frame_equal(others.metadata(), clips.metadata())


class EarlierRecipe(WaveformRecipe):
    """Waveforms as an earlier version wrote them."""

    @property
    def columns(self) -> pa.Schema:
        columns = super().columns
        return columns.remove(columns.get_field_index("source_format"))


def test_reader_missing_damaged_and_foreign_shards_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="dvc pull"):
        open_waveforms(tmp_path)
    with pytest.raises(ShardError, match="is a single file; name the folder"):
        open_waveforms(folder / "part-00000.parquet")
    with pytest.raises(ShardError, match=r"none\.parquet: no shards there"):
        open_waveforms(folder / "none.parquet")
    with pytest.raises(ShardError, match="holds no audio; waveforms are in data/waveforms"):
        open_waveforms(folder.with_name("features"))
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "part-00001.parquet").unlink()
    with pytest.raises(ShardError, match=r"part-00001\.parquet is missing"):
        open_waveforms(copy)
    (copy / "part-00001.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ShardError, match=r"part-00001\.parquet: cannot be read \(no Parquet file"):
        open_waveforms(copy)
    pd.DataFrame({"clip_id": ["a"]}).to_parquet(copy / "part-00001.parquet")
    with pytest.raises(ShardError, match="was not written by this version"):
        open_waveforms(copy)
    clips, older = folder.with_name("clips") / "part-00001.parquet", tmp_path / "older/part-00000.parquet"
    make_shard(EarlierRecipe(8_000, "pcm16"), clips, older, tmp_path / "nothing.parquet")
    with pytest.raises(ShardError, match=r"part-00000\.parquet: was written by another version"):
        open_waveforms(older.parent)
    make_shard(WaveformRecipe(8_000, "pcm16"), clips, copy / "part-00001.parquet", tmp_path / "nothing.parquet")
    with pytest.raises(ShardError, match=r"part-00001\.parquet: was made in another way than .*part-00000"):
        open_waveforms(copy)


def test_reader_damage_within_a_shard_is_noticed(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    flip(copy / "part-00000.parquet")
    with pytest.raises(ShardError, match=r"part-00000\.parquet: cannot be read"):
        list(open_waveforms(copy))
