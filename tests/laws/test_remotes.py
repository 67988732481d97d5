"""A sample is shared through an object store: pushed, pulled elsewhere, grown, imported, read without a clone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import open_waveforms
from tests.support import object_store
from tests.support.object_store import BUCKET, ObjectStore
from tests.support.project import Project

pytestmark = pytest.mark.more


@pytest.fixture
def store() -> Iterator[ObjectStore]:
    with object_store.serving() as store:
        yield store


@pytest.fixture
def shared(made: Project, store: ObjectStore) -> Project:
    """Return a repository that has an object store for a remote, as docs/remotes.md says, and nothing in it yet."""
    made.run("dvc", "remote", "add", "--default", "shelf", f"s3://{BUCKET}/sample")
    made.run("dvc", "remote", "modify", "shelf", "endpointurl", store.url)
    made.run("git", "commit", "--quiet", "--all", "--message=Share it")
    return made


def clone(project: Project, to: Path) -> Project:
    project.run("git", "clone", "--quiet", str(project.root), str(to))
    return Project(to)


def commit(project: Project) -> None:
    project.run("git", "commit", "--quiet", "--all", "--message=Grow it")


def blobs(store: ObjectStore) -> set[str]:
    return {path for path in store.objects() if not path.partition("?")[0].endswith(".dir")}


def test_s3_remote_serves_all_or_only_waveforms_and_growth_pushes_what_is_new(
    shared: Project, store: ObjectStore, tmp_path: Path
) -> None:
    shared.set(shards__clips=32, subsample__clips=64)
    shared.run("dvc", "repro")
    commit(shared)
    shared.run("dvc", "push")
    few = clone(shared, tmp_path / "few")
    few.run("dvc", "pull", "data/waveforms")
    assert sorted(path.name for path in (few.root / "data").iterdir() if path.name != ".gitignore") == [
        *("demo", "waveforms")
    ]
    assert len(open_waveforms(few.root / "data/waveforms")) == 64

    store.requests.clear()
    before = shared.outputs()
    shared.set(subsample__clips=128)
    shared.run("dvc", "repro")
    commit(shared)
    shared.run("dvc", "push")
    pushed = blobs(store)
    folders = [shared.root / "data" / name for name in ("clips", "waveforms", "features")]
    assert len([path for folder in folders for path in folder.glob("part-*")]) == 12
    files = {"sample.parquet", "rejected.csv", "report.html", "DATASET_CARD.md"}
    plots = {path for path, data in shared.outputs().items() if "/plots/" in path and data != before[path]}
    assert len(pushed) == 6 + len(files | plots)

    everything = clone(shared, tmp_path / "everything")
    everything.run("dvc", "pull")
    assert everything.outputs() == shared.outputs()
    assert "Running stage" not in everything.run("dvc", "repro")


def test_s3_remote_is_imported_and_read_without_a_clone(
    shared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.run("dvc", "push")
    shared.run("git", "tag", "v1")
    course = Project(tmp_path / "course")
    course.root.mkdir()
    course.run("git", "init", "--quiet")
    course.run("dvc", "init", "--quiet")
    course.run("dvc", "import", "--rev", "v1", str(shared.root), "data/waveforms")
    imported, here = (open_waveforms(folder) for folder in (course.root / "waveforms", shared.root / "data/waveforms"))
    assert imported.about == here.about
    assert len(imported) == len(here)

    shutil.rmtree(shared.root / ".dvc/cache")
    monkeypatch.chdir(tmp_path)
    from dvc.api import DVCFileSystem

    filesystem: Any = DVCFileSystem(str(shared.root), rev="v1")
    read = open_waveforms("data/waveforms", filesystem=filesystem)
    np.testing.assert_array_equal(read[70].waveform, here[70].waveform)
    assert read.where(gender="female")[0].clip_id == here.where(gender="female")[0].clip_id
