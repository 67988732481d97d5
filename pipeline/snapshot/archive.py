"""The index of a zip archive as a table, and the verified bytes of one member at a time, from a disk or over HTTP.

Nothing is ever unpacked to a path that the archive names. The format is PKWARE's APPNOTE.TXT,
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; numbers in the comments are its sections.
"""

from __future__ import annotations

import hashlib
import io
import stat
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
from pipeline.snapshot.receipt import ArchiveIdentity

TAIL_BYTES = 1 << 15  # read first, from the end: the end records, and all of the index where it is small
LARGEST_DIRECTORY_BYTES = 1 << 30  # ten million members; Kaggle's 380,377 take 35 MB
_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_EXTRA_BYTES = 64  # room for a local header's extra field: timestamps and the ZIP64 sizes fit
_STORED, _DEFLATED = 0, 8  # 4.4.5
_ENCRYPTED, _STREAMED, _UTF8 = 1 << 0, 1 << 3, 1 << 11  # 4.4.4
_IN_EXTRA_FIELD = 0xFFFFFFFF  # 4.4.8: the size is a ZIP64 one, in the extra field


class HeaderMismatch(Rejected):
    """The local header at a member's offset is missing, or differs from the index."""

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.CHECKSUM, detail)


class RandomAccess(Protocol):
    """A file that many threads can read at any offset."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def size_bytes(self) -> int:
        """Its size."""

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
    """A file on a local disk as `RandomAccess`."""

    path: Path

    @property
    def name(self) -> str:
        """The file's path."""
        return str(self.path)

    @property
    def size_bytes(self) -> int:
        """The file's size; `SnapshotError` where it is missing, or a pipe, which would be waited for without end."""
        try:
            status = self.path.stat()
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}. The snapshot's archive should be there.") from None
        if not stat.S_ISREG(status.st_mode):
            raise SnapshotError(f"{self.path}: is no regular file. The snapshot's archive should be there.")
        return status.st_size

    def sha256(self) -> str:
        """Return the digest of the whole file."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}") from None

    def read(self, offset: int, length: int) -> bytes:
        """Read from the file, opened for each read so that threads do not share a position."""
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                data = file.read(length)
        except OSError as error:
            raise SnapshotError(f"{self.path}: {error.strerror}") from None
        if len(data) != length:
            raise SnapshotError(f"{self.path}: expected {length} bytes at offset {offset}, got {len(data)}")
        return data


@dataclass(frozen=True)
class Index:
    """An archive's central directory."""

    members: pa.Table  # schema.MEMBERS, in the order of the archive
    identity: ArchiveIdentity


def read_index(source: RandomAccess, tail_bytes: int = TAIL_BYTES) -> Index:
    """Read an archive's central directory, ZIP64 or not, in one or two reads; a comment takes up to three more.

    Parameters
    ----------
    source
        The archive.
    tail_bytes
        How much to read first, from the end.

    Raises
    ------
    SnapshotError
        It is no zip, truncated or encrypted, or has members whose names are absolute, empty, duplicate or lead out of
        it, or that are compressed otherwise than stored or deflated.
    """
    size_bytes = source.size_bytes
    if size_bytes == 0:
        raise SnapshotError(f"{source.name}: is empty; expected a zip archive")
    tail = _Tail(source, size_bytes, tail_bytes)
    try:
        with zipfile.ZipFile(tail) as archive:
            infos = archive.infolist()
            directory_offset = archive.start_dir
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OverflowError) as error:
        raise SnapshotError(
            f"{source.name}: is no whole zip archive ({error}). It may be truncated; get it again."
        ) from None
    files = [info for info in infos if not info.orig_filename.endswith("/")]  # is_dir() needs a name
    _require_fit(source.name, files, directory_offset)
    members = pa.table(
        {
            "name": [info.orig_filename for info in files],  # as it is there, whatever Python's version makes of it
            "method": [info.compress_type for info in files],
            "flags": [info.flag_bits for info in files],
            "offset": [info.header_offset for info in files],
            "compressed_bytes": [info.compress_size for info in files],
            "size_bytes": [info.file_size for info in files],
            "crc32": [info.CRC for info in files],
        },
        schema=schema.MEMBERS,
    )
    digest = hashlib.sha256(tail.since(directory_offset)).hexdigest()
    return Index(members, ArchiveIdentity(size_bytes, directory_offset, digest))


def verify_unchanged(source: RandomAccess, identity: ArchiveIdentity) -> None:
    """Raise `SnapshotChanged` unless `source` has the length and the central directory of `identity`."""
    size_bytes = source.size_bytes
    if size_bytes != identity.size_bytes:
        raise SnapshotChanged(source.name, f"{identity.size_bytes} bytes", f"{size_bytes} bytes")
    length = size_bytes - identity.directory_offset
    if not 0 <= length <= LARGEST_DIRECTORY_BYTES:
        raise SnapshotChanged(source.name, str(identity), "no index there")
    digest = hashlib.sha256(source.read(identity.directory_offset, length)).hexdigest()
    if digest != identity.directory_sha256:
        raise SnapshotChanged(source.name, f"an index with SHA-256 {identity.directory_sha256}", digest)


def read_member(source: RandomAccess, member: Member) -> bytes:
    """Return a member's bytes, whose length and CRC-32 are those of the index, in a single read.

    Raises
    ------
    HeaderMismatch
        Its local header differs from the index.
    Rejected
        With `Reason.CHECKSUM`: its data differs from the index.
    """
    assert member.offset is not None
    assert member.compressed_bytes is not None
    wanted = _LOCAL_HEADER.size + len(member.name.encode()) + _EXTRA_BYTES + member.compressed_bytes
    block = source.read(member.offset, min(wanted, source.size_bytes - member.offset))
    start = _data_start(block, member)
    if start + member.compressed_bytes > len(block):  # an unusually long extra field
        if member.offset + start + member.compressed_bytes > source.size_bytes:
            raise HeaderMismatch(f"{member.name}: its local header leads beyond the archive's end")
        block = source.read(member.offset, start + member.compressed_bytes)
    data = _decompressed(block[start : start + member.compressed_bytes], member)
    if len(data) != member.size_bytes:
        got = f"more than {member.size_bytes}" if len(data) > member.size_bytes else len(data)
        raise Rejected(Reason.CHECKSUM, f"{member.name}: expected {member.size_bytes} bytes, got {got}")
    if (crc := zlib.crc32(data)) != member.crc32:
        raise Rejected(Reason.CHECKSUM, f"{member.name}: expected CRC-32 {member.crc32:08x}, got {crc:08x}")
    return data


class _Tail(io.RawIOBase):
    """The end of `source` as a file; bytes before it are read when asked for, and cached."""

    def __init__(self, source: RandomAccess, size_bytes: int, tail_bytes: int) -> None:
        self._source = source
        self._size_bytes = self._start = size_bytes
        self._tail_bytes = tail_bytes
        self._data = b""
        self._position = 0

    def since(self, offset: int) -> bytes:
        if offset < self._start:
            start = offset if self._data else max(0, min(offset, self._start - self._tail_bytes))
            if self._size_bytes - start > LARGEST_DIRECTORY_BYTES:
                raise ValueError(f"an index of {self._size_bytes - start} bytes")
            self._data = self._source.read(start, self._start - start) + self._data
            self._start = start
        return self._data[offset - self._start :]

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        if base + offset < 0:
            raise OSError("an offset before the first byte")  # as a file does, which zipfile counts on
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = self.since(self._position)
        data = data if size < 0 else data[:size]
        self._position += len(data)
        return data


def _require_fit(archive: str, files: list[zipfile.ZipInfo], directory_offset: int) -> None:
    encrypted = [info.orig_filename for info in files if info.flag_bits & _ENCRYPTED]
    if encrypted:
        raise SnapshotError(f"{archive}: {len(encrypted)} members are encrypted, such as {encrypted[0]!r}")
    for info in files:
        name = info.orig_filename
        require_inside(archive, name)
        end = info.header_offset + _LOCAL_HEADER.size + info.compress_size
        if info.header_offset < 0 or end > directory_offset or info.file_size >= 1 << 63:
            raise SnapshotError(f"{archive}: is no whole zip archive ({name!r} lies outside of it). Get it again.")
        if info.compress_type not in (_STORED, _DEFLATED):
            raise SnapshotError(
                f"{archive}: {name!r} is compressed by method {info.compress_type}; "
                "only stored (0) and deflated (8) members can be read"
            )
    name, times = Counter(info.orig_filename for info in files).most_common(1)[0] if files else ("", 1)
    if times > 1:
        raise duplicate_member(archive, name, times)


def require_inside(archive: str, name: str) -> None:
    """Raise `SnapshotError` unless the name of a member is that of a file inside of the archive."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or "\0" in name:
        raise SnapshotError(f"{archive}: a member has no usable name: {name!r}")
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise SnapshotError(f"{archive}: a member's name leads out of the archive: {name!r}")


def duplicate_member(archive: str, name: str, times: int) -> SnapshotError:
    """Return the error for members of one name."""
    return SnapshotError(f"{archive}: contains {times} members named {name!r}, which is ambiguous")


def _data_start(block: bytes, member: Member) -> int:
    """Return where in `block` the member's data begins: behind its local header, whose extra field may differ.

    The header has to have the name that the index gives, and the sizes wherever it gives sizes itself (4.3.7, 4.4.4).
    """
    if len(block) < _LOCAL_HEADER.size or block[:4] != b"PK\x03\x04":
        raise HeaderMismatch(f"{member.name}: no local header at offset {member.offset}")
    *_, compressed_bytes, size_bytes, name_bytes, extra_bytes = map(int, _LOCAL_HEADER.unpack_from(block)[1:])
    name = block[_LOCAL_HEADER.size : _LOCAL_HEADER.size + name_bytes]
    flags = member.flags or 0
    if name.decode("utf-8" if flags & _UTF8 else "cp437", errors="replace") != member.name:
        raise HeaderMismatch(f"{member.name}: the local header at offset {member.offset} is that of another member")
    sizes = {(compressed_bytes, member.compressed_bytes), (size_bytes, member.size_bytes)}
    unknown = {_IN_EXTRA_FIELD, 0} if flags & _STREAMED else {_IN_EXTRA_FIELD}
    if any(local not in unknown and local != listed for local, listed in sizes):
        raise HeaderMismatch(f"{member.name}: its local header has other sizes than the index")
    return _LOCAL_HEADER.size + name_bytes + extra_bytes


def _decompressed(data: bytes, member: Member) -> bytes:
    """Inflate where needed, to one byte more than the declared length at most."""
    if member.method == _STORED:
        return data
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size_bytes + 1)
    except zlib.error as error:
        raise Rejected(Reason.CHECKSUM, f"{member.name}: cannot be inflated ({error})") from None
