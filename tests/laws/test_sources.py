"""One source against another: the same clips in a zip, in a folder and in tars are the same sample, made and grown."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core import schema
from pipeline.snapshot import gunzip, tar_snapshot
from pipeline.snapshot.archive import Member
from tests.support import data_sets
from tests.support.labelled import labelled_files
from tests.support.project import Project, copy_of_this_project

pytestmark = pytest.mark.more

MADE = ("download", "stratify", "subsample", "waveforms")
TARS = ("demo.tar", "demo.tar.gz")


def of(project: Project, source: str, data_set: str = "demo") -> Project:
    """Give a project the files of a data set in some form."""
    project.set(shards__clips=32, subsample__clips=70)
    if data_set != "demo" or source != "demo.zip":
        files = labelled_files(with_copy=False) if data_set == "labelled" else None  # in a folder, copies are not found
        data_sets.use(project, data_set, source, files)
    return project


def tables(project: Project, *folders: Path) -> dict[str, pa.Table]:
    """Return all stored rows without their seals, which differ by source."""
    paths = [path for folder in folders for path in sorted((project.root / folder).glob("part-*.parquet"))]
    paths += [project.root / schema.SAMPLE, project.root / schema.RANKING]
    return {
        path.name if path.parent.name == "data" else str(path.relative_to(project.root)): rows(path) for path in paths
    }


def rows(path: Path) -> pa.Table:
    return pq.read_table(path).replace_schema_metadata()


@pytest.fixture(scope="module", params=["demo", "labelled"])
def from_zip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_of_this_project(tmp_path_factory.mktemp("zip") / "project")
    of(project, "demo.zip", request.param).stage(*MADE)
    return project


@pytest.mark.parametrize("source", ["folder", *TARS])
def test_sources_of_the_same_clips_give_the_same_sample(source: str, from_zip: Project, fresh: Project) -> None:
    data_set = "labelled" if (from_zip.root / "configs/snapshots/labelled.yaml").exists() else "demo"
    of(fresh, source, data_set).stage(*MADE)
    expected = tables(from_zip, schema.CLIPS, schema.WAVEFORMS)
    found = tables(fresh, schema.CLIPS, schema.WAVEFORMS)
    assert len(expected) == 8
    assert list(found) == list(expected)
    assert all(found[name].equals(table) for name, table in expected.items())
    rejected = [(project.root / schema.REJECTED).read_text().splitlines() for project in (from_zip, fresh)]
    assert [line.split(",")[:2] for line in rejected[0]] == [line.split(",")[:2] for line in rejected[1]]


@pytest.mark.parametrize("source", TARS)
def test_tar_is_read_only_for_new_clips(source: str, fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    of(fresh, source).set(subsample__clips=60)
    fresh.stage(*MADE[:3])
    passes: list[Path] = []
    gathered: list[str] = []
    read: list[str] = []

    def inflated(path: Path, advance: object) -> object:
        passes.append(path)
        return gunzip.inflated(path, advance)  # type: ignore[arg-type]

    class Watched(tar_snapshot.TarSnapshot):
        def prefetch(self, members: object) -> None:
            told = list(members)  # type: ignore[call-overload]
            gathered.extend(member.name for member in told)
            super().prefetch(told)

        def read(self, member: Member) -> bytes:
            read.append(member.name)
            return super().read(member)

    monkeypatch.setattr("pipeline.snapshot.sources.TarSnapshot", Watched)
    monkeypatch.setattr(tar_snapshot, "inflated", inflated)
    fresh.stage("subsample")  # all are there
    assert (passes, gathered, read) == ([], [], [])
    before = {row["clip_id"] for row in pq.read_table(fresh.root / schema.SAMPLE, columns=["clip_id"]).to_pylist()}
    fresh.set(subsample__clips=110)
    fresh.stage("subsample")
    assert 50 <= len(read) <= 60  # with those that were rejected
    assert not before & {clip_of(name) for name in read}
    assert len(set(read) - set(gathered)) <= 4  # in place of others, where more were rejected than was expected
    assert len(passes) == source.endswith("gz")


def clip_of(member: str) -> str:
    """Return the id of a clip, whose folder is doubled in the archive."""
    _, folder, file = member.split("/")
    return f"{folder.removeprefix('cv-')}/{file.removesuffix('.mp3')}"
