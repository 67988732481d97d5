"""`publish`: all or nothing, the samples and rows of the shards, described, with checksums, and within the rights."""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import soundfile
from ruamel.yaml import YAML

from pipeline import open_waveforms
from pipeline.__main__ import main
from pipeline.commands.publish import huggingface, material, publication
from pipeline.commands.publish.columns import feature_columns
from pipeline.commands.verify import audit
from pipeline.core import schema
from pipeline.core.errors import ShardError
from tests.support.project import Project, environment

PLACES = ("huggingface", "kaggle")


@pytest.fixture(scope="module")
def home(staged_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with all outputs, in four shards, and a folder for each place."""
    project = staged_once.copy(tmp_path_factory.mktemp("publish") / "project")
    (project.root / "dvc.lock").unlink()
    project.stage("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        for place in PLACES:
            assert main(["publish", "--for", place, "--to", f"out/{place}"]) == 0
    return project


@pytest.fixture
def inside(home: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home.root)
    return home.root / "out"


@pytest.fixture
def own(home: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the project to change."""
    project = home.copy(tmp_path / "own")
    monkeypatch.chdir(project.root)
    return project


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def head(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe").load((folder / "README.md").read_text().split("---\n")[1])
    return read


@pytest.mark.more
def test_the_hub_gets_the_samples_of_the_shards_as_flac_by_split_in_rank_order(inside: Path) -> None:
    clips = open_waveforms()
    seen = 0
    for split in ("train", "dev", "test"):
        rows = pq.read_table(inside / f"huggingface/data/{split}-00000-of-00001.parquet").to_pylist()
        mine = clips.where(split=split)
        assert [row["clip_id"] for row in rows] == list(mine.metadata()["clip_id"])
        assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)
        for row, clip in zip(rows, mine, strict=True):
            samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
            assert rate == 16_000
            assert np.array_equal(samples, clip.waveform)
            assert row["audio"]["path"] == f"{row['clip_id']}.flac"
        seen += len(rows)
    assert seen == len(clips)


@pytest.mark.more
def test_every_other_column_is_as_it_is(inside: Path) -> None:
    paths = [inside / f"huggingface/data/{split}-00000-of-00001.parquet" for split in ("train", "dev", "test")]
    frame = pd.concat([pd.read_parquet(path).drop(columns="audio") for path in paths]).sort_values("rank")
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), open_waveforms().metadata())


@pytest.mark.more
def test_the_features_are_a_second_configuration(inside: Path) -> None:
    paths = sorted((inside / "huggingface/features").iterdir())
    frame = pd.concat([pd.read_parquet(path) for path in paths]).sort_values("rank").reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, open_waveforms().features())
    assert [each["config_name"] for each in head(inside / "huggingface")["configs"]] == ["default", "features"]


def test_the_card_counts_what_the_files_hold(inside: Path) -> None:
    folder = inside / "huggingface"
    for info, place in zip(head(folder)["dataset_info"], ("data", "features"), strict=True):
        for split in info["splits"]:
            files = list((folder / place).glob(f"{split['name']}-*.parquet"))
            assert sum(pq.read_metadata(path).num_rows for path in files) == split["num_examples"]
        columns = pq.read_schema(files[0])
        assert [each["name"] for each in info["features"]] == columns.names
        declared = json.loads(columns.metadata[b"huggingface"])["info"]["features"]
        assert list(declared) == columns.names
    assert {"name": "audio", "dtype": {"audio": {"sampling_rate": 16_000}}} in head(folder)["dataset_info"][0][
        "features"
    ]


@pytest.mark.more
def test_a_split_of_many_clips_is_several_files(own: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface, "_FILE_CLIPS", 25)
    monkeypatch.setattr(huggingface, "_ROW_GROUP_CLIPS", 10)
    publication.publish("huggingface", tmp_path / "many")
    files = sorted((tmp_path / "many/data").glob("train-*"))
    assert [path.name for path in files] == list(huggingface.file_names("train", 91))
    assert [pq.read_metadata(path).num_rows for path in files] == [25, 25, 25, 16]
    ids = [each for path in files for each in pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist()]
    assert ids == list(open_waveforms().where(split="train").metadata()["clip_id"])
    assert own.root.is_dir()


def test_kaggle_gets_the_shards_as_they_are(inside: Path, home: Project) -> None:
    shards = content(home.root / "data/waveforms")
    assert {name: data for name, data in content(inside / "kaggle").items() if name in shards} == shards
    clips = open_waveforms(inside / "kaggle")
    assert len(clips) == 120
    (described,) = [each for each in metadata(inside)["resources"] if each["path"] == "part-00000.parquet"]
    assert [field["name"] for field in described["schema"]["fields"]] == schema.waveforms_schema("pcm16").names
    assert all(field["description"] for field in described["schema"]["fields"])


def metadata(inside: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((inside / "kaggle/dataset-metadata.json").read_text())
    return read


def test_titles_are_as_long_as_kaggle_takes(inside: Path) -> None:
    about = metadata(inside)
    assert 6 <= len(about["title"]) <= 50
    assert 6 <= len(about["id"].partition("/")[2]) <= 50
    assert 20 <= len(about["subtitle"]) <= 80
    assert about["licenses"] == [{"name": "CC0-1.0"}]


@pytest.mark.more
@pytest.mark.parametrize("place", PLACES)
def test_every_file_has_its_checksum_and_a_flip_is_found(inside: Path, place: str, tmp_path: Path) -> None:
    folder = tmp_path / place
    for name, data in content(inside / place).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    assert audit.verify(folder).problems == ()
    for name, data in content(folder).items():
        if name == "dataset-metadata.json":  # is not uploaded
            continue
        (folder / name).write_bytes(bytes([data[0] ^ 1, *data[1:]]))
        (problem,) = audit.verify(folder).problems
        assert problem.path == folder / name or name == "SHA256SUMS"
        (folder / name).write_bytes(data)


@pytest.mark.parametrize("place", PLACES)
def test_croissant_lists_each_file_and_each_column(inside: Path, place: str) -> None:
    described = json.loads((inside / place / "croissant.json").read_text())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    files = {each["@id"] for each in described["distribution"] if each["@type"] == "cr:FileObject"}
    assert files == {name for name in content(inside / place) if name.endswith(".parquet")}
    fields = {each["name"]: each["field"] for each in described["recordSet"]}
    assert [each["name"] for each in fields["features"]] == [column.name for column in feature_columns()]
    units = {each["name"]: each.get("unitText") for each in [*fields["clips"], *fields["features"]]}
    assert (units["duration_seconds"], units["f0_mean_hz"], units["text"]) == ("s", "Hz", None)
    assert len(described["rai:dataLimitations"]) >= 6
    assert described["prov:wasDerivedFrom"]["prov:label"].startswith("Common Voice demo")
    assert "exact share" in described["prov:wasGeneratedBy"]["prov:label"]


@pytest.mark.more
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas and rdflib, inside of mlcroissant
def test_mlcroissant_validates_it_and_reads_records(inside: Path, place: str) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    described = mlcroissant.Dataset(str(inside / place / "croissant.json"))
    assert not described.metadata.ctx.issues.errors
    assert [row["splits/name"] for row in described.records(record_set="splits")] == ["train", "dev", "test"]
    clips = {row["clips/clip_id"].decode(): row for row in described.records(record_set="clips")}
    assert set(clips) == set(open_waveforms().metadata()["clip_id"])
    first = open_waveforms()[0]
    assert clips[first.clip_id]["clips/num_samples"] == first.num_samples
    assert len(list(described.records(record_set="features"))) == 120


@pytest.mark.more
def test_what_is_published_twice_is_the_same_to_the_byte(own: Project, tmp_path: Path) -> None:
    for place in PLACES:
        assert main(["publish", "--for", place, "--to", str(tmp_path / place)]) == 0
        assert content(tmp_path / place) == content(own.root / "out" / place)


def test_the_command_that_uploads_can_be_pasted_whatever_the_folder_is_called(own: Project, tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    *command, repository, uploaded, _ = shlex.split(
        publication.publish("huggingface", folder, owner="me").splitlines()[-1]
    )
    assert command[-4:] == ["hf", "upload", "--repo-type", "dataset"]
    assert repository.startswith("me/")
    assert uploaded == str(folder)
    assert own.root.is_dir()


@pytest.mark.more
def test_a_locale_without_the_characters_of_a_path_is_one_message(own: Project) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "publish", "--for", "huggingface", "--to", "üp"],
        cwd=own.root,
        env=environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch("publish: the locale has no characters for .*. Set PYTHONUTF8=1, .*\n", done.stderr)


@pytest.mark.parametrize("owner", ["a b", "me/them", "--force", ""])
def test_an_owner_is_the_name_of_an_account(owner: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["publish", "--for", "kaggle", "--to", "upload", f"--owner={owner}"])
    assert "should be the name of an account" in capsys.readouterr().err


def test_a_folder_with_other_files_stays_even_when_forced(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for more in ([], ["--force"]):
        assert main(["publish", "--for", "kaggle", "--to", str(tmp_path), *more]) == 1
    assert content(tmp_path) == {"mine.txt": b"mine"}
    assert inside.is_dir()


@pytest.mark.more
def test_its_own_folder_is_replaced_only_when_forced(own: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(own.root / "out/kaggle")
    assert main(["publish", "--for", "kaggle", "--to", "out/kaggle"]) == 1
    assert "is not empty" in capsys.readouterr().err
    assert content(own.root / "out/kaggle") == before
    assert main(["publish", "--for", "kaggle", "--to", "out/kaggle", "--force", "--owner", "somebody"]) == 0
    assert metadata(own.root / "out")["id"].startswith("somebody/")


def test_a_failure_leaves_nothing(own: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise ShardError("in the middle")

    monkeypatch.setattr(publication, "_describe", fails)
    assert main(["publish", "--for", "huggingface", "--to", str(tmp_path / "new")]) == 1
    assert list(tmp_path.glob("*new*")) == []
    assert own.root.is_dir()


def test_damaged_data_is_not_published(own: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own.root / "data/features/part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20] + bytes(20))
    assert main(["publish", "--for", "kaggle", "--to", str(tmp_path / "new")]) == 1
    said = capsys.readouterr().err
    assert "part-00001.parquet" in said
    assert "python -m pipeline verify" in said
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("terms", [{"redistribution": False}, {"format": "mozilla-tsv"}])
def test_what_the_terms_forbid_is_not_published(
    own: Project, terms: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own.edit("configs/snapshots/demo.yaml", **terms)
    assert main(["publish", "--for", "huggingface", "--to", str(tmp_path / "new")]) == 1
    said = capsys.readouterr().err
    assert "Mozilla Data Collective" in said
    assert "configs/snapshots/demo.yaml" in said
    assert not (tmp_path / "new").exists()
    own.edit("configs/snapshots/demo.yaml", redistribution=True)
    assert material.Material.load().description.may_be_redistributed


def test_without_features_there_is_one_configuration(own: Project, tmp_path: Path) -> None:
    for path in (own.root / "data/features").iterdir():
        path.unlink()
    (own.root / "data/features").rmdir()
    assert main(["publish", "--for", "huggingface", "--to", str(tmp_path / "new")]) == 0
    assert [each["config_name"] for each in head(tmp_path / "new")["configs"]] == ["default"]
    assert not (tmp_path / "new/features").exists()


@pytest.mark.more
@pytest.mark.parametrize("encoding", ["flac", "float32"])
def test_other_encodings_are_published_as_flac(own: Project, encoding: str, tmp_path: Path) -> None:
    own.set(waveforms__encoding=encoding)
    own.stage("waveforms", "features", "report")
    for place in PLACES:
        assert main(["publish", "--for", place, "--to", str(tmp_path / place)]) == 0
    rows = pq.read_table(tmp_path / "huggingface/data/dev-00000-of-00001.parquet").to_pylist()
    for row, clip in zip(rows, open_waveforms().where(split="dev"), strict=True):
        samples, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
        assert np.abs(samples - clip.waveform).max() <= 0.5 / 32768
    assert audit.verify(tmp_path / "kaggle").problems == ()
