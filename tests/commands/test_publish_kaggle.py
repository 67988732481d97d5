"""What `publish` makes for Kaggle, given to the real client: every file arrives, the metadata is what it wants."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.support.fake_kaggle import FakeKaggle, FileContent
from tests.support.project import DEMO, Project


@pytest.mark.more
def test_the_client_uploads_every_file(staged: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(staged.root)
    (staged.root / "dvc.lock").unlink()
    staged.stage("report")
    folder = tmp_path / "upload"
    assert main(["publish", "--for", "kaggle", "--owner", "somebody", "--to", str(folder)]) == 0
    with FakeKaggle(FileContent(DEMO)).serving() as kaggle:
        client = str(Path(sys.executable).with_name("kaggle"))
        said = staged.run(
            *(client, "datasets", "create", "-p", str(folder)),
            **kaggle.environment(tmp_path / "home"),
            KAGGLE_USERNAME="somebody",
            KAGGLE_KEY="0" * 32,
            no_proxy="",
        )
    assert "is being created" in said
    (created,) = kaggle.created
    about = json.loads((folder / "dataset-metadata.json").read_text())
    assert (created["ownerSlug"], created["title"], created["licenseName"]) == ("somebody", about["title"], "CC0-1.0")
    assert created["isPrivate"]
    arrived = {kaggle.upload_names[token]: data for token, data in kaggle.uploads.items()}
    there = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "dataset-metadata.json"}
    assert arrived == there
    described = {kaggle.upload_names[file["token"]]: file for file in created["files"]}
    assert set(described) == set(there)
    columns = [column["name"] for column in described["part-00000.parquet"]["columns"]]
    assert columns[:3] == ["clip_id", "waveform", "sample_rate"]
