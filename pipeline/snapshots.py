"""A snapshot, open: its index and the bytes of its members, whatever its source.

Comes in: a description. Goes out: an index of the snapshot's members, validators that recognise it when it is opened
again, and any member's bytes, verified. Never writes a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from pipeline import schema
from pipeline.archive import Index, LocalFile, Member, read_index, read_member, verify_unchanged
from pipeline.descriptions import ArchiveSource, Description, DirectorySource
from pipeline.errors import SnapshotChanged, SnapshotError


class Snapshot(Protocol):
    """An open snapshot."""

    def members(self) -> pa.Table:
        """Return the index (`pipeline.schema.MEMBERS`)."""

    def validators(self) -> dict[str, Any]:
        """Return what recognises it when it is opened again: no path, no clock, no host."""

    def verify(self, validators: dict[str, Any]) -> None:
        """Raise `SnapshotChanged` unless `validators` are of this snapshot."""

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, or raise `Rejected`."""


def open_snapshot(description: Description) -> Snapshot:
    """Open the snapshot where its description says that it lies."""
    match description.source:
        case ArchiveSource(path=path, sha256=sha256):
            return ArchiveSnapshot(Path(path), sha256)
        case DirectorySource(path=path):
            return DirectorySnapshot(Path(path))


class ArchiveSnapshot:
    """A snapshot in a zip archive."""

    def __init__(self, path: Path, sha256: str | None = None) -> None:
        self._bytes = LocalFile(path)
        self._sha256 = sha256

    @cached_property
    def _index(self) -> Index:
        if self._sha256 is not None:
            self._bytes.size_bytes  # noqa: B018  says so where there is no such file
            with self._bytes.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != self._sha256:
                raise SnapshotChanged(self._bytes.name, f"the pinned SHA-256 {self._sha256}", digest)
        return read_index(self._bytes)

    def members(self) -> pa.Table:
        """Return what the archive's central directory lists."""
        return self._index.members

    def validators(self) -> dict[str, Any]:
        """Return the archive's length and a digest of its central directory, which has every member's CRC-32."""
        return {
            "size_bytes": self._bytes.size_bytes,
            "directory_offset": self._index.directory_offset,
            "directory_sha256": self._index.directory_sha256,
        }

    def verify(self, validators: dict[str, Any]) -> None:
        """Compare the archive's length and central directory."""
        verify_unchanged(self._bytes, **validators)

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, whose length and CRC-32 are as listed."""
        return read_member(self._bytes, member)


class DirectorySnapshot:
    """A snapshot in a folder, with its clips in folders once or twice as deep as the tables say."""

    def __init__(self, root: Path) -> None:
        self._root = root
        if not root.is_dir():
            raise SnapshotError(f"{root}: no such folder. The snapshot should be there.")

    @cached_property
    def _members(self) -> pa.Table:
        files = sorted(_walk(self._root))
        names = [name for name, _ in files]
        nothing = [None] * len(files)
        columns = {"name": names, "size_bytes": [size for _, size in files]}
        return pa.table({field: columns.get(field, nothing) for field in schema.MEMBERS.names}, schema=schema.MEMBERS)

    def members(self) -> pa.Table:
        """Return what lies in the folder, sorted by name."""
        return self._members

    def validators(self) -> dict[str, Any]:
        """Return a digest over the names and sizes of all files."""
        digest = hashlib.sha256()
        for name, size in zip(*(self._members[column].to_pylist() for column in ("name", "size_bytes")), strict=True):
            digest.update(f"{size} {name}\n".encode())
        return {"files": self._members.num_rows, "listing_sha256": digest.hexdigest()}

    def verify(self, validators: dict[str, Any]) -> None:
        """Compare names and sizes of all files."""
        if (came := self.validators()) != validators:
            raise SnapshotChanged(str(self._root), str(validators), str(came))

    def read(self, member: Member) -> bytes:
        """Return a file's bytes, as many as were listed."""
        path = self._root / member.name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SnapshotError(f"{path}: {error.strerror}") from None
        if len(data) != member.size_bytes:
            raise SnapshotChanged(str(path), f"{member.size_bytes} bytes", f"{len(data)} bytes")
        return data


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the path below `root`, with / between folders, and the size of every file."""
    folders = [root]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(Path(entry.path))
                else:
                    yield Path(entry.path).relative_to(root).as_posix(), entry.stat().st_size
