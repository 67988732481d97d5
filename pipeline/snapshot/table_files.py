"""The files of tables: members that patterns match, or files of the repository, and their verified bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core.errors import Rejected, TableError
from pipeline.snapshot.members import Members, Read, first_match
from pipeline.snapshot.patterns import Pattern
from pipeline.snapshot.tables import LARGEST_TABLE_BYTES


@dataclass(frozen=True)
class TableFile:
    """A file of a table.

    Attributes
    ----------
    path
        Of a member, as it is compared; or of a file of the repository.
    member
        A row of `schema.MEMBERS`; None for a file of the repository.
    fields
        What the pattern read in its path.
    """

    path: str
    member: dict[str, Any] | None
    fields: dict[str, str]

    @property
    def name(self) -> str:
        """What messages call it."""
        return PurePosixPath(self.path).name

    def read(self, read: Read) -> tuple[bytes, str]:
        """Return its bytes, and their SHA-256.

        Raises
        ------
        TableError
            It is damaged, is not there, or has more bytes than any table.
        """
        if self.member is not None and self.member["size_bytes"] > LARGEST_TABLE_BYTES:
            problem = f"has {self.member['size_bytes']} bytes; at most {LARGEST_TABLE_BYTES >> 30} GiB are read"
            raise TableError(self.name, None, problem)
        try:
            data = Path(self.path).read_bytes() if self.member is None else read(self.member)
        except Rejected as rejected:
            raise TableError(self.name, None, f"is damaged: {rejected.detail}. Get the archive again.") from None
        except OSError as error:
            raise TableError(self.path, None, f"tables_file: {error.strerror}") from None
        return data, hashlib.sha256(data).hexdigest()


def find_files(members: Members, key: str, patterns: Sequence[str] | None, file: str | None) -> list[TableFile]:
    """Return the members that patterns match, sorted by path; or the file of the repository.

    Raises
    ------
    SnapshotError
        No member matches; `key` is what the description calls the patterns.
    """
    if file is not None:
        return [TableFile(file, None, {})]
    reading = first_match([Pattern(text) for text in patterns or ()], members.other_paths)
    rows = np.flatnonzero(reading.matched.is_valid()).tolist()
    if not rows:
        raise members.unmatched(key, patterns or ())
    found = []
    for row, member in zip(rows, members.others.take(pa.array(rows)).to_pylist(), strict=True):
        fields = {name: values[row].as_py() for name, values in reading.fields.items() if values[row].is_valid}
        found.append(TableFile(members.other_paths[row].as_py(), member, fields))
    return found
