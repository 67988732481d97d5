"""Snapshots of every kind of source: the same clips, recognised again, never read from outside."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import schema
from pipeline.core.errors import ParameterError, SnapshotChanged, SnapshotError
from pipeline.core.params import Runtime
from pipeline.snapshot.archive import Member, Snapshot
from pipeline.snapshot.description import Description, describe
from pipeline.snapshot.join import Join
from pipeline.snapshot.origin import ArchiveSource, DirectorySource
from pipeline.snapshot.receipt import Identity, Receipt, TableCounts
from pipeline.snapshot.sources import OpenedSnapshot, open_snapshot, reopen_snapshot
from tests.support.project import DEMO, ROOT
from tests.support.tarballs import demo_files, pack

Source = ArchiveSource | DirectorySource


def described(source: Source) -> Description:
    return Description(
        title="t", license="CC0-1.0", citation="c", format="kaggle-v1", audio=("{name}.mp3",), source=source
    )


def opened(source: Source) -> OpenedSnapshot:
    return open_snapshot(described(source), Runtime())


def reopened(source: Source, identity: Identity) -> Snapshot:
    receipt = Receipt("mine", source.identity(), identity, 1, 1, 0, 0, "0" * 64)
    return reopen_snapshot(described(source), Runtime(), receipt)


def archive(path: Path, sha256: str | None = None) -> ArchiveSource:
    return ArchiveSource(kind="archive", path=str(path), sha256=sha256)


def directory(path: Path) -> DirectorySource:
    return DirectorySource(kind="directory", path=str(path))


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as Kaggle's archive unpacks: every folder in a folder of its name."""
    return pack(demo_files(), tmp_path_factory.mktemp("doubled"))


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


def clips_of(found: OpenedSnapshot) -> tuple[list[tuple[str, bytes]], dict[str, TableCounts]]:
    """Return the clips by id, and what was counted of their tables."""

    def read(member: dict[str, Any]) -> bytes:
        return found.snapshot.read(Member(**member))

    join = Join(found.members, describe("demo", ROOT / "configs/snapshots", ROOT / "configs/formats"), read)
    rows = [row for table in join.tables() for row in table.to_pylist() if row["path"]]
    members = [{"name": row["path"], **{name: row[name] for name in schema.MEMBERS.names[1:]}} for row in rows]
    return [(row["clip_id"], read(member)) for row, member in zip(rows, members, strict=True)], join.counts


def test_folder_doubled_or_single_holds_the_same_clips(doubled: Path, single: Path) -> None:
    clips, counts = clips_of(opened(directory(doubled)))
    assert len(clips) > 400
    found, others = clips_of(opened(directory(single)))
    assert clips == found
    assert [list(each.files.values()) for each in counts.values()] == [list(x.files.values()) for x in others.values()]


def test_folder_and_archive_list_the_same_members(doubled: Path) -> None:
    names = [opened(source).members["name"].to_pylist() for source in (archive(DEMO), directory(doubled))]
    assert sorted(names[0]) == names[1]


@pytest.mark.parametrize("kind", ["archive", "directory"])
def test_snapshot_is_recognised_when_opened_again(kind: str, doubled: Path) -> None:
    source = archive(DEMO) if kind == "archive" else directory(doubled)
    found = opened(source)
    again = reopened(source, found.identity)
    member = next(Member(**row) for row in found.members.to_pylist() if row["name"].endswith(".csv"))
    assert again.read(member) == found.snapshot.read(member)
    again.close()


def test_folder_that_changed_is_another_one(doubled: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(doubled, tmp_path / "copy")
    found = opened(directory(copy))
    member = next(Member(**row) for row in found.members.to_pylist() if row["name"].endswith(".mp3"))
    (copy / member.name).write_bytes(b"another")
    with pytest.raises(SnapshotChanged, match=r"7 bytes"):
        found.snapshot.read(member)
    with pytest.raises(SnapshotChanged):
        reopened(directory(copy), found.identity)
    (copy / member.name).unlink()
    with pytest.raises(SnapshotError, match="No such file"):
        found.snapshot.read(member)


def test_folder_in_place_of_an_archive_is_another_one(doubled: Path) -> None:
    with pytest.raises(SnapshotChanged):
        reopened(directory(doubled), opened(archive(DEMO)).identity)
    with pytest.raises(SnapshotChanged, match="an archive"):
        reopened(archive(DEMO), opened(directory(doubled)).identity)


def test_archive_has_the_pinned_checksum() -> None:
    digest = hashlib.sha256(DEMO.read_bytes()).hexdigest()
    assert opened(archive(DEMO, digest)).members.num_rows > 400
    with pytest.raises(SnapshotChanged, match="pinned SHA-256"):
        opened(archive(DEMO, "0" * 64))


def test_snapshot_that_is_missing_is_named(tmp_path: Path) -> None:
    said = r"nothing.*: nothing is there; source\.path in configs/snapshots/NAME\.yaml says .*nothing"
    with pytest.raises(SnapshotError, match=said):
        opened(directory(tmp_path / "nothing"))
    for sha256 in (None, "0" * 64):
        with pytest.raises(SnapshotError, match=said):
            opened(archive(tmp_path / "nothing.zip", sha256))


def test_snapshot_path_may_begin_in_the_home(doubled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(doubled.parent))
    in_home = directory(Path("~", doubled.name))
    assert opened(in_home).identity == opened(directory(doubled)).identity
    reopened(in_home, opened(in_home).identity)


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_archive_that_is_a_pipe_is_not_waited_for(tmp_path: Path, sha256: str | None) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    with pytest.raises(SnapshotError, match="no regular file"):
        opened(archive(tmp_path / "pipe.zip", sha256))


def test_folder_with_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "cv-valid-dev.csv").write_text("x")
    found = opened(directory(tmp_path))
    (member,) = (Member(**row) for row in found.members.to_pylist())
    (tmp_path / "cv-valid-dev.csv").unlink()
    os.mkfifo(tmp_path / "cv-valid-dev.csv")
    with pytest.raises(SnapshotError, match="no regular file"):
        found.snapshot.read(member)
    with pytest.raises(SnapshotError, match="no regular file"):
        opened(directory(tmp_path))


def test_folder_passes_over_what_is_neither_table_nor_clip(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"x")
    (tmp_path / "._a.mp3").write_bytes(b"x")
    for name in ("lost+found", "__MACOSX", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "lost+found" / "b.mp3").symlink_to("gone")
    (tmp_path / "latest").symlink_to("gone")
    os.mkfifo(tmp_path / "queue")
    identity = opened(directory(tmp_path)).identity
    assert str(identity).startswith("files 1,")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    reopened(directory(tmp_path), identity)
    (tmp_path / "b.MP3").symlink_to("gone")
    with pytest.raises(SnapshotError, match=r"b\.MP3: is no regular file"):
        opened(directory(tmp_path))


def test_folder_that_holds_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "again").symlink_to(tmp_path)
    with pytest.raises(SnapshotError, match="was listed already"):
        opened(directory(tmp_path))


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems refuse such names")
def test_folder_with_a_name_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp3")).write_bytes(b"")
    with pytest.raises(SnapshotError, match=r"not UTF-8: b'caf.xe9\.mp3'"):
        opened(directory(tmp_path))


def test_identity_does_not_depend_on_the_place(doubled: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(doubled, tmp_path / "elsewhere")
    assert opened(directory(copy)).identity == opened(directory(doubled)).identity
    shutil.copy(DEMO, tmp_path / "other.zip")
    assert opened(archive(tmp_path / "other.zip")).identity == opened(archive(DEMO)).identity


def test_a_relative_path_leads_into_the_original_checkout_of_an_experiment_in_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DEMO, tmp_path / "mine.zip")
    (tmp_path / "configs/snapshots").mkdir(parents=True)
    (tmp_path / "configs/snapshots/mine.yaml").write_text("title: not yet known to git\n")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with pytest.raises(SnapshotError, match=r"^mine\.zip: nothing is there"):
        opened(archive(Path("mine.zip")))
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    reopened(archive(Path("mine.zip")), opened(archive(Path("mine.zip"))).identity).close()
    with pytest.raises(ParameterError, match=r"git add configs/snapshots/mine\.yaml"):
        describe("mine")
