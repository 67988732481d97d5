"""download: what it refuses to fetch, and what it leaves where it fails."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.core import schema
from pipeline.core.errors import ParameterError, SnapshotError
from pipeline.snapshot import members, stage
from pipeline.snapshot.clips import read_clips
from pipeline.snapshot.receipt import ArchiveIdentity, Receipt, TableCounts, read_receipt, remarks
from tests.snapshot.test_archive import patched, zipped
from tests.support.project import Project
from tests.support.tarballs import contents, flip

HEADER = "filename,text,up_votes,down_votes,age,gender,accent,duration\n"


def described(project: Project, data: bytes) -> None:
    (project.root / "odd.zip").write_bytes(data)
    project.edit("configs/snapshots/demo.yaml", source={"kind": "archive", "path": "odd.zip"})


def test_a_table_that_says_it_is_absurdly_long_is_not_fetched(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def long(entry: bytearray) -> None:
        struct.pack_into("<I", entry, 24, members.LARGEST_TABLE_BYTES + 1)

    monkeypatch.chdir(fresh.root)
    described(fresh, patched(zipped({"cv-valid-dev.csv": HEADER.encode(), "cv-valid-dev/a.mp3": b""}), long))
    with pytest.raises(SnapshotError, match=r"cv-valid-dev\.csv: has 1073741825 bytes; at most 1 GiB"):
        stage.run()
    assert not schema.SNAPSHOT.exists()


def test_a_failed_run_leaves_what_was_there(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fresh.root)
    fresh.stage("download")
    before = contents(schema.SNAPSHOT)
    data = bytearray(zipped({"cv-valid-dev.csv": HEADER.encode(), "cv-valid-dev/a.mp3": b""}))
    data[60] ^= 1
    described(fresh, bytes(data))
    with pytest.raises(SnapshotError, match=r"cv-valid-dev\.csv: is damaged"):
        stage.run()
    assert contents(schema.SNAPSHOT) == before
    assert not list(Path("data").glob(".*.tmp"))


def test_table_of_clips_is_read_as_it_was_written(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fresh.root)
    said = stage.run()
    assert said.splitlines() == [
        "demo: 4 tables, 458 clips, 5 MB of audio",
        "  valid-dev: 1 row whose clip is not in the snapshot",
        "  valid-train: 1 row whose clip is a copy of another's",
    ]
    receipt = read_receipt()
    clips = read_clips(receipt, ["valid-test", "invalid"])
    assert clips["table"].value_counts().to_pylist() == [
        {"values": "invalid", "counts": 12},
        {"values": "valid-test", "counts": 55},
    ]
    assert read_clips(receipt).num_rows == 459
    assert read_clips(receipt, columns=["clip_id"]).column_names == ["clip_id"]
    with pytest.raises(
        ParameterError, match="has no valid-tset; there are: invalid, valid-dev, valid-test, valid-train"
    ):
        read_clips(receipt, ["valid-tset"])
    receipt.tables["invalid"].problem = "cv-invalid.csv: is empty"
    with pytest.raises(SnapshotError, match="the table invalid cannot be used: cv-invalid"):
        read_clips(receipt, ["invalid"])


def test_table_of_clips_is_read_alike_from_row_groups_of_any_size(
    fresh: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fresh.root)
    stage.run()
    receipt = read_receipt()
    whole = read_clips(receipt)
    for size in (1, 13, 459):
        pq.write_table(whole, schema.CLIP_TABLE, row_group_size=size)
        receipt = replace(receipt, clips_sha256=hashlib.sha256(schema.CLIP_TABLE.read_bytes()).hexdigest())
        for tables in (["invalid"], ["valid-dev"], ["valid-train", "invalid"]):
            expected = whole.filter(pc.is_in(whole["table"], pa.array(tables)))
            assert read_clips(receipt, tables).equals(expected)


def test_table_of_clips_that_is_damaged_is_none(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fresh.root)
    stage.run()
    flip(schema.CLIP_TABLE)
    with pytest.raises(SnapshotError, match=r"clips\.parquet: is damaged"):
        read_clips(read_receipt())


def test_remarks_say_what_was_counted() -> None:
    counts = TableCounts({}, 100, 1, 2, 3, 1, ["t.csv, line 5: no"], 4, {"age": 5})
    receipt = Receipt("mine", {}, ArchiveIdentity(1, 1, "0" * 64), 9, 8, 7, 6, "0" * 64)
    receipt.tables.update({"t": counts, "u": TableCounts(problem="u.csv: is empty")})
    assert list(remarks(receipt)) == [
        "t: 1 row whose clip is not in the snapshot",
        "t: 2 rows without the name of a clip",
        "t: 3 rows equal to an earlier one",
        "t: 1 row that cannot be read",
        "t: 4 rows whose clip is a copy of another's",
        "t: 5 rows with an undocumented value of age",
        "  t.csv, line 5: no",
        "u is left out. u.csv: is empty",
        "7 clips of 8 that no row names",
        "6 copies of clips, under other paths",
    ]
