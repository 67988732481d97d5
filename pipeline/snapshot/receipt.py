"""What `download` keeps beside the table of clips: a receipt of what was opened, and of what was counted.

It is written and read here only. A file that is damaged, or is not there, is one `SnapshotError`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pipeline.core import schema
from pipeline.core.errors import SnapshotError
from pipeline.core.files import require_file
from pipeline.core.terminal import amount

_REMEDY = "Make it with: dvc repro, or where DVC takes it for unchanged: dvc repro --force --downstream download"
_BY_SERVER = frozenset({"etag", "md5", "last_modified"})
_OF_OTHER_ENTRIES = frozenset({"directory_sha256", "sample_sha256", "members_sha256"})

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Identity:
    """What recognises an archive or a folder when it is opened again: no path, no clock, no host."""

    def content(self) -> dict[str, Any]:
        """Return what is true of its bytes, wherever they lie: nothing that a server says."""
        return {name: value for name, value in sorted(vars(self).items()) if name not in _BY_SERVER}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.content().items())


@dataclass(frozen=True, kw_only=True)
class FileIdentity(Identity):
    """The identity of a file, with what a server says of it, where there is one and it does."""

    etag: str | None = None
    md5: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class ArchiveIdentity(FileIdentity):
    """The identity of a zip archive."""

    size_bytes: Count
    directory_offset: Count  # where its central directory begins
    directory_sha256: Sha256  # of everything from there to the end, which has the CRC-32 of every member


@dataclass(frozen=True)
class TarIdentity(FileIdentity):
    """The identity of a tar archive, gzipped or not.

    The sample is 64 pieces, the first and the last bytes among them. The last ones of a gzip file have the CRC-32 and
    the length of its content. In a bare tar, a change between two pieces that keeps the length is not seen; a clip that
    it hits is found by its own CRC-32.
    """

    size_bytes: Count  # on the disk
    sample_sha256: Sha256
    members_sha256: Sha256  # of a list of its members: place, length, CRC-32 and name of each


@dataclass(frozen=True)
class FolderIdentity(Identity):
    """The identity of a folder: how many files it holds, and the SHA-256 of a list of their names and sizes."""

    files: Count
    listing_sha256: Sha256


@dataclass
class TableCounts:
    """What was counted of a table."""

    files: dict[str, Sha256] = field(default_factory=dict)  # the SHA-256 of each of its files, as served, by path
    rows: int = 0  # in the table of clips
    without_member: int = 0  # of these, rows whose clip is not in the archive
    elsewhere: int = 0  # rows that name no clip: `audio` does not match the path that they make
    repeated: int = 0  # rows that are equal to an earlier one in all that is used
    bad: int = 0  # rows that cannot be read
    bad_rows: list[str] = field(default_factory=list)  # the first of these, as messages
    copies: int = 0  # rows whose clip has the length and the CRC-32 of another row's
    undocumented: dict[str, int] = field(default_factory=dict)  # rows with a value that is not documented, by column
    problem: str | None = None  # why the table is left out


@dataclass(frozen=True)
class Receipt:
    """What `download` opened: ``data/snapshot/receipt.json``."""

    snapshot: str
    source: dict[str, str | int]  # on any machine: kind, and data set and version, or file name
    identity: Identity
    members: Count
    clips: Count  # of the members
    without_row: Count  # clips that no row names
    copies: Count  # members that are copies of the clip that a row names
    clips_sha256: Sha256  # of data/snapshot/clips.parquet
    tables: dict[str, TableCounts] = field(default_factory=dict)
    lookups: dict[str, Sha256] = field(default_factory=dict)  # the SHA-256 of each file of a lookup

    @property
    def usable(self) -> list[str]:
        """The tables that have no problem."""
        return [name for name, counts in self.tables.items() if counts.problem is None]

    def source_identity(self) -> dict[str, Any]:
        """Return the identity that is stored in the seals of clips, without server headers or paths.

        The digest of an archive's index is left out, too: a seal has the CRC-32 of each clip, so clips need not be
        fetched again if other entries of the archive changed.
        """
        return {name: value for name, value in self.identity.content().items() if name not in _OF_OTHER_ENTRIES}


def remarks(receipt: Receipt) -> Iterator[str]:
    """Yield what does not fit: tables left out, rows without a clip, clips without a row, rows that cannot be read."""
    for name, counts in receipt.tables.items():
        if counts.problem is not None:
            yield f"{name} is left out. {counts.problem}"
            continue
        kinds = {
            "whose clip is not in the snapshot": counts.without_member,
            "without the name of a clip": counts.elsewhere,
            "equal to an earlier one": counts.repeated,
            "that cannot be read": counts.bad,
            "whose clip is a copy of another's": counts.copies,
            **{f"with an undocumented value of {column}": rows for column, rows in counts.undocumented.items()},
        }
        yield from (f"{name}: {amount(rows, 'row')} {kind}" for kind, rows in kinds.items() if rows)
        yield from (f"  {row}" for row in counts.bad_rows)
    if receipt.without_row:
        yield f"{amount(receipt.without_row, 'clip')} of {receipt.clips:,} that no row names"
    if receipt.copies:
        yield f"{amount(receipt.copies, 'copy', 'copies')} of clips, under other paths"


def write_receipt(path: Path, receipt: Receipt) -> None:
    """Write a receipt as JSON: sorted keys, nothing that is unknown, the same bytes on every machine."""
    path.write_bytes(_written(receipt))


def read_receipt(path: Path = schema.RECEIPT) -> Receipt:
    """Read the receipt that `download` wrote.

    Raises SnapshotError if it is not there, or is not what `write_receipt` writes.
    """
    require_file(path, SnapshotError)
    try:
        data = path.read_bytes()
        receipt = msgspec.json.decode(data, type=Receipt, dec_hook=_identity)
    except (ValueError, RecursionError, OSError):
        raise damaged(path) from None
    if _written(receipt) != data:
        raise damaged(path)
    return receipt


def _written(receipt: Receipt) -> bytes:
    known = asdict(receipt)
    known["identity"] = {name: value for name, value in known["identity"].items() if value is not None}
    return (json.dumps(known, indent=2, sort_keys=True) + "\n").encode()


def _identity(_: type[Identity], facts: Any) -> Identity:
    """Return the identity of the kind that has these facts."""
    for kind, key in ((ArchiveIdentity, "directory_sha256"), (TarIdentity, "sample_sha256")):
        if key in facts:
            return msgspec.convert(facts, kind)
    return msgspec.convert(facts, FolderIdentity)


def damaged(path: Path) -> SnapshotError:
    """Return the error for a file that is not what `download` wrote."""
    return SnapshotError(f"{path}: is damaged, or of another version of this project.\n{_REMEDY}")
