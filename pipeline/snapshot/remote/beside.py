"""Tables that Kaggle serves as files of their own, beside the archive that they belong to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import pyarrow as pa

from pipeline.core import schema
from pipeline.core.errors import SnapshotError
from pipeline.snapshot.archive import Member, Snapshot
from pipeline.snapshot.members import LARGEST_TABLE_BYTES
from pipeline.snapshot.remote.client import Client
from pipeline.snapshot.remote.ranges import RemoteSnapshot, open_remote
from pipeline.snapshot.remote.retries import Transient
from pipeline.snapshot.zip_index import read_index

_ZIP = b"PK\3\4"


def read_file(client: Client) -> bytes:
    """Return the bytes of a remote file; if Kaggle wraps it in a zip, those of the only member.

    The length is verified, and so is the MD5 from the server or the CRC-32 in the zip. Raises SnapshotError if it is
    larger than a table may be, or a zip of several files, and TransferError if it cannot be reached.
    """
    file = open_remote(client, tail_bytes=1)  # what it keeps of the file is not asked for again
    if file.size_bytes > LARGEST_TABLE_BYTES:
        problem = f"has {file.size_bytes} bytes; at most {LARGEST_TABLE_BYTES >> 30} GiB of a table are read"
        raise SnapshotError(f"{client.name}: {problem}")
    if client.retry(lambda: file.read(0, min(len(_ZIP), file.size_bytes))) == _ZIP:
        members = client.retry(lambda: read_index(file)).members
        if members.num_rows != 1:
            raise SnapshotError(f"{client.name}: expected a table, got a zip of {members.num_rows} files")
        return RemoteSnapshot(file).read(Member(**members.to_pylist()[0]))

    def whole() -> bytes:
        data = file.read(0, file.size_bytes)
        if file.identity.md5 not in (None, md5 := hashlib.md5(data, usedforsecurity=False).hexdigest()):
            raise Transient(f"expected MD5 {file.identity.md5}, got {md5}")
        return data

    return client.retry(whole)


class SnapshotWithFiles(Snapshot):
    """A snapshot with files beside its archive, which are in memory."""

    def __init__(self, archive: Snapshot, files: Mapping[str, bytes]) -> None:
        self._archive = archive
        self._files = files

    def members(self) -> pa.Table:
        """Return the files as members (`schema.MEMBERS`)."""
        rows = [{"name": name, "size_bytes": len(data)} for name, data in self._files.items()]
        return pa.Table.from_pylist(rows, schema=schema.MEMBERS)

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member of the archive, or of a file."""
        return self._files[member.name] if member.offset is None else self._archive.read(member)

    def prefetch(self, members: Iterable[Member]) -> None:
        """Hint which members of the archive will probably be read."""
        self._archive.prefetch(members)

    def close(self) -> None:
        """Give up all that is in flight."""
        self._archive.close()
