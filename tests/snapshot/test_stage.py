"""download: what it refuses to fetch, and what it leaves where it fails."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pipeline.core import schema
from pipeline.core.errors import SnapshotError
from pipeline.snapshot import formats, stage
from tests.snapshot.test_archive import patched, zipped
from tests.support.project import Project

HEADER = "filename,text,up_votes,down_votes,age,gender,accent,duration\n"


def described(project: Project, data: bytes) -> None:
    (project.root / "odd.zip").write_bytes(data)
    project.edit("configs/snapshots/demo.yaml", source={"kind": "archive", "path": "odd.zip"})


def test_a_table_that_says_it_is_absurdly_long_is_not_fetched(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def long(entry: bytearray) -> None:
        struct.pack_into("<I", entry, 24, formats.LARGEST_TABLE_BYTES + 1)

    monkeypatch.chdir(fresh.root)
    described(fresh, patched(zipped({"cv-valid-dev.csv": HEADER.encode()}), long))
    with pytest.raises(SnapshotError, match=r"cv-valid-dev\.csv has 1073741825 bytes; at most 1 GiB"):
        stage.run()
    assert not schema.SNAPSHOT.exists()


def test_a_failed_run_leaves_what_was_there(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fresh.root)
    fresh.stage("download")
    before = {path: path.read_bytes() for path in schema.SNAPSHOT.rglob("*") if path.is_file()}
    data = bytearray(zipped({"cv-valid-dev.csv": HEADER.encode()}))
    data[60] ^= 1
    described(fresh, bytes(data))
    with pytest.raises(SnapshotError, match="a table of the snapshot is damaged"):
        stage.run()
    assert {path: path.read_bytes() for path in schema.SNAPSHOT.rglob("*") if path.is_file()} == before
    assert not list(Path("data").glob(".*.tmp"))
