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
from PIL import Image

from pipeline import Waveforms, open_waveforms
from pipeline.__main__ import main
from pipeline.commands import export
from pipeline.core.errors import ParameterError, SampleError
from pipeline.views import pictures
from tests.support.project import Project


@pytest.fixture(autouse=True)
def inside(staged_once: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(staged_once.root)
    return staged_once.root


def read(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / export.TABLE, keep_default_na=False)


@pytest.mark.more
def test_an_mp3_is_byte_for_byte_the_original(tmp_path: Path) -> None:
    export.export(4, tmp_path)
    table = read(tmp_path)
    assert list(table["file"]) == [f"sample-{number}.mp3" for number in (1, 2, 3, 4)]
    assert list(table["clip_id"]) == list(open_waveforms().metadata()["clip_id"][:4])
    for file, digest in zip(table["file"], table["mp3_sha256"], strict=True):
        assert hashlib.sha256((tmp_path / file).read_bytes()).hexdigest() == digest
    assert len(list(tmp_path.iterdir())) == 5


def test_librosa_loads_from_it_the_array_of_the_shard(librosa: Any, tmp_path: Path) -> None:
    export.export(3, tmp_path)
    clips = open_waveforms()
    for file, clip_id in read(tmp_path)[["file", "clip_id"]].itertuples(index=False):
        loaded, rate = librosa.load(tmp_path / file, sr=16_000)
        assert rate == 16_000
        assert np.array_equal(np.clip(np.rint(loaded * 32768), -32768, 32767) / 32768, clips[clip_id].waveform)


@pytest.mark.more
@pytest.mark.parametrize("file_format", ["wav", "flac"])
def test_wav_and_flac_hold_the_samples_of_the_shard(tmp_path: Path, file_format: str) -> None:
    export.export(2, tmp_path, file_format=file_format)
    for place, file in enumerate(read(tmp_path)["file"]):
        samples, rate = soundfile.read(tmp_path / file, dtype="float32")
        assert file.endswith(file_format)
        assert rate == 16_000
        assert np.array_equal(samples, open_waveforms()[place].waveform)


def test_lhotse_gets_a_cut_with_a_recording_and_a_supervision_for_each_clip(tmp_path: Path) -> None:
    export.export(4, tmp_path, file_format="lhotse")
    cuts = [json.loads(line) for line in (tmp_path / "cuts.jsonl").read_text().splitlines()]
    for cut, clip in zip(cuts, open_waveforms().head(4), strict=True):
        recording, (supervision,) = cut["recording"], cut["supervisions"]
        assert cut["id"] == recording["id"] == supervision["recording_id"] == clip.clip_id
        assert recording["num_samples"] == clip.num_samples
        assert cut["duration"] == recording["duration"] == supervision["duration"] == clip.duration_seconds
        assert supervision["text"] == clip.text
        assert cut["custom"].get("accent") == clip.accent
        samples, rate = soundfile.read(tmp_path / recording["sources"][0]["source"], dtype="float32")
        assert rate == recording["sampling_rate"]
        assert np.array_equal(samples, clip.waveform)


def test_lhotse_loads_it(tmp_path: Path) -> None:
    lhotse = pytest.importorskip("lhotse")
    export.export(2, tmp_path, file_format="lhotse")
    cuts = lhotse.CutSet.from_file(tmp_path / "cuts.jsonl").with_recording_path_prefix(str(tmp_path)).to_eager()
    lhotse.validate(cuts, read_data=True)
    assert np.array_equal(cuts[0].load_audio()[0], open_waveforms()[0].waveform)


def test_a_number_is_found_by_how_it_is_written(tmp_path: Path) -> None:
    frame = open_waveforms().metadata()
    votes = frame["up_votes"].iloc[0]
    export.export(1, tmp_path, where=[f"up_votes={votes}"])
    assert list(read(tmp_path)["clip_id"]) == [frame["clip_id"].iloc[0]]


def test_conditions_hold_for_every_clip_and_keep_the_order_of_the_ranking(tmp_path: Path) -> None:
    export.export(2, tmp_path, where=["gender=male", "accent=?", "split=train"])
    frame = open_waveforms().metadata()
    right = frame[(frame["gender"] == "male") & frame["accent"].isna() & (frame["split"] == "train")]
    assert list(read(tmp_path)["clip_id"]) == list(right["clip_id"][:2])


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        export.export(2, tmp_path / name, file_format="wav")
    one, other = ({path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("one", "other"))
    assert one == other


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sample-1.mp3").write_bytes(b"mine")
    assert main(["export", "--clips", "2", "--to", str(tmp_path)]) == 1
    assert "sample-1.mp3" in capsys.readouterr().err
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_force_replaces_what_has_the_same_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ("sample-1.mp3", "notes.txt"):
        (tmp_path / name).write_bytes(b"mine")
    assert main(["export", "--clips", "1", "--to", str(tmp_path), "--force"]) == 0
    assert (tmp_path / "sample-1.mp3").read_bytes() != b"mine"
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["export", "--clips", "1", "--to", str(tmp_path / "file/folder")]) == 1
    said = capsys.readouterr().err
    assert "name another folder with --to" in said
    assert "dvc repro" not in said


def test_a_cell_is_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = Waveforms.metadata
    monkeypatch.setattr(Waveforms, "metadata", lambda clips: metadata(clips).assign(text="=1+1", accent="@x", age=None))
    export.export(1, tmp_path)
    (row,) = read(tmp_path).to_dict("records")
    assert (row["text"], row["accent"], row["age"]) == ("'=1+1", "'@x", "")


def test_an_unknown_column_or_value_is_answered_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        export.export(1, tmp_path / "new", where=["gendr=female", "gender=martian", "gender", "text=nobody said this"])
    said = str(caught.value)
    assert "gendr=female: expected COLUMN=VALUE; columns are clip_id, " in said
    assert "gender=martian: no clip has it; values of gender are female, male, other" in said
    assert len(caught.value.problems) == 4
    assert not (tmp_path / "new").exists()


def test_fewer_clips_than_asked_are_an_error_that_counts_them(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match=r"--clips 100: \d+ clips of the sample are as asked \(gender=female\)"):
        export.export(100, tmp_path / "new", where=["gender=female"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_number_of_clips_that_is_none_is_wrong_usage(count: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", "--clips", count, "--to", str(tmp_path)])
    assert caught.value.code == 2


def test_the_command_line_knows_the_formats() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["export", "--clips", "1", "--to", "x", "--format", "ogg"])
    assert caught.value.code == 2


def test_pictures_are_pngs_beside_the_clips(tmp_path: Path) -> None:
    assert main(["export", "--clips", "3", "--to", str(tmp_path), "--pictures"]) == 0
    names = [f"sample-{number}.{kind}" for number in (1, 2, 3) for kind in ("mp3", "png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "samples.csv"])
    drawn, _ = pictures.spectrograms(open_waveforms().head(3))
    for number, picture in enumerate(drawn, start=1):
        with Image.open(tmp_path / f"sample-{number}.png") as image:
            assert image.size == (94, 128)
        assert (tmp_path / f"sample-{number}.png").read_bytes() == pictures.png(picture)
