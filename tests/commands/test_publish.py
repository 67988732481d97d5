"""`publish`: the samples and rows of the shards, described, with checksums, all or nothing, and within the rights."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
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
from pipeline.commands.publish import croissant, huggingface, material, publication
from pipeline.commands.publish.columns import feature_columns
from pipeline.commands.verify import audit
from pipeline.core.errors import ShardError
from pipeline.core.progress import Progress
from tests.support.fake_kaggle import FakeKaggle, FileContent
from tests.support.project import DEMO, Project
from tests.support.tarballs import contents, flip, pack

PLACES: tuple[publication.Place, ...] = ("huggingface", "kaggle")


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


def metadata(inside: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((inside / "kaggle/dataset-metadata.json").read_text())
    return read


def head(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe").load((folder / "README.md").read_text().split("---\n")[1])
    return read


def test_publish_gives_the_hub_the_rows_of_the_shards_by_split_in_rank_order(inside: Path) -> None:
    clips = open_waveforms()
    frames = []
    for split in ("train", "dev", "test"):
        table = pq.read_table(inside / f"huggingface/data/{split}-00000-of-00001.parquet")
        mine = clips.where(split=split)
        assert table["clip_id"].to_pylist() == list(mine.metadata()["clip_id"])
        for row, clip in zip(table.select(["clip_id", "audio"]).to_pylist(), mine, strict=True):
            samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
            assert (rate, row["audio"]["path"]) == (16_000, f"{row['clip_id']}.flac")
            assert np.array_equal(samples, clip.waveform)
        frames.append(table.drop_columns("audio").to_pandas())
    frame = pd.concat(frames).sort_values("rank").reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, clips.metadata())
    paths = sorted((inside / "huggingface/features").iterdir())
    frame = pd.concat([pd.read_parquet(path) for path in paths]).sort_values("rank").reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, clips.features())


@pytest.mark.usefixtures("inside")
def test_publish_counts_each_clip_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [0.0]
    monkeypatch.setattr(Progress, "update", lambda _, count: counted.append(count))
    monkeypatch.setattr(Progress, "close", lambda bar: counted.append(-bar._total))
    huggingface.write(tmp_path, material.Material.load())
    assert (counted[-1], sum(counted)) == (-120, 0)


def test_publish_tells_the_hub_which_files_and_columns_there_are(inside: Path) -> None:
    folder = inside / "huggingface"
    configs = {each["config_name"]: each["data_files"] for each in head(folder)["configs"]}
    assert list(configs) == ["default", "features"]
    for place, files in zip(("data", "features"), configs.values(), strict=True):
        assert sorted(path for each in files for path in folder.glob(each["path"])) == sorted(
            (folder / place).iterdir()
        )
        columns = pq.read_schema(next((folder / place).iterdir()))
        features = json.loads(columns.metadata[b"huggingface"])["info"]["features"]
        assert list(features) == columns.names
        assert ("audio" in features) == (place == "data")


@pytest.mark.more
def test_publish_cuts_a_split_of_many_clips_into_files(
    own: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(huggingface, "_FILE_CLIPS", 30)
    monkeypatch.setattr(huggingface, "_ROW_GROUP_CLIPS", 10)
    publication.publish("huggingface", tmp_path / "many")
    files = sorted((tmp_path / "many/data").glob("train-*"))
    assert [path.name for path in files] == huggingface.file_names("train", 91)
    assert [pq.read_metadata(path).num_rows for path in files] == [30, 30, 30, 1]
    ids = [each for path in files for each in pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist()]
    assert ids == list(open_waveforms().where(split="train").metadata()["clip_id"])
    assert own.root.is_dir()


def test_publish_gives_kaggle_the_shards_as_they_are(inside: Path, home: Project) -> None:
    shards = contents(home.root / "data/waveforms")
    assert {name: data for name, data in contents(inside / "kaggle").items() if name in shards} == shards
    assert len(open_waveforms(inside / "kaggle")) == 120
    about = metadata(inside)
    assert 6 <= len(about["title"]) <= 50
    assert 6 <= len(about["id"].partition("/")[2]) <= 50
    assert 20 <= len(about["subtitle"]) <= 80
    assert about["licenses"] == [{"name": "CC0-1.0"}]
    (described,) = [each for each in about["resources"] if each["path"] == "part-00000.parquet"]
    fields = {field["name"]: field for field in described["schema"]["fields"]}
    assert list(fields) == pq.read_schema(home.root / "data/waveforms/part-00000.parquet").names
    assert all(field["description"] for field in fields.values())
    assert fields["up_votes"]["description"] == "listeners who say that the clip is right; null where missing."


@pytest.mark.more
def test_publish_makes_a_folder_of_which_the_client_uploads_every_file(own: Project, tmp_path: Path) -> None:
    folder = tmp_path / "upload"
    assert main(["publish", "--for", "kaggle", "--owner", "somebody", "--to", str(folder)]) == 0
    with FakeKaggle(FileContent(DEMO)).serving() as kaggle:
        client = str(Path(sys.executable).with_name("kaggle"))
        variables = {"KAGGLE_USERNAME": "somebody", "KAGGLE_KEY": "0" * 32, "no_proxy": ""}
        variables |= kaggle.environment(tmp_path / "home")
        assert "is being created" in own.run(client, "datasets", "create", "-p", str(folder), **variables)
    (created,) = kaggle.created
    about = json.loads((folder / "dataset-metadata.json").read_text())
    assert (created["ownerSlug"], created["title"], created["licenseName"]) == ("somebody", about["title"], "CC0-1.0")
    assert created["isPrivate"]
    arrived = {kaggle.upload_names[token]: data for token, data in kaggle.uploads.items()}
    assert arrived == {name: data for name, data in contents(folder).items() if name != "dataset-metadata.json"}
    described = {kaggle.upload_names[file["token"]]: file for file in created["files"]}
    assert set(described) == set(arrived)
    columns = [column["name"] for column in described["part-00000.parquet"]["columns"]]
    assert columns[:3] == ["clip_id", "waveform", "sample_rate"]


@pytest.mark.more
@pytest.mark.parametrize("place", PLACES)
def test_publish_lists_the_checksum_of_every_file(inside: Path, place: str, tmp_path: Path) -> None:
    folder = pack(contents(inside / place), tmp_path / place)
    assert audit.verify(folder).problems == ()
    for name in contents(folder).keys() - {"dataset-metadata.json"}:  # which is not uploaded
        flip(folder / name, 0)
        (problem,) = audit.verify(folder).problems
        assert problem.path == folder / name or name == "SHA256SUMS"
        flip(folder / name, 0)


@pytest.mark.parametrize("place", PLACES)
def test_publish_describes_each_file_and_column_in_croissant(inside: Path, place: str) -> None:
    described = json.loads((inside / place / "croissant.json").read_text())
    assert described["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert described["license"].startswith("https://creativecommons.org/")
    files = {each["@id"] for each in described["distribution"] if each["@type"] == "cr:FileObject"}
    assert files == {name for name in contents(inside / place) if name.endswith(".parquet")}
    fields = {each["name"]: each["field"] for each in described["recordSet"]}
    assert [each["name"] for each in fields["features"]] == [column.name for column in feature_columns()]
    units = {each["name"]: each.get("unitText") for each in [*fields["clips"], *fields["features"]]}
    assert (units["duration_seconds"], units["f0_mean_hz"], units["text"]) == ("s", "Hz", None)
    card = (inside / place / "README.md").read_text(encoding="utf-8")
    assert all(f"- {limit}\n" in card for limit in described["rai:dataLimitations"])
    assert described["prov:wasDerivedFrom"]["prov:label"].startswith("Common Voice demo")
    assert described["prov:wasGeneratedBy"]["prov:label"] in card


@pytest.mark.more
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas and rdflib, inside of mlcroissant
def test_publish_describes_records_that_mlcroissant_reads(inside: Path, place: str) -> None:
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
def test_publish_writes_the_same_bytes_again_and_replaces_its_own_folder_only_when_forced(own: Project) -> None:
    before = contents(own.root / "out/kaggle")
    assert main(["publish", "--for", "kaggle", "--to", "out/kaggle"]) == 1
    for place in PLACES:
        assert main(["publish", "--for", place, "--to", f"again/{place}"]) == 0
        assert contents(own.root / "again" / place) == contents(own.root / "out" / place)
    assert contents(own.root / "out/kaggle") == before
    assert main(["publish", "--for", "kaggle", "--to", "out/kaggle", "--force", "--owner", "somebody"]) == 0
    assert metadata(own.root / "out")["id"].startswith("somebody/")


def test_publish_says_a_command_that_can_be_pasted_for_any_name_of_a_folder(own: Project, tmp_path: Path) -> None:
    folder = tmp_path / "it's mine"
    *command, repository, uploaded, _ = shlex.split(
        publication.publish("huggingface", folder, owner="me").splitlines()[-1]
    )
    assert command[-4:] == ["hf", "upload", "--repo-type", "dataset"]
    assert (repository.partition("/")[0], uploaded) == ("me", str(folder))
    assert own.root.is_dir()


@pytest.mark.more
def test_publish_has_one_message_for_a_path_beyond_the_locale(own: Project) -> None:
    done = own.try_run(
        *("python", "-m", "pipeline", "publish", "--for", "huggingface", "--to", "üp"),
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert done.returncode == 1
    assert re.fullmatch("publish: the locale has no characters for .*. Set PYTHONUTF8=1, .*\n", done.stderr)


@pytest.mark.parametrize("owner", ["a b", "me/them", "--force", ""])
def test_publish_takes_the_name_of_an_account_as_owner(owner: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["publish", "--for", "kaggle", "--to", "upload", f"--owner={owner}"])


def test_publish_leaves_a_folder_with_other_files_even_when_forced(inside: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for more in ([], ["--force"]):
        assert main(["publish", "--for", "kaggle", "--to", str(tmp_path), *more]) == 1
    assert contents(tmp_path) == {"mine.txt": b"mine"}
    assert inside.is_dir()


def test_publish_leaves_nothing_after_a_failure(own: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object) -> None:
        raise ShardError("in the middle")

    monkeypatch.setattr(croissant, "describe", fails)
    assert main(["publish", "--for", "huggingface", "--to", str(tmp_path / "new")]) == 1
    assert list(tmp_path.glob("*new*")) == []
    monkeypatch.undo()
    path = own.root / "data/features/part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-20] + bytes(20))
    monkeypatch.chdir(own.root)
    with pytest.raises(ShardError, match=r"part-00001\.parquet"):
        publication.publish("kaggle", tmp_path / "new")
    assert list(tmp_path.glob("*new*")) == []


@pytest.mark.parametrize("terms", [{"redistribution": False}, {"format": "mozilla-tsv"}])
def test_publish_refuses_what_the_terms_forbid(own: Project, terms: dict[str, Any], tmp_path: Path) -> None:
    own.edit("configs/snapshots/demo.yaml", **terms)
    with pytest.raises(material.RedistributionForbidden, match=r"configs/snapshots/demo\.yaml"):
        publication.publish("huggingface", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    own.edit("configs/snapshots/demo.yaml", redistribution=True)
    assert material.Material.load().description.may_be_redistributed


def test_publish_makes_one_configuration_without_features(own: Project, tmp_path: Path) -> None:
    shutil.rmtree(own.root / "data/features")
    publication.publish("huggingface", tmp_path / "new")
    assert [each["config_name"] for each in head(tmp_path / "new")["configs"]] == ["default"]
    assert not (tmp_path / "new/features").exists()


@pytest.mark.more
@pytest.mark.parametrize("encoding", ["flac", "float32"])
def test_publish_turns_other_encodings_into_flac(own: Project, encoding: str, tmp_path: Path) -> None:
    own.set(waveforms__encoding=encoding)
    own.stage("waveforms", "features", "report")
    for place in PLACES:
        publication.publish(place, tmp_path / place)
    rows = pq.read_table(tmp_path / "huggingface/data/dev-00000-of-00001.parquet").to_pylist()
    for row, clip in zip(rows, open_waveforms().where(split="dev"), strict=True):
        samples, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
        assert np.abs(samples - clip.waveform).max() <= 0.5 / 32768
    assert audit.verify(tmp_path / "kaggle").problems == ()
