"""The footer of a Parquet file, and the digests of what is sealed in it. Needs nothing but Python."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, NamedTuple

BLANK = "0" * 64
_BLOCK_BYTES = 1 << 22
_TAIL_BYTES = 1 << 17  # read first, from the end: that of 512 waveforms has 74 kB
_END = 8  # bytes: the footer's length, and b"PAR1" (https://parquet.apache.org/docs/file-format/)


def require_regular(path: Path) -> None:
    """Raise OSError where something else lies in the place of a file: a pipe would be waited for without end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("no regular file")


class Footer(NamedTuple):
    """The end of a Parquet file, from where its metadata begins."""

    start: int
    data: bytes

    @classmethod
    def read(cls, file: BinaryIO) -> Footer:
        """Read it; ValueError where there is none."""
        size = file.seek(0, os.SEEK_END)
        tail_bytes = min(size, _TAIL_BYTES)
        file.seek(size - tail_bytes)
        tail = file.read(tail_bytes)
        if tail[-4:] != b"PAR1":
            raise ValueError("no Parquet file, or a truncated one")
        length = int.from_bytes(tail[-_END:-4], "little") + _END
        if length > size:
            raise ValueError("its footer claims to be longer than the file")
        if length > tail_bytes:
            file.seek(size - length)
            tail = file.read(length)
        return cls(size - length, tail[-length:])

    def place(self, name: str) -> int:
        """Return where the digits of a hash are; past the end of the footer where there are none."""
        key = f'"{name}":"'.encode()
        found = self.data.rfind(key)
        return found + len(key) if found >= 0 else len(self.data)

    def digest(self, name: str) -> str:
        """Return the digits of a hash."""
        place = self.place(name)
        return self.data[place : place + len(BLANK)].decode()

    def filled(self, name: str, digest: str = BLANK) -> Footer:
        """Return a footer with a digest in its place."""
        place = self.place(name)
        return Footer(self.start, self.data[:place] + digest.encode() + self.data[place + len(digest) :])

    @property
    def sha256(self) -> str:
        """Its digest, with zeros in place of that."""
        return hashlib.sha256(self.filled("footer_sha256").data).hexdigest()

    def content_sha256(self, file: BinaryIO) -> str:
        """Return the digest of the whole file, which is read block by block, with zeros in place of both digests."""
        digest = hashlib.sha256()
        file.seek(0)
        for start in range(0, self.start, _BLOCK_BYTES):
            digest.update(file.read(min(_BLOCK_BYTES, self.start - start)))
        digest.update(self.filled("content_sha256").filled("footer_sha256").data)
        return digest.hexdigest()
