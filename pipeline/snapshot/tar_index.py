"""A tar archive, read once from its start to its end: what its members are called, where they lie, and their CRC-32.

The formats are those that Python's tarfile reads: ustar, pax (POSIX.1-2001) and GNU's. Of an archive that is truncated
anywhere, or whose headers are damaged, nothing is taken.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.errors import SnapshotError
from pipeline.snapshot.archive import duplicate_member, require_inside
from pipeline.snapshot.patterns import DATA_EXTENSIONS

_ROWS = 1 << 14


class Stream(io.RawIOBase):
    """An uncompressed tar, read once from its start to its end: headers by tarfile, all else by `pieces`."""

    def __init__(self, name: str, source: Iterator[bytes]) -> None:
        self._name = name
        self._source = source
        self._data = memoryview(b"")
        self._at = 0
        self.header = b""  # the last block of headers that was read

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes of a header, fewer at the end."""
        self.header = b"".join(self._up_to(size))
        return self.header

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the next `size` bytes."""
        end = self._at + size
        yield from self._up_to(size)
        if self._at != end:
            raise _unfit(self._name, "it ends within a member")

    def skip(self, size: int) -> None:
        """Pass over the next `size` bytes."""
        for _ in self.pieces(size):
            pass

    def rest(self) -> Iterator[bytes]:
        """Yield everything to the end."""
        yield bytes(self._data)
        yield from self._source

    def _up_to(self, size: int) -> Iterator[memoryview]:
        while size > 0:
            if not self._data:
                data = next(self._source, None)
                if data is None:
                    return
                self._data = memoryview(data)
            piece = self._data[:size]
            self._data = self._data[len(piece) :]
            self._at += len(piece)
            size -= len(piece)
            yield piece


def list_members(name: str, source: Iterator[bytes]) -> tuple[pa.Table, str]:
    """Return an archive's members (`schema.MEMBERS`, in its order), and the SHA-256 of a list of them.

    Raises SnapshotError if it is no tar archive, truncated or damaged, or has members whose names are absolute, empty,
    not UTF-8, duplicate or lead out of it, or clips or tables that are links, devices or sparse files.
    """
    stream = Stream(name, source)
    listing = hashlib.sha256()
    batches: list[pa.RecordBatch] = []
    rows: list[tuple[str, int, int, int]] = []

    def flush() -> None:
        names, offsets, sizes, crcs = zip(*rows, strict=True) if rows else ((), (), (), ())
        nothing = [None] * len(rows)
        columns = [names, nothing, nothing, offsets, nothing, sizes, crcs]
        batches.append(pa.record_batch(list(map(pa.array, columns, schema.MEMBERS.types)), schema=schema.MEMBERS))
        rows.clear()

    for info in _entries(name, stream):
        if not info.isreg() or info.issparse():
            if info.name.lower().endswith(DATA_EXTENSIONS) and not info.isdir():
                raise SnapshotError(
                    f"{name}: {info.name!r} is a link, a device or a sparse file in it. "
                    "Unpack the archive, and set kind: directory."
                )
            continue
        try:
            info.name.encode()
        except UnicodeEncodeError:
            shown = info.name.encode(errors="surrogateescape")
            raise SnapshotError(f"{name}: a member's name is not UTF-8: {shown!r}") from None
        require_inside(name, info.name)
        offset, crc = stream.tell(), 0
        for piece in stream.pieces(info.size):
            crc = zlib.crc32(piece, crc)
        listing.update(f"{offset} {info.size} {crc} {info.name}\n".encode())
        rows.append((info.name, offset, info.size, crc))
        if len(rows) == _ROWS:
            flush()
    flush()
    members = pa.Table.from_batches(batches, schema.MEMBERS)
    counts = members["name"].value_counts()
    more = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(more):
        raise duplicate_member(name, more[0]["values"].as_py(), more[0]["counts"].as_py())
    return members, listing.hexdigest()


def _entries(name: str, stream: Stream) -> Iterator[tarfile.TarInfo]:
    """Yield the headers, each with the stream at its data; make sure that the archive is whole to its end."""
    try:
        archive = tarfile.TarFile(fileobj=stream, mode="r", encoding="utf-8", errors="surrogateescape")
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
            yield info
            stream.skip(archive.offset - stream.tell())
    except (tarfile.TarError, ValueError, OverflowError, IndexError) as error:  # of numbers in headers, too
        raise _unfit(name, str(error)) from None
    # tarfile takes a header that it cannot read for the end; the end is a block of zeros, and nothing follows it.
    if stream.header != bytes(tarfile.BLOCKSIZE):
        raise _unfit(name, f"no header of a member, and no end, at byte {stream.tell() - len(stream.header)}")
    if any(piece.strip(b"\0") for piece in stream.rest()):
        raise _unfit(name, "something follows its end")


def _unfit(name: str, problem: str) -> SnapshotError:
    return SnapshotError(f"{name}: is no whole tar archive ({problem}). It may be truncated or damaged; get it again.")
