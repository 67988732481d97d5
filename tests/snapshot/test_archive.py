"""Archives of all kinds: what zipfile reads is what we read, and what is no good archive is said to be none."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError
from pipeline.snapshot.archive import HeaderMismatch, LocalFile, Member, read_member, verify_unchanged
from pipeline.snapshot.zip_index import read_index
from tests.support.project import DEMO


@dataclass
class Memory:
    """Bytes in memory, which count how often they are read."""

    data: bytes
    name: str = "archive.zip"
    reads: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        data = self.data[offset : offset + length]
        assert len(data) == length, "read over the end"
        return data


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.comment = comment
    return buffer.getvalue()


def members_of(table: pa.Table) -> list[Member]:
    return [Member(**row) for row in table.to_pylist()]


def read_all(source: Memory | LocalFile) -> dict[str, bytes]:
    return {member.name: read_member(source, member) for member in members_of(read_index(source).members)}


def members_by_zipfile(archive: zipfile.ZipFile) -> list[dict[str, Any]]:
    """Return what zipfile says of the members that are no folders."""
    return [
        {
            "name": info.orig_filename,
            "method": info.compress_type,
            "flags": info.flag_bits,
            "offset": info.header_offset,
            "compressed_bytes": info.compress_size,
            "size_bytes": info.file_size,
            "crc32": info.CRC,
        }
        for info in archive.infolist()
        if not info.orig_filename.endswith("/")
    ]


# What is right


def test_archive_members_are_what_zipfile_reads() -> None:
    source = LocalFile(DEMO)
    bad = []
    with zipfile.ZipFile(DEMO) as archive:
        index = read_index(source).members
        assert index.to_pylist() == members_by_zipfile(archive)
        members = members_of(index)
        for member in members:
            try:
                expected = archive.read(member.name)
            except zipfile.BadZipFile:
                bad.append(member.name)
                with pytest.raises(Rejected, match="CRC-32"):
                    read_member(source, member)
            else:
                assert read_member(source, member) == expected
    assert len(bad) == 1  # on purpose


def test_archive_index_takes_one_read_or_two_and_a_member_one() -> None:
    source = Memory(zipped({f"sample-{number:06}.mp3": b"x" * 50 for number in range(2000)}))
    members = members_of(read_index(source).members)
    assert len(source.reads) == 2
    assert sum(length for _, length in source.reads) == len(source.data) - read_index(source).identity.directory_offset
    source.reads.clear()
    read_member(source, members[7])
    assert len(source.reads) == 1
    assert source.reads[0][1] < 50 + 120
    small = Memory(zipped({"sample-000000.mp3": b"x" * 50}))
    read_index(small)
    assert len(small.reads) == 1


def test_archive_with_a_long_extra_field_and_a_streamed_member_are_read() -> None:
    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    stream = Stream()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo("a")
        info.extra = struct.pack("<HH", 0x7777, 200) + bytes(200)
        archive.writestr(info, b"one")
        archive.writestr("b", b"two", zipfile.ZIP_DEFLATED)
    assert read_all(Memory(stream.getvalue())) == {"a": b"one", "b": b"two"}


@pytest.mark.more
def test_archive_of_zip64_with_many_members_beyond_4_gib(tmp_path: Path) -> None:
    path = tmp_path / "huge.zip"
    count, hole = 65_600, (1 << 32) + 12_345
    with path.open("wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("first", b"at the beginning")
        file.seek(hole)  # a hole in the file: it takes no room on disk
        archive.start_dir = hole
        for number in range(count):
            archive.writestr(f"{number:05}", str(number))
    source = LocalFile(path)
    members = members_of(read_index(source).members)
    assert len(members) == count + 1
    for place in (0, 1, 2, 40_000, count):
        expected = b"at the beginning" if place == 0 else str(place - 1).encode()
        assert read_member(source, members[place]) == expected
    assert (members[1].offset or 0) >= hole


# What is no good archive


def test_archive_that_is_missing_says_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=r"nothing\.zip.*should be there"):
        read_index(LocalFile(tmp_path / "nothing.zip"))


@pytest.mark.parametrize("junk", [b"", b"\0", b"PK\3\4", b"<html></html>" * 100, bytes(100_000)])
def test_archive_that_is_no_zip_is_refused(junk: bytes) -> None:
    with pytest.raises(SnapshotError, match=r"no whole zip|is empty"):
        read_index(Memory(junk))


def test_archive_cut_anywhere_is_refused() -> None:
    whole = zipped({f"sample-{number}.mp3": bytes(40) for number in range(30)})
    for cut in (*(whole[:length] for length in range(1, len(whole))), whole[60:]):
        with pytest.raises(SnapshotError):
            read_index(Memory(cut))


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/passwd", "..", "..\\up", "\\share\\x", "C:/x", ".", "a\0b"]
)
def test_archive_with_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(SnapshotError, match=r"leads out of the archive|no usable name"):
        read_index(Memory(renamed(name)))


def renamed(name: str) -> bytes:
    """Return an archive whose one member has a name that zipfile itself would not write."""
    placeholder = "n" * len(name)
    return zipped({placeholder: b"data"}).replace(placeholder.encode(), name.encode())


def test_archive_with_a_duplicate_name_is_refused() -> None:
    with pytest.raises(SnapshotError, match="contains 2 members named 'same'"):
        read_index(Memory(zipped({"same": b"1", "sane": b"2"}).replace(b"sane", b"same")))


def test_archive_with_encrypted_members_is_refused() -> None:
    def encrypt(entry: bytearray) -> None:
        entry[8] |= 1

    with pytest.raises(SnapshotError, match="1 members are encrypted, such as 'a'"):
        read_index(Memory(patched(zipped({"a": b"data"}), encrypt)))


@pytest.mark.parametrize("how", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archive_of_another_compression_is_refused(how: int) -> None:
    with pytest.raises(SnapshotError, match=f"by method {how}"):
        read_index(Memory(zipped({"a": b"data"}, how)))


def patched(whole: bytes, change: Callable[[bytearray], None]) -> bytes:
    """Change the first entry of the central directory (APPNOTE.TXT 4.3.12)."""
    data = bytearray(whole)
    at = data.index(b"PK\1\2")
    entry = data[at : at + 46]
    change(entry)
    data[at : at + 46] = entry
    return bytes(data)


# What is a bad member


def first_member(whole: bytes) -> bytes:
    source = Memory(whole)
    return read_member(source, members_of(read_index(source).members)[0])


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archive_lets_no_flipped_byte_through(how: int) -> None:
    content = b"every byte of it counts " * 4
    whole = zipped({"a": content}, how)
    found = 0
    for at in range(whole.index(b"PK\1\2")):
        data = bytearray(whole)
        data[at] ^= 0x41
        try:
            read = first_member(bytes(data))
        except Rejected:
            found += at > 30
        else:
            assert read == content  # such as a date, or a bit behind the last one in use
    assert found >= whole.index(b"PK\1\2") - 33


@pytest.mark.parametrize(("at", "said"), [(0, "no local header"), (22, "other sizes"), (30, "of another member")])
def test_archive_with_another_local_header_is_a_mismatch(at: int, said: str) -> None:
    data = bytearray(zipped({"a": b"data"}))
    (member,) = members_of(read_index(Memory(bytes(data))).members)
    data[at] ^= 1
    with pytest.raises(HeaderMismatch, match=said):
        read_member(Memory(bytes(data)), member)


# The same one again


def test_archive_is_recognised_again_and_another_one_is_not() -> None:
    whole = zipped({"a": b"data", "b": b"more"})
    identity = read_index(Memory(whole)).identity
    verify_unchanged(Memory(whole), identity)
    with pytest.raises(SnapshotChanged, match=f"(?s){len(whole)} bytes.*dvc repro --force --downstream download"):
        verify_unchanged(Memory(zipped({"a": b"data", "b": b"less", "c": b""})), identity)
    with pytest.raises(SnapshotChanged, match="an index with SHA-256"):
        verify_unchanged(Memory(zipped({"a": b"data", "b": b"less"})), identity)
