"""A gzip file (RFC 1952) on disk, read once from its start to its end, or at any offset by seek points.

ISA-L reads it through, as zlib does, and faster. indexed_gzip makes the seek points; it takes a file that ends within a
deflate block for a whole one, and ignores what follows the last gzip member. The two run side by side, in two threads.
"""

from __future__ import annotations

import importlib
import io
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import SnapshotError, how_to_install

MAGIC = b"\x1f\x8b"  # 2.3.1
_GZIP = zlib.MAX_WBITS | 16  # one member is read, and verified
_PIECE_BYTES = 1 << 18  # of the file
_MOST_AT_ONCE = 1 << 20  # of its content
# Each seek point takes 32 KiB, and each read begins at one: with 2000 of them, 100 reads take a fortieth of a pass.
_POINTS, _LEAST_SPACING = 2000, 1 << 18
_BUFFER_BYTES = 1 << 18


def inflated(path: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the content of a gzip file, verified by the CRC-32 and the length at the end of each of its members.

    `advance` is called with the number of bytes of the file that were read.

    Raises SnapshotError if it is truncated or damaged, or something follows its end.
    """
    library = _module(path, "isal.isal_zlib")
    stream = library.decompressobj(_GZIP)
    with path.open("rb") as file:
        while data := file.read(_PIECE_BYTES):
            advance(len(data))
            while data:
                if stream.eof:
                    data = data.lstrip(b"\0")  # padding, which gzip reads over
                    if data and not MAGIC.startswith(data[:2]):
                        raise SnapshotError(
                            f"{path}: bytes that are no gzip follow the end of its gzip stream. "
                            "gzip -dc passes over them: unpack it with that, and give the path of the tar."
                        )
                    if data:  # the next member (2.2)
                        stream = library.decompressobj(_GZIP)
                    continue
                try:
                    piece = stream.decompress(data, _MOST_AT_ONCE)
                except library.error as error:
                    raise _unfit(path, str(error)) from None
                data = stream.unused_data or stream.unconsumed_tail
                yield piece
    if not stream.eof:
        raise _unfit(path, "it ends too early")


class SeekPoints:
    """Makes the seek points of a gzip file, in a thread that nobody waits for but `exported`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        spacing = max(_LEAST_SPACING, path.stat().st_size // _POINTS)
        self._file = _module(path, "indexed_gzip").IndexedGzipFile(
            str(path), spacing=spacing, readbuf_size=_BUFFER_BYTES, drop_handles=False, skip_crc_check=True
        )
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._make, name="seek points", daemon=True)
        self._thread.start()

    def _make(self) -> None:
        try:
            self._file.build_full_index()
        except (OSError, ValueError) as error:
            self._failed = error

    def exported(self) -> bytes:
        """Return them in the format of indexed_gzip, as soon as they are made."""
        self._thread.join()
        if self._failed is not None:
            raise SnapshotError(f"{self._path}: no seek points can be made of it ({self._failed})")
        buffer = io.BytesIO()
        self._file.export_index(fileobj=buffer)
        self._file.close()
        return buffer.getvalue()


class SeekableGzip:
    """The content of a gzip file at any offset, by the seek points that `SeekPoints` exported; for many threads."""

    def __init__(self, path: Path, points: bytes) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: Any = _module(path, "indexed_gzip").IndexedGzipFile(
            str(path), readbuf_size=_BUFFER_BYTES, drop_handles=False
        )
        self._file.import_index(fileobj=io.BytesIO(points))
        self._raw: Any = self._file.raw  # without a buffer, each filling of which would begin at a seek point
        self._starts = np.array([point for point, _ in self._file.seek_points()], dtype=np.int64)

    def cost(self, offsets: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> int:
        """Return how many bytes are inflated to read these pieces one by one, each from the seek point before it."""
        before = self._starts[np.maximum(np.searchsorted(self._starts, offsets, side="right") - 1, 0)]
        return int((offsets + sizes - before).sum())

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on.

        Raises SnapshotError if they cannot be read.
        """
        try:
            with self._lock:
                self._raw.seek(offset)
                data: bytes = self._raw.read(length)
        except (OSError, ValueError) as error:
            raise _unfit(self._path, str(error)) from None
        if len(data) != length:
            raise _unfit(self._path, f"expected {length} bytes at offset {offset} of its content, got {len(data)}")
        return data

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def _module(path: Path, name: str) -> ModuleType:
    """Import what only a gzipped archive needs."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise SnapshotError(
            f"{path}: reading clips from a gzip file takes two packages that are not installed, the extra tar. "
            f"{how_to_install('tar')}"
        ) from None


def _unfit(path: Path, problem: str) -> SnapshotError:
    return SnapshotError(f"{path}: is no whole gzip file ({problem}). It may be truncated or damaged; get it again.")
