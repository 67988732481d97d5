"""Snapshots, whatever their source: the same clips, known again, never read from outside."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from pipeline.core.errors import SnapshotChanged, SnapshotError
from pipeline.core.params import Runtime
from pipeline.snapshot import tables
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import ArchiveSource, Description, DirectorySource
from pipeline.snapshot.sources import Snapshot, open_snapshot
from tests.support.project import DEMO


def described(source: ArchiveSource | DirectorySource) -> Snapshot:
    description = Description(title="t", license="CC0-1.0", citation="c", format="kaggle-v1", source=source)
    return open_snapshot(description, Runtime())


def archive(path: Path, sha256: str | None = None) -> Snapshot:
    return described(ArchiveSource(kind="archive", path=str(path), sha256=sha256))


def directory(path: Path) -> Snapshot:
    return described(DirectorySource(kind="directory", path=str(path)))


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as Kaggle's archive unpacks: every folder in a folder of its name."""
    root = tmp_path_factory.mktemp("doubled")
    with zipfile.ZipFile(DEMO) as demo:
        for info in demo.infolist():
            path = root / info.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.write_bytes(demo.read(info))
            except zipfile.BadZipFile:
                path.write_bytes(b"damaged")
    return root


@pytest.fixture(scope="module")
def single(doubled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as Mozilla's own archive had it."""
    root = tmp_path_factory.mktemp("single") / "cv_corpus_v1"
    root.mkdir()
    for path in doubled.iterdir():
        if path.is_dir():
            shutil.copytree(path / path.name, root / path.name)
        else:
            shutil.copy(path, root)
    return root.parent


def clips_of(snapshot: Snapshot) -> dict[str, bytes]:
    rows = tables.index_clips(snapshot.members()).to_pylist()
    return {row["key"]: snapshot.read(Member(**{k: v for k, v in row.items() if k != "key"})) for row in rows}


def test_folders_doubled_and_single_hold_the_same_clips(doubled: Path, single: Path) -> None:
    clips = clips_of(directory(doubled))
    assert len(clips) > 400
    assert clips == clips_of(directory(single))
    listed = [
        {table: hashlib.sha256((root / name).read_bytes()).hexdigest() for table, name in found.items()}
        for root in (doubled, single)
        for found in [tables.find_tables(directory(root).members()["name"].to_pylist())]
    ]
    assert listed[0] == listed[1]


def test_a_folder_and_an_archive_list_the_same_members(doubled: Path) -> None:
    names = [snapshot.members()["name"].to_pylist() for snapshot in (archive(DEMO), directory(doubled))]
    assert sorted(names[0]) == names[1]


@pytest.mark.parametrize("kind", ["archive", "directory"])
def test_what_was_opened_is_known_again(kind: str, doubled: Path) -> None:
    opened = archive(DEMO) if kind == "archive" else directory(doubled)
    again = archive(DEMO) if kind == "archive" else directory(doubled)
    again.verify(opened.validators(), opened.transport())
    assert opened.transport() == {}
    opened.close()


def test_a_changed_folder_is_another_one(doubled: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(doubled, tmp_path / "copy")
    opened = directory(copy)
    validators = opened.validators()
    member = next(Member(**row) for row in opened.members().to_pylist() if row["name"].endswith(".mp3"))
    (copy / member.name).write_bytes(b"another")
    with pytest.raises(SnapshotChanged, match=r"7 bytes"):
        opened.read(member)
    with pytest.raises(SnapshotChanged):
        directory(copy).verify(validators, {})
    (copy / member.name).unlink()
    with pytest.raises(SnapshotError, match="No such file"):
        opened.read(member)


def test_a_changed_archive_is_another_one(tmp_path: Path) -> None:
    data = bytearray(DEMO.read_bytes())
    validators = archive(DEMO).validators()
    data[validators["directory_offset"] + 17] ^= 1
    (tmp_path / "changed.zip").write_bytes(data)
    with pytest.raises(SnapshotChanged):
        archive(tmp_path / "changed.zip").verify(validators, {})


def test_a_pinned_archive_is_the_one_or_none() -> None:
    digest = hashlib.sha256(DEMO.read_bytes()).hexdigest()
    assert archive(DEMO, digest).members().num_rows > 400
    with pytest.raises(SnapshotChanged, match="pinned SHA-256"):
        archive(DEMO, "0" * 64).members()


def test_what_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="no such folder"):
        directory(tmp_path / "nothing")
    with pytest.raises(SnapshotError, match="should be there"):
        archive(tmp_path / "nothing.zip").members()
    with pytest.raises(SnapshotError, match="should be there"):
        archive(tmp_path / "nothing.zip", "0" * 64).members()


def test_validators_say_nothing_of_the_place(doubled: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(doubled, tmp_path / "elsewhere")
    assert directory(copy).validators() == directory(doubled).validators()
    shutil.copy(DEMO, tmp_path / "other.zip")
    assert archive(tmp_path / "other.zip").validators() == archive(DEMO).validators()
