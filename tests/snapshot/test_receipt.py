"""What `download` keeps is read back as it was written, or is said to be damaged."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import SnapshotError
from pipeline.snapshot.receipt import (
    ArchiveIdentity,
    FolderIdentity,
    Identity,
    Receipt,
    TableCounts,
    TarIdentity,
    read_receipt,
    write_receipt,
)

TAR = TarIdentity(1000, "1" * 64, "2" * 64, etag='"one"')
ARCHIVE = ArchiveIdentity(1000, 900, "0" * 64, etag='"one"', last_modified="Wed, 29 Nov 2017 00:00:00 GMT")
FOLDER = FolderIdentity(3, "f" * 64)


def receipt(identity: Identity = ARCHIVE) -> Receipt:
    source: dict[str, str | int] = {"kind": "kaggle", "dataset": "mozillaorg/common-voice", "version": 2}
    return Receipt("mine", source, identity, 7, 6, 1, 0, "0" * 64, {"a": TableCounts(rows=5)})


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


@pytest.mark.parametrize(
    "data",
    [b"", b'{"clips": 6', b"[]", b"{}", b'"\xff"', b"[" * 100_000],
    ids=["empty", "cut", "no object", "no keys", "not UTF-8", "deep"],
)
def test_a_damaged_receipt_says_what_helps(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "receipt.json").write_bytes(data)
    with pytest.raises(SnapshotError, match=r"(?s)is damaged.*dvc repro --force --downstream download"):
        read_receipt(tmp_path / "receipt.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"members": 7', '"members": -7'),
        ('"members": 7', '"members": 7.5'),
        ('"size_bytes": 1000', '"size_bytes": 9223372036854775808'),
        ('"rows": 5', '"rows": "5"'),
        ("0" * 64, "0" * 63),
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


def test_receipt_that_is_not_there_or_a_pipe_says_so(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"no such file.*dvc repro.*dvc pull"):
        read_receipt(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SnapshotError, match="no regular file"):
        read_receipt(tmp_path / "pipe")
