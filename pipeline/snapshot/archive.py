"""The verified bytes of one member of a zip archive at a time, from a disk or over HTTP.

Nothing is ever unpacked to a path that the archive names. The format is PKWARE's APPNOTE.TXT,
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT; numbers in the comments are its sections.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError
from pipeline.core.schema import Reason
from pipeline.snapshot.receipt import ArchiveIdentity, Identity

_LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")  # 4.3.7
_EXTRA_BYTES = 64  # room for a local header's extra field: timestamps and the ZIP64 sizes fit
_STORED, _DEFLATED = 0, 8  # 4.4.5
_STREAMED, _UTF8 = 1 << 3, 1 << 11  # 4.4.4
_IN_EXTRA_FIELD = 0xFFFFFFFF  # 4.4.8: the size is a ZIP64 one, in the extra field

# Which bytes archives have at which offset, and the extension by which we read them, if we do.
_KINDS = {
    "zip": (0, b"PK\3\4", ".zip"),
    "gzip": (0, b"\x1f\x8b", ".tar.gz"),
    "tar": (257, b"ustar", ".tar"),
    "xz": (0, b"\xfd7zXZ\0", None),
    "bzip2": (0, b"BZh91AY&SY", None),
    "7z": (0, b"7z\xbc\xaf\x27\x1c", None),
    "RAR": (0, b"Rar!\x1a\7", None),
}


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


class Snapshot:
    """An open snapshot, which many threads may read."""

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, whose length and CRC-32 are as listed.

        Raises Rejected with `Reason.CHECKSUM` if the archive itself is damaged there, and SnapshotError if it cannot be
        read.
        """
        raise NotImplementedError

    def head(self, member: Member, size_bytes: int) -> bytes:
        """Return the first bytes of a member, which are not verified; all of them where it has fewer."""
        return self.read(member)[:size_bytes]

    def prefetch(self, members: Iterable[Member]) -> None:
        """Hint which members will probably be read; sequential sources prefetch them."""

    def close(self) -> None:
        """Give up all that is in flight."""


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

    def digest(self, algorithm: str) -> str:
        """Return the digest of the whole file."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, algorithm).hexdigest()
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


def verify_unchanged(source: RandomAccess, identity: Identity) -> None:
    """Raise `SnapshotChanged` unless `source` has the length and the central directory of `identity`."""
    if not isinstance(identity, ArchiveIdentity):
        raise SnapshotChanged(source.name, str(identity), "an archive")
    size_bytes = source.size_bytes
    if size_bytes != identity.size_bytes:
        raise SnapshotChanged(source.name, f"{identity.size_bytes} bytes", f"{size_bytes} bytes")
    directory = source.read(identity.directory_offset, size_bytes - identity.directory_offset)
    digest = hashlib.sha256(directory).hexdigest()
    if digest != identity.directory_sha256:
        raise SnapshotChanged(source.name, f"an index with SHA-256 {identity.directory_sha256}", digest)


def read_member(source: RandomAccess, member: Member) -> bytes:
    """Return a member's bytes, whose length and CRC-32 are those of the index, in a single read.

    Raises HeaderMismatch if its local header differs from the index, and Rejected with `Reason.CHECKSUM` if its data
    does.
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
    data = _inflated(block[start : start + member.compressed_bytes], member, member.size_bytes + 1)
    if len(data) != member.size_bytes:
        got = f"more than {member.size_bytes}" if len(data) > member.size_bytes else len(data)
        raise Rejected(Reason.CHECKSUM, f"{member.name}: expected {member.size_bytes} bytes, got {got}")
    if (crc := zlib.crc32(data)) != member.crc32:
        raise Rejected(Reason.CHECKSUM, f"{member.name}: expected CRC-32 {member.crc32:08x}, got {crc:08x}")
    return data


def read_head(source: RandomAccess, member: Member, size_bytes: int) -> bytes:
    """Return the first `size_bytes` of a member, in a single read of about as many; verified where these are all.

    Raises Rejected with `Reason.CHECKSUM` if its local header or its data differs from the index.
    """
    assert member.offset is not None
    assert member.compressed_bytes is not None
    if member.size_bytes <= size_bytes:
        return read_member(source, member)
    wanted = _LOCAL_HEADER.size + len(member.name.encode()) + _EXTRA_BYTES + min(size_bytes, member.compressed_bytes)
    block = source.read(member.offset, min(wanted, source.size_bytes - member.offset))
    return _inflated(block[_data_start(block, member) :], member, size_bytes)


def require_kind(source: RandomAccess, *kinds: str) -> None:
    """Raise `SnapshotError` where a file's first bytes are those of an archive of another kind."""
    head = source.read(0, min(512, source.size_bytes))
    for kind, (at, magic, extension) in _KINDS.items():
        if kind not in kinds and head[at:].startswith(magic):
            remedy = "unpack it, and set kind: directory"
            if extension is not None:
                remedy = f"give it a name that ends in {extension}, and set kind: archive"
            remedy = remedy.capitalize() if isinstance(source, LocalFile) else f"Download it, {remedy}"
            raise SnapshotError(f"{source.name}: is a {kind} file by its first bytes. {remedy}.")


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


def _inflated(data: bytes, member: Member, most: int) -> bytes:
    """Return the first bytes, at most `most`, of a member whose stored data begins with `data`."""
    if member.method == _STORED:
        return data[:most]
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    except zlib.error as error:
        raise Rejected(Reason.CHECKSUM, f"{member.name}: cannot be inflated ({error})") from None
