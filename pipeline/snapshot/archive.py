"""The index of a zip archive as a table, and the verified bytes of one member at a time, from a disk or over HTTP.

Nothing is ever unpacked to a path that the archive names. The format is PKWARE's APPNOTE.TXT,
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; numbers in the comments are its sections.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa

from pipeline.core import schema
from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError
from pipeline.core.schema import Reason

TAIL_BYTES = 1 << 15  # read first, from the end: the end records, and all of the index where it is small
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_EXTRA_BYTES = 64  # room for a local header's extra field: timestamps and the ZIP64 sizes fit
_STORED, _DEFLATED = 0, 8  # 4.4.5
_ENCRYPTED = 1  # 4.4.4, bit 0


class Bytes(Protocol):
    """Bytes that can be read at any offset, by many threads at a time."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def size_bytes(self) -> int:
        """How many there are."""

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on, or raise `SnapshotError`."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive or folder: a row of `schema.MEMBERS`."""

    name: str
    method: int | None
    flags: int | None
    offset: int | None
    compressed_bytes: int | None
    size_bytes: int
    crc32: int | None


@dataclass(frozen=True)
class LocalFile:
    """A file on a local disk as `Bytes`."""

    path: Path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}. The snapshot's archive should be there.") from None

    def sha256(self) -> str:
        """Return the digest of all of it."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}. The snapshot's archive should be there.") from None

    def read(self, offset: int, length: int) -> bytes:
        """Read from the file, opened anew so that threads do not share a position."""
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}") from None
        if len(data) != length:
            raise SnapshotError(f"{self.path}: expected {length} bytes at offset {offset}, came {len(data)}")
        return data


@dataclass(frozen=True)
class Index:
    """What an archive's central directory says."""

    members: pa.Table  # schema.MEMBERS, in the order of the archive
    directory_offset: int
    directory_sha256: str  # of everything from there to the end


def read_index(source: Bytes) -> Index:
    """Read an archive's central directory, ZIP64 or not, in one or two reads; a comment takes up to three more.

    Raises
    ------
    SnapshotError
        Where it is no zip, cut short, encrypted, or has members that no well-meaning archive has: absolute names,
        ``..``, names that stand twice, compression other than stored and deflated.
    """
    if source.size_bytes == 0:
        raise SnapshotError(f"{source.name}: is empty; expected a zip archive")
    tail = _Tail(source)
    try:
        with zipfile.ZipFile(tail) as archive:
            infos = archive.infolist()
            directory_offset = archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError) as error:
        raise SnapshotError(
            f"{source.name}: is no whole zip archive ({error}). It may be cut short; get it again."
        ) from None
    files = [info for info in infos if not info.is_dir()]
    _refuse_unfit(source.name, files, directory_offset)
    members = pa.table(
        {
            "name": [info.filename for info in files],
            "method": [info.compress_type for info in files],
            "flags": [info.flag_bits for info in files],
            "offset": [info.header_offset for info in files],
            "compressed_bytes": [info.compress_size for info in files],
            "size_bytes": [info.file_size for info in files],
            "crc32": [info.CRC for info in files],
        },
        schema=schema.MEMBERS,
    )
    return Index(members, directory_offset, hashlib.sha256(tail.since(directory_offset)).hexdigest())


def verify_unchanged(source: Bytes, size_bytes: int, directory_offset: int, directory_sha256: str) -> None:
    """Raise `SnapshotChanged` unless the archive is the one whose index was read before."""
    if source.size_bytes != size_bytes:
        raise SnapshotChanged(source.name, f"{size_bytes} bytes", f"{source.size_bytes} bytes")
    digest = hashlib.sha256(source.read(directory_offset, size_bytes - directory_offset)).hexdigest()
    if digest != directory_sha256:
        raise SnapshotChanged(source.name, f"an index with SHA-256 {directory_sha256}", digest)


def read_member(source: Bytes, member: Member) -> bytes:
    """Return a member's bytes, whose length and CRC-32 are those of the index, in a single read.

    Raises
    ------
    Rejected
        With `Reason.CHECKSUM`: they are not.
    """
    assert member.offset is not None
    assert member.compressed_bytes is not None
    wanted = _LOCAL_HEADER.size + len(member.name.encode()) + _EXTRA_BYTES + member.compressed_bytes
    block = source.read(member.offset, min(wanted, source.size_bytes - member.offset))
    start = _data_start(block, member)
    if start + member.compressed_bytes > len(block):  # an unusually long extra field
        if member.offset + start + member.compressed_bytes > source.size_bytes:
            raise Rejected(Reason.CHECKSUM, f"{member.name}: its local header leads beyond the archive's end")
        block = source.read(member.offset, start + member.compressed_bytes)
    data = _decompressed(block[start : start + member.compressed_bytes], member)
    if len(data) != member.size_bytes:
        came = f"more than {member.size_bytes}" if len(data) > member.size_bytes else len(data)
        raise Rejected(Reason.CHECKSUM, f"{member.name}: expected {member.size_bytes} bytes, came {came}")
    if (crc := zlib.crc32(data)) != member.crc32:
        raise Rejected(Reason.CHECKSUM, f"{member.name}: expected CRC-32 {member.crc32:08x}, came {crc:08x}")
    return data


class _Tail(io.RawIOBase):
    """The end of `source` as a file: what lies before its first byte is fetched when asked for, and kept."""

    def __init__(self, source: Bytes) -> None:
        self._source = source
        self._start = source.size_bytes
        self._data = b""
        self._position = 0

    def since(self, offset: int) -> bytes:
        if offset < self._start:
            start = offset if self._data else max(0, min(offset, self._start - TAIL_BYTES))
            self._data = self._source.read(start, self._start - start) + self._data
            self._start = start
        return self._data[offset - self._start :]

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size_bytes}[whence]
        if base + offset < 0:
            raise OSError("an offset before the first byte")  # as a file does, which zipfile counts on
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = self.since(self._position)
        data = data if size < 0 else data[:size]
        self._position += len(data)
        return data


def _refuse_unfit(archive: str, files: list[zipfile.ZipInfo], directory_offset: int) -> None:
    encrypted = [info.filename for info in files if info.flag_bits & _ENCRYPTED]
    if encrypted:
        raise SnapshotError(f"{archive}: {len(encrypted)} members are encrypted, such as {encrypted[0]!r}")
    for info in files:
        path = PurePosixPath(info.orig_filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise SnapshotError(f"{archive}: a member's name leads out of the archive: {info.orig_filename!r}")
        end = info.header_offset + _LOCAL_HEADER.size + info.compress_size
        if info.header_offset < 0 or end > directory_offset:
            raise SnapshotError(
                f"{archive}: is no whole zip archive ({info.filename!r} lies outside of it). Get it again."
            )
        if info.compress_type not in (_STORED, _DEFLATED):
            raise SnapshotError(
                f"{archive}: {info.filename!r} is compressed by method {info.compress_type}; "
                "only stored (0) and deflated (8) members can be read"
            )
    name, times = Counter(info.filename for info in files).most_common(1)[0] if files else ("", 1)
    if times > 1:
        raise SnapshotError(f"{archive}: holds {times} members called {name!r}; which one is meant cannot be told")


def _data_start(block: bytes, member: Member) -> int:
    """Return where in `block` the member's data begins: behind its local header, whose extra field may differ."""
    if len(block) < _LOCAL_HEADER.size or block[:4] != b"PK\x03\x04":
        raise Rejected(Reason.CHECKSUM, f"{member.name}: no local header at offset {member.offset}")
    *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(block)
    return _LOCAL_HEADER.size + int(name_bytes) + int(extra_bytes)


def _decompressed(data: bytes, member: Member) -> bytes:
    """Inflate where needed, never to more than one byte over the declared length."""
    if member.method == _STORED:
        return data
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size_bytes + 1)
    except zlib.error as error:
        raise Rejected(Reason.CHECKSUM, f"{member.name}: cannot be inflated ({error})") from None
