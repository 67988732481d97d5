"""What `download` keeps is read back as it was written, or is said to be damaged."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import schema
from pipeline.core.errors import SnapshotError, TableError
from pipeline.snapshot.receipt import (
    ArchiveIdentity,
    FolderIdentity,
    Identity,
    Receipt,
    TarIdentity,
    read_members,
    read_receipt,
    write_members,
    write_receipt,
)

TAR = TarIdentity(1000, "1" * 64, "2" * 64, etag='"one"')
ARCHIVE = ArchiveIdentity(1000, 900, "0" * 64, etag='"one"', last_modified="Wed, 29 Nov 2017 00:00:00 GMT")
FOLDER = FolderIdentity(3, "f" * 64)


def receipt(identity: Identity = ARCHIVE) -> Receipt:
    source: dict[str, str | int] = {"kind": "kaggle", "dataset": "mozillaorg/common-voice", "version": 2}
    return Receipt("mine", "kaggle-v1", source, 7, identity)


def index(rows: int = 5) -> pa.Table:
    made = [
        {"name": f"cv-x/caf\u00e9-{row}.mp3", "method": 8, "flags": 0, "offset": row, "size_bytes": 10, "crc32": row}
        for row in range(rows)
    ]
    return pa.Table.from_pylist(made, schema=schema.MEMBERS)


@pytest.mark.parametrize("identity", [ARCHIVE, ArchiveIdentity(1, 0, "0" * 64), TAR, FOLDER])
def test_a_receipt_is_read_as_it_was_written(tmp_path: Path, identity: Identity) -> None:
    write_receipt(tmp_path / "receipt.json", receipt(identity))
    assert read_receipt(tmp_path / "receipt.json") == receipt(identity)


def test_what_is_unknown_is_left_out_and_keys_are_sorted(tmp_path: Path) -> None:
    write_receipt(tmp_path / "receipt.json", receipt())
    text = (tmp_path / "receipt.json").read_text()
    assert "md5" not in text
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_seals_know_the_content_and_no_word_of_a_server() -> None:
    assert receipt().source_identity() == {"directory_offset": 900, "size_bytes": 1000}
    assert receipt(TAR).source_identity() == {"size_bytes": 1000}
    assert receipt(FOLDER).source_identity() == {"files": 3, "listing_sha256": "f" * 64}


DAMAGED = {
    "empty": b"",
    "cut": b'{"format": "kaggle-v1"',
    "no object": b"[]",
    "no keys": b"{}",
    "not UTF-8": b'"\xff"',
    "deep": b"[" * 100_000,
    "long": b" " * (2 << 20),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_receipt_says_what_helps(tmp_path: Path, kind: str) -> None:
    (tmp_path / "receipt.json").write_bytes(DAMAGED[kind])
    with pytest.raises(SnapshotError, match=r"(?s)is damaged.*dvc repro --force --downstream download"):
        read_receipt(tmp_path / "receipt.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"members": 7', '"members": -7'),
        ('"members": 7', '"members": ' + "9" * 5000),
        ('"members": 7', '"members": 7.5'),
        ('"size_bytes": 1000', '"size_bytes": 9223372036854775808'),
        ("kaggle-v1", "kaggle-v9"),
        ("0" * 64, "0" * 63),
        ('"members"', '"validators"'),
        ('"etag"', '"e-tag"'),
    ],
)
def test_a_receipt_of_another_version_or_out_of_range_is_none(tmp_path: Path, old: str, new: str) -> None:
    write_receipt(tmp_path / "receipt.json", receipt())
    text = (tmp_path / "receipt.json").read_text()
    assert old in text
    (tmp_path / "receipt.json").write_text(text.replace(old, new))
    with pytest.raises(SnapshotError, match="is damaged"):
        read_receipt(tmp_path / "receipt.json")


@pytest.mark.more
@given(data=st.data())
def test_whatever_happened_to_a_receipt_it_is_one_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("receipt") / "receipt.json"
    write_receipt(path, receipt())
    changed = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(changed)
    with contextlib.suppress(SnapshotError):
        assert isinstance(read_receipt(path), Receipt)


def test_an_index_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_members(tmp_path / "members.parquet", index())
    assert read_members(tmp_path / "members.parquet").equals(index())


@pytest.mark.parametrize("read", [read_receipt, read_members])
def test_what_is_not_there_or_a_pipe_says_so(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(SnapshotError, match=r"no such file.*dvc repro download.*dvc pull"):
        read(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SnapshotError, match="no regular file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"name": ["a"]}),
        index().set_column(0, "name", pa.array([None] * 5, pa.string())),
        index().set_column(5, "size_bytes", pa.array([None] * 5, pa.int64())),
    ],
    ids=["other columns", "no names", "no sizes"],
)
def test_another_table_is_no_index(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "members.parquet")
    with pytest.raises(SnapshotError, match=r"(?s)is damaged.*dvc repro"):
        read_members(tmp_path / "members.parquet")


@pytest.mark.more
@given(data=st.data())
def test_no_flipped_byte_of_an_index_gives_another_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The pages have checksums; in the footer, a flip is found, or changes nothing that is read."""
    path = tmp_path_factory.mktemp("index") / "members.parquet"
    write_members(path, index())
    changed = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        found = read_members(path)
    except SnapshotError:
        return
    assert found.equals(index())


def test_a_table_is_what_the_receipt_says(tmp_path: Path) -> None:
    data = b"filename,text\na.mp3,one\n"
    (tmp_path / "cv-a.csv").write_bytes(data)
    whole = replace(receipt(), tables={"cv-a.csv": hashlib.sha256(data).hexdigest()})
    whole.verify(tmp_path / "cv-a.csv")
    for place in range(len(data)):
        (tmp_path / "cv-a.csv").write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with pytest.raises(TableError, match=r"cv-a\.csv: is not byte for byte what download wrote"):
            whole.verify(tmp_path / "cv-a.csv")
    (tmp_path / "cv-b.csv").write_bytes(data)
    with pytest.raises(TableError, match=r"cv-b\.csv"):
        whole.verify(tmp_path / "cv-b.csv")
