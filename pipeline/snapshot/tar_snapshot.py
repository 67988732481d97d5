"""A snapshot in a tar archive on disk, gzipped or not: its index, which one pass makes, and its members' bytes.

A tar has no index and, except in its headers, no checksums: every read is verified by the CRC-32 of that pass.
Nothing is ever unpacked to a path that the archive names.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.errors import SnapshotChanged, SnapshotError
from pipeline.core.params import archive_folder
from pipeline.core.progress import progress
from pipeline.snapshot.archive import LocalFile, Member, Snapshot, require_kind
from pipeline.snapshot.gunzip import MAGIC, SeekableGzip, SeekPoints, inflated
from pipeline.snapshot.receipt import TarIdentity
from pipeline.snapshot.tar_index import Stream, list_members

_PIECE_BYTES = 1 << 20
_SAMPLES, _SAMPLE_BYTES = 64, 1 << 12
_IDENTITY, _MEMBERS, _POINTS = "identity.json", "members.parquet", "points"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TarIndex:
    """The index of an archive, made by one pass over it."""

    members: pa.Table  # schema.MEMBERS, in the order of the archive
    identity: TarIdentity
    points: bytes  # the seek points of a gzip file; a bare tar needs none


def index_path(path: Path) -> Path:
    """Return the path of the index of the archive at `path`, one for all of DVC's experiments."""
    return archive_folder() / f"{path.name}.index"


def read_tar(file: LocalFile, cache: Path) -> TarIndex:
    """Return an archive's index: the one at `cache` if it is of these bytes, else a new one, which is saved there.

    Raises SnapshotError if it is no archive that can be used (`pipeline.snapshot.tar_index.list_members`).
    """
    size_bytes, sample = file.size_bytes, _sample(file)
    cache.parent.mkdir(parents=True, exist_ok=True)
    with atomic.wait_for_lock(cache, "making it"):
        index = _load_index(cache)
        if index is None or (index.identity.size_bytes, index.identity.sample_sha256) != (size_bytes, sample):
            index = _scan(file, size_bytes, sample)
            _save_index(cache, index)
    return index


def verify_tar(file: LocalFile, identity: TarIdentity) -> None:
    """Raise `SnapshotChanged` unless `file` has the length and the sampled bytes of `identity`."""
    if (size_bytes := file.size_bytes) != identity.size_bytes:
        raise SnapshotChanged(file.name, f"{identity.size_bytes} bytes", f"{size_bytes} bytes")
    if (sample := _sample(file)) != identity.sample_sha256:
        raise SnapshotChanged(file.name, f"pieces with SHA-256 {identity.sample_sha256}", sample)


class TarSnapshot(Snapshot):
    """A snapshot in a tar archive on disk; a pass that has to be made again must find the members of `identity`."""

    def __init__(self, file: LocalFile, identity: TarIdentity) -> None:
        self._file = file
        self._identity = identity
        self._lock = threading.Lock()
        self._opened: SeekableGzip | LocalFile | None = None
        self._prefetched: _Prefetched | None = None

    def prefetch(self, members: Iterable[Member]) -> None:
        """Read members in one pass, in the archive's order, where reading them one by one would inflate more bytes."""
        opened = self._open()
        if isinstance(opened, LocalFile):
            return
        numbers = (number for member in members for number in (member.offset or 0, member.size_bytes))
        places = np.unique(np.fromiter(numbers, np.int64).reshape(-1, 2), axis=0)
        if len(places) and opened.cost(places[:, 0], places[:, 1]) > int(places[-1].sum()):
            self._prefetched = _Prefetched(self._file, places[:, 0], places[:, 1])

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, whose length and CRC-32 are those of the index."""
        assert member.offset is not None
        data = self._prefetched.read(member) if self._prefetched else None
        if data is None:
            data = self._open().read(member.offset, member.size_bytes)
        if (crc := zlib.crc32(data)) != member.crc32:
            raise SnapshotChanged(f"{self._file.name}: {member.name}", f"CRC-32 {member.crc32:08x}", f"{crc:08x}")
        return data

    def _open(self) -> SeekableGzip | LocalFile:
        with self._lock:
            if self._opened is None:
                if not _is_gzip(self._file):
                    self._opened = self._file
                else:
                    index = read_tar(self._file, index_path(self._file.path))
                    if index.identity.content() != self._identity.content():
                        raise SnapshotChanged(self._file.name, str(self._identity), str(index.identity))
                    self._opened = SeekableGzip(self._file.path, index.points)
            return self._opened

    def close(self) -> None:
        """Close what is open."""
        if isinstance(self._opened, SeekableGzip):
            self._opened.close()
        if self._prefetched:
            self._prefetched.close()


class _Prefetched:
    """Members that were read in one pass, in an unnamed file, which disappears however the process ends.

    It takes as much room beside the archive's index as the members have bytes, and 24 bytes of memory for each.
    """

    def __init__(self, file: LocalFile, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> None:
        self._lock = threading.Lock()
        self._offsets, self._places = offsets, np.cumsum(sizes) - sizes
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=index_path(file.path).parent)  # noqa: SIM115  closed by close()
        try:
            with progress("archive", file.size_bytes, "B") as bar:
                stream = Stream(file.name, inflated(file.path, bar.update))
                for offset, size in zip(offsets.tolist(), sizes.tolist(), strict=True):
                    stream.skip(offset - stream.tell())
                    for piece in stream.pieces(size):
                        self._spool.write(piece)
        except BaseException:
            self._spool.close()
            raise

    def read(self, member: Member) -> bytes | None:
        place = int(np.searchsorted(self._offsets, member.offset or 0))
        if place == len(self._offsets) or self._offsets[place] != member.offset:
            return None
        with self._lock:
            self._spool.seek(int(self._places[place]))
            return self._spool.read(member.size_bytes)

    def close(self) -> None:
        self._spool.close()


def _scan(file: LocalFile, size_bytes: int, sample: str) -> TarIndex:
    if size_bytes == 0:
        raise SnapshotError(f"{file.name}: is empty; expected a tar archive")
    require_kind(file, "gzip", "tar")
    points = SeekPoints(file.path) if _is_gzip(file) else None
    with progress("index", size_bytes, "B") as bar:
        source = inflated(file.path, bar.update) if points else _pieces(file.path, bar.update)
        members, listing = list_members(file.name, source)
    return TarIndex(members, TarIdentity(size_bytes, sample, listing), points.exported() if points else b"")


def _pieces(path: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_PIECE_BYTES):
            advance(len(data))
            yield data


def _is_gzip(file: LocalFile) -> bool:
    return file.read(0, min(len(MAGIC), file.size_bytes)) == MAGIC


def _sample(file: LocalFile) -> str:
    """Return the SHA-256 of pieces spread evenly over a file: of all of it where it is small."""
    size_bytes, digest = file.size_bytes, hashlib.sha256()
    last = max(0, size_bytes - _SAMPLE_BYTES)
    for place in sorted({last * number // (_SAMPLES - 1) for number in range(_SAMPLES)}):
        digest.update(file.read(place, min(_SAMPLE_BYTES, size_bytes)))
    return digest.hexdigest()


def _save_index(cache: Path, index: TarIndex) -> None:
    """Save an index as one zip, whose members have checksums."""
    table = io.BytesIO()
    pq.write_table(index.members, table, compression="zstd")
    with atomic.replacing(cache) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in (
            (_IDENTITY, json.dumps(index.identity.content())),
            (_MEMBERS, table.getvalue()),
            (_POINTS, index.points),
        ):
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time


def _load_index(cache: Path) -> TarIndex | None:
    """Return the index at `cache`, or None where it is missing or damaged."""
    if not cache.is_file():
        return None
    try:
        with zipfile.ZipFile(cache) as archive:
            identity = msgspec.json.decode(archive.read(_IDENTITY), type=TarIdentity)
            members = pq.ParquetFile(pa.BufferReader(archive.read(_MEMBERS))).read()
            return TarIndex(members.cast(schema.MEMBERS), identity, archive.read(_POINTS))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError, EOFError, NotImplementedError) as error:
        log.warning("%s: is damaged (%s), and is made again", cache, error)
        return None
