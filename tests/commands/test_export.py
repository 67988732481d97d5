"""`export`: originals byte for byte, a table beside them, and no file of others touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from pipeline import Waveforms, open_waveforms
from pipeline.__main__ import main
from pipeline.commands import drawing, export
from pipeline.core.errors import ParameterError, SampleError
from pipeline.snapshot.description import describe
from tests.support.project import Project
from tests.support.tarballs import contents


@pytest.fixture(autouse=True)
def inside(staged_once: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(staged_once.root)
    return staged_once.root


def read(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / export.TABLE, keep_default_na=False)


@pytest.mark.parametrize("file_format", ["original", pytest.param("mp3", marks=pytest.mark.more)])
def test_export_writes_the_originals_byte_for_byte(tmp_path: Path, file_format: str) -> None:
    export.export(4, tmp_path, file_format=file_format)
    table = read(tmp_path)
    assert list(table["file"]) == [f"sample-000{number}.mp3" for number in (1, 2, 3, 4)]
    declared = [column.name for column in open_waveforms().declared]
    assert list(table) == ["file", "clip_id", *declared, "split", "duration_seconds", "source_sha256"]
    assert list(table["clip_id"]) == list(open_waveforms().metadata()["clip_id"][:4])
    for file, digest in zip(table["file"], table["source_sha256"], strict=True):
        assert hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() == digest
    assert len(list(tmp_path.iterdir())) == 4 + 3


def test_export_gives_librosa_the_array_of_the_shard(librosa: Any, tmp_path: Path) -> None:
    export.export(3, tmp_path)
    clips = open_waveforms()
    for file, clip_id in read(tmp_path)[["file", "clip_id"]].itertuples(index=False):
        loaded, rate = librosa.load(tmp_path / file, sr=16_000)
        assert rate == 16_000
        assert np.array_equal(np.clip(np.rint(loaded * 32768), -32768, 32767) / 32768, clips[clip_id].waveform)


@pytest.mark.parametrize("file_format", ["wav", pytest.param("flac", marks=pytest.mark.more)])
def test_export_writes_the_samples_of_the_shard_the_same_each_time(tmp_path: Path, file_format: str) -> None:
    for name in ("one", "other"):
        export.export(2, tmp_path / name, file_format=file_format)
    for place, file in enumerate(read(tmp_path / "one")["file"]):
        samples, rate = soundfile.read(tmp_path / "one" / file, dtype="float32")
        assert (Path(file).suffix, rate) == (f".{file_format}", 16_000)
        assert np.array_equal(samples, open_waveforms()[place].waveform)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_export_writes_a_cut_for_lhotse_with_a_recording_and_a_supervision(tmp_path: Path) -> None:
    export.export(4, tmp_path, file_format="lhotse")
    cuts = [json.loads(line) for line in (tmp_path / "cuts.jsonl").read_text().splitlines()]
    for cut, clip in zip(cuts, open_waveforms().head(4), strict=True):
        recording, (supervision,) = cut["recording"], cut["supervisions"]
        assert cut["id"] == recording["id"] == supervision["recording_id"] == clip.clip_id
        assert recording["num_samples"] == clip.num_samples
        assert cut["duration"] == recording["duration"] == supervision["duration"] == clip.duration_seconds
        assert supervision["text"] == clip.text
        assert {"text": clip.text, **cut["custom"]} == {
            **{name: value for name, value in clip.columns.items() if value is not None},
            **{name: getattr(clip, name) for name in ("split", "rank", "table", "source_sha256")},
        }
        samples, rate = soundfile.read(tmp_path / recording["sources"][0]["source"], dtype="float32")
        assert rate == recording["sampling_rate"]
        assert np.array_equal(samples, clip.waveform)


def test_export_writes_what_lhotse_loads(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    export.export(2, tmp_path, file_format="lhotse")
    cuts = lhotse.CutSet.from_file(tmp_path / "cuts.jsonl").with_recording_path_prefix(str(tmp_path)).to_eager()
    lhotse.validate(cuts, read_data=True)
    assert np.array_equal(cuts[0].load_audio()[0], open_waveforms()[0].waveform)


def test_export_writes_what_show_draws_the_licence_and_the_citation_beside_the_clips(tmp_path: Path) -> None:
    assert main(["export", "--clips", "3", "--to", str(tmp_path), "--pictures"]) == 0
    names = [f"sample-000{number}.{kind}" for number in (1, 2, 3) for kind in ("mp3", "png")]
    assert {path.name for path in tmp_path.iterdir()} == {*names, "samples.csv", "README.md", "LICENSE"}
    for number, clip in enumerate(open_waveforms().head(3), start=1):
        assert (tmp_path / f"sample-000{number}.png").read_bytes() == drawing.png(clip.waveform, clip.sample_rate)
    description = describe("demo")
    readme = (tmp_path / "README.md").read_text()
    assert all(each in readme for each in (description.title, description.citation, "CC0-1.0", "3 clips"))
    assert "CC0-1.0, https://creativecommons.org/" in (tmp_path / "LICENSE").read_text()


def test_export_says_that_the_sample_has_excerpts_of_the_originals(
    staged: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged.set(subsample__clips=2, waveforms__excerpt={"seconds": 0.25, "at": "centre"})
    staged.stage("subsample", "waveforms")
    monkeypatch.chdir(staged.root)
    for file_format, is_said in (("original", True), ("wav", False)):
        export.export(2, tmp_path / file_format, file_format=file_format)
        readme = (tmp_path / file_format / export.README).read_text()
        assert ("The sample has an excerpt of each file: `start_seconds` says where it begins" in readme) == is_said


def test_export_takes_clips_that_match_all_conditions_in_the_order_of_the_ranking(tmp_path: Path) -> None:
    frame = open_waveforms().metadata()
    export.export(2, tmp_path / "three", where=["gender=male", "accent=?", "split=train"])
    matching = frame[(frame["gender"] == "male") & frame["accent"].isna() & (frame["split"] == "train")]
    assert list(read(tmp_path / "three")["clip_id"]) == list(matching["clip_id"][:2])
    for votes in (f"{frame['up_votes'].iloc[0]}", f"{frame['up_votes'].iloc[0]}.0"):  # a number, however it is written
        export.export(1, tmp_path / votes, where=[f"up_votes={votes}"])
        assert list(read(tmp_path / votes)["clip_id"]) == [frame["clip_id"].iloc[0]]


def test_export_answers_an_unknown_column_or_value_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        export.export(1, tmp_path / "new", where=["gendr=female", "gender=martian", "gender", "up_votes=many"])
    message = str(caught.value)
    assert "gendr=female: there is no column gendr (did you mean gender?); there are clip_id, " in message
    assert "gender=martian: gender: no clip has martian; there are male (" in message
    assert len(caught.value.problems) == 4
    with pytest.raises(SampleError, match=r"only \d+ clips match gender=female; --clips asks for 100"):
        export.export(100, tmp_path / "new", where=["gender=female"])
    assert not (tmp_path / "new").exists()


def test_export_replaces_only_files_of_the_same_name_and_only_when_forced(tmp_path: Path) -> None:
    for name in ("sample-0001.mp3", "notes.txt"):
        (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(export.FolderInUse, match=r"sample-0001\.mp3"):
        export.export(2, tmp_path)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"mine"}
    assert main(["export", "--clips", "1", "--to", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "sample-0001.mp3").read_bytes() != b"mine"
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"
    with pytest.raises(export.FolderUnusable, match="name another folder with --to"):
        export.export(1, tmp_path / "notes.txt/folder")
    export.export(2, tmp_path, force=True)  # which wrote this README itself
    (tmp_path / "samples.csv").unlink()
    with pytest.raises(export.FolderOfOthers, match=r"has a README\.md and a LICENSE of something else"):
        export.export(2, tmp_path, force=True)


def test_export_writes_no_cell_that_is_a_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = Waveforms.metadata
    monkeypatch.setattr(Waveforms, "metadata", lambda clips: metadata(clips).assign(text="=1+1", accent="@x", age=None))
    export.export(1, tmp_path)
    (row,) = read(tmp_path).to_dict("records")
    assert (row["text"], row["accent"], row["age"]) == ("'=1+1", "'@x", "")


@pytest.mark.parametrize("wrong", [["--clips", "0"], ["--clips", "many"], ["--clips", "1", "--format", "ogg"]])
def test_export_of_no_clips_or_an_unknown_format_is_wrong_usage(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["export", "--to", str(tmp_path), *wrong])


@pytest.mark.parametrize("staged_once", ["labelled"], indirect=True)
def test_export_names_each_file_by_its_own_format_and_writes_whole_numbers_whole(tmp_path: Path) -> None:
    frame = open_waveforms().metadata()
    extensions = [f".{kind.partition('/')[0].lower()}" for kind in frame["source_format"][:9]]
    assert set(extensions) == {".wav", ".flac"}
    export.export(9, tmp_path / "files")
    assert [Path(file).suffix for file in read(tmp_path / "files")["file"]] == extensions
    export.export(1, tmp_path / "number", where=["gain=-12", "fold=2"])
    assert read(tmp_path / "number")["gain"].astype(str).tolist() == ["-12"]
    export.export(9, tmp_path / "cuts", file_format="lhotse")
    cuts = [json.loads(line)["custom"] for line in (tmp_path / "cuts/cuts.jsonl").read_text().splitlines()]
    assert [cut.get("gain") for cut in cuts] == [None if np.isnan(gain) else gain for gain in frame["gain"][:9]]
    with pytest.raises(ParameterError, match=r"no clip has -11 .*; there are .*-12 \(\d+\)"):
        export.export(1, tmp_path / "none", where=["gain=-11"])
