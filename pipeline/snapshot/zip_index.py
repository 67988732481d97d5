"""The index of a zip archive, read by NumPy from the bytes of its central directory.

`zipfile` makes an object of each member, which takes ten times as long. Numbers in the comments are sections of
PKWARE's APPNOTE.TXT, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.errors import SnapshotError
from pipeline.snapshot.archive import RandomAccess, duplicate_member, require_inside, require_kind
from pipeline.snapshot.receipt import ArchiveIdentity

LARGEST_DIRECTORY_BYTES = 1 << 30  # ten million members; Kaggle's 380,377 take 35 MB
TAIL_BYTES = 1 << 15  # read first, from the end: the end records, and all of the index where it is small
_END = struct.Struct("<4s4H2LH")  # 4.3.16, end of central directory
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LOCATOR64 = struct.Struct("<4sLQL")  # 4.3.15
_ENTRY = struct.Struct("<4s24x3H")  # 4.3.12, up to the lengths of name, extra field and comment
_ENTRY_BYTES = 46  # before these three
_LOCAL_HEADER_BYTES = 30  # 4.3.7
_LONGEST_COMMENT = 0xFFFF
_IN_EXTRA_FIELD = 0xFFFFFFFF  # 4.4.8
_ENCRYPTED, _UTF8 = 1 << 0, 1 << 11  # 4.4.4
_ODD = r"^/|\\|:|\x00|^(\./)*\.?$|(^|/)\.\.(/|$)"  # names that `require_inside` has to look at

Numbers = npt.NDArray[np.int64]


class Index(NamedTuple):
    """An archive's central directory."""

    members: pa.Table  # schema.MEMBERS, in the order of the archive
    identity: ArchiveIdentity


class _End(NamedTuple):
    offset: int  # where the central directory begins
    size: int
    shift: int  # what has to be added to all offsets


def read_index(source: RandomAccess, tail_bytes: int = TAIL_BYTES) -> Index:
    """Read an archive's central directory, ZIP64 or not, in one to three reads; first the last `tail_bytes`.

    Raises SnapshotError if it is no zip, truncated, encrypted, or has members that no well-meaning archive has: names
    that are absolute, empty or lead out of it, two members of one name, compression other than stored and deflated.
    """
    size = source.size_bytes
    if size == 0:
        raise SnapshotError(f"{source.name}: is empty; expected a zip archive")
    start = max(0, size - tail_bytes)
    tail = source.read(start, size - start)
    try:
        found = _find_end(tail, start)
        if found is None and start:
            first = max(0, size - _LONGEST_COMMENT - _END.size - _END64.size - _LOCATOR64.size)
            tail, start = source.read(first, start - first) + tail, first
            found = _find_end(tail, start)
        if found is None:
            raise ValueError("it has no end record")
        if size - found.offset > LARGEST_DIRECTORY_BYTES:
            raise ValueError(f"an index of {size - found.offset} bytes")
        if found.offset < start:
            tail, start = source.read(found.offset, start - found.offset) + tail, found.offset
        begins = found.offset - start
        members = _members(memoryview(tail)[begins : begins + found.size], found.shift)
    except (ValueError, struct.error, pa.ArrowException, IndexError, OverflowError) as error:
        require_kind(source, "zip")
        problem = f"is no whole zip archive ({error}). It may be truncated; get it again."
        raise SnapshotError(f"{source.name}: {problem}") from None
    _require_fit(source.name, members, found.offset)
    return Index(members, ArchiveIdentity(size, found.offset, hashlib.sha256(memoryview(tail)[begins:]).hexdigest()))


def _find_end(tail: bytes, start: int) -> _End | None:
    """Find the end record in the last bytes of an archive, which begin at `start`."""
    last = len(tail) - _END.size
    at = tail.rfind(b"PK\x05\x06", max(0, last - _LONGEST_COMMENT), max(0, last + 4))
    if at < 0:
        return None
    *_, size, offset, _ = map(int, _END.unpack_from(tail, at)[1:])
    before = at
    locator = at - _LOCATOR64.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        before = locator - _END64.size
        if before < 0:
            return None  # it begins before what was read
        sign, *_, size64, offset64 = _END64.unpack_from(tail, before)
        if sign == b"PK\x06\x06":
            size, offset = int(size64), int(offset64)
        else:
            before = at
    begins = start + before - size
    if begins < 0 or begins < offset:
        raise ValueError("its index begins before its first byte")
    return _End(begins, size, begins - offset)


def _members(directory: memoryview, shift: int) -> pa.Table:
    """Return the members that a central directory lists, but folders."""
    starts, names, at = [], [], 0
    while at < len(directory):
        sign, name, extra, comment = _ENTRY.unpack_from(directory, at)
        if sign != b"PK\x01\x02":
            raise ValueError(f"no entry at byte {at} of its index")
        starts.append(at)
        names.append(bytes(directory[at + _ENTRY_BYTES : at + _ENTRY_BYTES + name]))
        at += _ENTRY_BYTES + name + extra + comment
    if at > len(directory):
        raise ValueError("its index ends within an entry")
    data = np.frombuffer(directory, np.uint8)
    entries = np.array(starts, np.int64)

    def number(offset: int, size: int) -> Numbers:
        return _little_endian(data, entries + offset, size)

    flags = number(8, 2)
    compressed, uncompressed, offsets = number(20, 4), number(24, 4), number(42, 4)
    extras = entries + _ENTRY_BYTES + number(28, 2)
    _read_zip64(data, extras, extras + number(30, 2), (uncompressed, compressed, offsets))
    columns = {
        "name": _decoded(names, flags),
        "method": number(10, 2),
        "flags": flags,
        "offset": offsets + shift,
        "compressed_bytes": compressed,
        "size_bytes": uncompressed,
        "crc32": number(16, 4),
    }
    table = pa.table([pa.array(columns[field.name]).cast(field.type) for field in schema.MEMBERS], schema.MEMBERS)
    return table.filter(pc.invert(pc.ends_with(table["name"], "/"))).combine_chunks()


def _read_zip64(data: npt.NDArray[np.uint8], at: Numbers, ends: Numbers, fields: tuple[Numbers, ...]) -> None:
    """Put the sizes and offsets that are in ZIP64 extra fields (4.5.3) in the place of their marks, in this order."""
    rows = np.flatnonzero(np.any([field == _IN_EXTRA_FIELD for field in fields], axis=0))
    at = at[rows]
    while len(rows):
        is_there = at + 4 <= ends[rows]
        rows, at = rows[is_there], at[is_there]
        kind, length = _little_endian(data, at, 2), _little_endian(data, at + 2, 2)
        is_zip64 = kind == 1
        here, place = rows[is_zip64], at[is_zip64] + 4
        for field in fields:
            marked = field[here] == _IN_EXTRA_FIELD
            if np.any(place[marked] + 8 > (at + 4 + length)[is_zip64][marked]):
                raise ValueError("a ZIP64 extra field is too short")
            field[here[marked]] = _little_endian(data, place[marked], 8)  # 2^63 and more are negative, and refused
            place[marked] += 8
        rows, at = rows[~is_zip64], (at + 4 + length)[~is_zip64]


def _little_endian(data: npt.NDArray[np.uint8], at: Numbers, size: int) -> Numbers:
    value = np.zeros(len(at), np.int64)
    for byte in range(size):
        value |= data[at + byte].astype(np.int64) << (8 * byte)
    return value


def _decoded(names: list[bytes], flags: Numbers) -> pa.StringArray:
    """Return names as texts: UTF-8 where the flags say so, else cp437; of ASCII both are the same."""
    for row, name in enumerate(names):
        if not name.isascii():
            names[row] = name.decode("utf-8" if flags[row] & _UTF8 else "cp437").encode()
    return pa.array(names, pa.binary()).cast(pa.string())


def _require_fit(archive: str, members: pa.Table, directory_offset: int) -> None:
    """Raise `SnapshotError` for members that cannot be read, or that no well-meaning archive has."""
    names = members["name"]
    encrypted = names.filter(pc.not_equal(pc.bit_wise_and(members["flags"], _ENCRYPTED), 0))
    if len(encrypted):
        raise SnapshotError(f"{archive}: {len(encrypted)} members are encrypted, such as {encrypted[0].as_py()!r}")
    for name in names.filter(pc.match_substring_regex(names, _ODD)).to_pylist():
        require_inside(archive, name)
    last = pc.subtract(directory_offset - _LOCAL_HEADER_BYTES, members["compressed_bytes"])
    least = pc.min_element_wise(members["offset"], members["compressed_bytes"], members["size_bytes"])
    outside = names.filter(pc.or_(pc.less(least, 0), pc.greater(members["offset"], last)))
    if len(outside):
        name = outside[0].as_py()
        raise SnapshotError(f"{archive}: is no whole zip archive ({name!r} lies outside of it). Get it again.")
    methods = pc.is_in(members["method"], pa.array([0, 8], pa.int32()))  # 4.4.5: stored, deflated
    if not pc.all(methods).as_py() and len(names):
        [other, *_] = members.filter(pc.invert(methods)).slice(0, 1).to_pylist()
        problem = f"{other['name']!r} is compressed by method {other['method']}"
        raise SnapshotError(f"{archive}: {problem}; only stored (0) and deflated (8) members can be read")
    if pc.count_distinct(names).as_py() < len(names):
        counts = names.value_counts()
        times = pc.max(counts.field("counts")).as_py()
        name = counts.filter(pc.equal(counts.field("counts"), times))[0]["values"].as_py()
        raise duplicate_member(archive, name, times)
