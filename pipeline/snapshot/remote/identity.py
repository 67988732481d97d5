"""The identity of a remote file: what recognises it when it is opened again, without its URL or anything secret."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_GOOGLE_MD5 = re.compile(r"md5=([A-Za-z0-9+/]{22}==)")


@dataclass(frozen=True)
class Pin:
    """What recognises a remote file when it is opened again; not where it lies, and nothing secret."""

    size_bytes: int
    etag: str | None = None
    md5: str | None = None
    last_modified: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], size_bytes: int) -> Pin:
        """Read it from the headers of a response."""
        found = _GOOGLE_MD5.search(headers.get("x-goog-hash", ""))
        try:
            md5 = b64decode(found[1]).hex() if found else None
        except Base64Error:
            md5 = None
        return cls(size_bytes, headers.get("ETag"), md5, headers.get("Last-Modified"))

    @property
    def recognises(self) -> bool:
        """Tell whether two files with this pin are the same: a date and a length alone do not say so."""
        return self.etag is not None or self.md5 is not None

    def admits(self, other: Pin) -> bool:
        """Tell whether `other` may be the same file: what both of them say is the same."""
        ours, theirs = asdict(self), asdict(other)
        return all(None in (ours[key], theirs[key]) or ours[key] == theirs[key] for key in ours)

    def facts(self) -> dict[str, Any]:
        """Return what is known of it, for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        return ", ".join(f"{key} {value}" for key, value in self.facts().items())
