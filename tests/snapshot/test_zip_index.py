"""The index of a zip is what zipfile reads, or the archive is refused."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import Rejected, SnapshotError
from pipeline.snapshot.archive import Member, read_member
from pipeline.snapshot.zip_index import read_index
from tests.snapshot.test_archive import Memory, members_by_zipfile, members_of, zipped


def oracle(data: bytes) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return members_by_zipfile(archive)


HOW = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]
NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\\:\0"), min_size=1, max_size=8)
NAMES = st.lists(NAME.filter(lambda name: set(name) != {"."}), max_size=5, unique=True)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(
    NAMES,
    st.sampled_from([b"", b"a comment"]),
    st.sampled_from([b"", b"in front"]),
    st.sampled_from(HOW),
    st.data(),
)
def test_index_of_any_archive_is_what_zipfile_reads(
    names: list[str], comment: bytes, front: bytes, how: int, data: st.DataObject
) -> None:
    whole = front + zipped({f"x/{name}": name.encode() for name in names} | {"folder/": b""}, how, comment)
    tail_bytes = data.draw(st.integers(1, 1 << 16))
    index = read_index(Memory(whole), tail_bytes)
    assert index.members.to_pylist() == oracle(whole)
    assert all(read_member(Memory(whole), member).decode() == member.name[2:] for member in members_of(index.members))
    assert whole[index.identity.directory_offset :][:4] in (b"PK\1\2", b"PK\5\6")


def as_zip64(whole: bytes, extra_in_front: bytes = b"") -> bytes:
    """Return an archive of one member with all its numbers in ZIP64 records."""
    at, end = whole.index(b"PK\1\2"), whole.rindex(b"PK\5\6")
    entry = bytearray(whole[at:end])
    compressed, size = struct.unpack_from("<II", entry, 20)
    [offset] = struct.unpack_from("<I", entry, 42)
    for place in (20, 24, 42):
        struct.pack_into("<I", entry, place, 0xFFFFFFFF)
    extra = extra_in_front + struct.pack("<HHQQQ", 1, 24, size, compressed, offset)
    struct.pack_into("<H", entry, 30, len(extra))
    directory = bytes(entry) + extra
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(directory), at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at + len(directory), 1)
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return whole[:at] + directory + end64 + locator + record


@pytest.mark.parametrize("extra", [b"", struct.pack("<HH4s", 0x5455, 4, b"time")])
@pytest.mark.parametrize("tail_bytes", [1, 60, 1 << 15])
def test_index_has_the_numbers_of_zip64_records(extra: bytes, tail_bytes: int) -> None:
    whole = as_zip64(zipped({"a": b"data"}), extra)
    assert read_index(Memory(whole), tail_bytes).members.to_pylist() == oracle(whole)
    assert read_index(Memory(whole)).members["size_bytes"].to_pylist() == [4]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(b"x", mtime=0), r"is a gzip file .* ends in \.tar\.gz"),
        (bytes(257) + b"ustar" + bytes(300), r"is a tar file .* ends in \.tar,"),
        (bz2.compress(b"x"), "is a bzip2 file .*kind: directory"),
        (b"PK\3\4", r"may be truncated; get it again"),
    ],
)
def test_index_of_another_archive_is_told_by_its_first_bytes(data: bytes, said: str) -> None:
    with pytest.raises(SnapshotError, match=said):
        read_index(Memory(data))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_index_of_a_damaged_archive_is_what_zipfile_reads_or_it_is_refused(data: st.DataObject) -> None:
    whole = bytearray(as_zip64(zipped({"a": b"data"})) if data.draw(st.booleans()) else zipped({"é": b"x", "b": b"y"}))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[: data.draw(st.integers(len(whole) - 30, len(whole)))])
    try:
        members = read_index(Memory(damaged)).members.to_pylist()
    except SnapshotError:
        return
    for row in members:
        with contextlib.suppress(Rejected):
            read_member(Memory(damaged), Member(**row))
    try:
        expected = oracle(damaged)
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return  # zipfile looks at versions and checksums of names as well
    assert members == expected
