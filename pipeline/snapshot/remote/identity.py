"""The identity of a remote file, from the headers of an answer: no URL, and nothing secret."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from pipeline.snapshot.receipt import ArchiveIdentity, FileIdentity

OfFile = TypeVar("OfFile", bound=FileIdentity)

_GOOGLE_MD5 = re.compile(r"md5=([A-Za-z0-9+/]{22}==)")
_LONGEST = 256  # of a header's value that is kept


@dataclass(frozen=True)
class ServerIdentity:
    """A remote file's length, and its ETag, MD5 and date as far as the server gives them (RFC 9110, 8.8)."""

    size_bytes: int
    etag: str | None = None
    md5: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], size_bytes: int) -> ServerIdentity:
        """Read it from the headers of an answer."""
        found = _GOOGLE_MD5.search(headers.get("x-goog-hash", ""))
        md5 = b64decode(found[1]).hex() if found else None
        return cls(size_bytes, _printable(headers.get("ETag")), md5, _printable(headers.get("Last-Modified")))

    @classmethod
    def recorded(cls, identity: ArchiveIdentity) -> ServerIdentity:
        """Return the headers' part of an archive's identity."""
        return cls(identity.size_bytes, identity.etag, identity.md5, identity.last_modified)

    def within(self, identity: OfFile) -> OfFile:
        """Return an archive's identity with this added."""
        return replace(identity, etag=self.etag, md5=self.md5, last_modified=self.last_modified)

    def admits(self, other: ServerIdentity) -> bool:
        """Return whether `other` may be the same file: by MD5, or if nothing that both have differs."""
        if self.size_bytes != other.size_bytes:
            return False
        if self.md5 is not None and other.md5 is not None:
            return self.md5 == other.md5
        pairs = ((self.etag, other.etag), (self.last_modified, other.last_modified))
        return all(None in pair or pair[0] == pair[1] for pair in pairs)

    def is_of(self, other: ServerIdentity) -> bool:
        """Return whether `other` is certainly the same file, by MD5 or strong ETag."""
        by_md5 = self.md5 is not None and self.md5 == other.md5
        by_etag = self.etag is not None and self.etag == other.etag and not self.etag.startswith("W/")
        return self.admits(other) and (by_md5 or by_etag)

    def __str__(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in asdict(self).items() if value is not None)


def _printable(value: str | None) -> str | None:
    return value if value and value.isascii() and value.isprintable() and len(value) <= _LONGEST else None
