"""An open snapshot: its index, its identity, and the verified bytes of its members, whatever its source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from pipeline.core import schema
from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError, TransferError
from pipeline.core.params import Runtime, archive_folder
from pipeline.snapshot.archive import Bytes, Index, LocalFile, Member, read_index, read_member, verify_unchanged
from pipeline.snapshot.description import ArchiveSource, Description, DirectorySource, KaggleSource

if TYPE_CHECKING:
    from pipeline.snapshot.remote.whole import RemoteArchive

_MOST_READS = 4


class Snapshot(Protocol):
    """An open snapshot."""

    def members(self) -> pa.Table:
        """Return the index (`schema.MEMBERS`)."""

    def validators(self) -> dict[str, Any]:
        """Return what recognises it when it is opened again: no path, no clock, no host."""

    def transport(self) -> dict[str, Any]:
        """Return what a server says of it that recognises it without reading any of it; empty where there is none."""

    def verify(self, validators: dict[str, Any], transport: dict[str, Any]) -> None:
        """Raise `SnapshotChanged` unless `validators` are of this snapshot."""

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, or raise `Rejected`."""

    def confirm(self) -> None:
        """Raise `SnapshotChanged` if the index came damaged; called before clips are refused for what it says."""

    def close(self) -> None:
        """Give up all that is under way."""


def open_snapshot(description: Description, runtime: Runtime) -> Snapshot:
    """Open the snapshot where its description says that it lies."""
    match description.source:
        case DirectorySource(path=path):
            return DirectorySnapshot(Path(path))
        case ArchiveSource(url=None, path=path, sha256=sha256):
            file = LocalFile(Path(path))
            return ArchiveSnapshot(file) if sha256 is None else PinnedSnapshot(file, sha256)
        case KaggleSource() | ArchiveSource() as source:
            return RemoteSnapshot(_remote_archive(source, runtime))


def _remote_archive(source: KaggleSource | ArchiveSource, runtime: Runtime) -> RemoteArchive:
    """Prepare to read an archive behind a URL; nothing is asked for yet."""
    from pipeline.snapshot.remote import kaggle  # noqa: PLC0415  what talks to a network is imported by those who need it
    from pipeline.snapshot.remote.ranges import Remote  # noqa: PLC0415
    from pipeline.snapshot.remote.whole import RemoteArchive  # noqa: PLC0415

    if isinstance(source, KaggleSource):
        dataset, version = source.dataset, source.version
        remote = Remote(f"{dataset}/{version}", partial(kaggle.resolve, dataset, version, runtime), runtime)
        file, sha256 = f"{dataset.replace('/', '-')}-{version}.zip", None
    else:
        assert source.url is not None
        url, shown, sha256 = source.path, source.url._replace(query="", fragment=""), source.sha256
        remote = Remote(shown.geturl(), lambda _: url, runtime)
        file = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{PurePath(shown.path).name or 'archive.zip'}"
    # A pinned SHA-256 can only be that of all the bytes.
    whole = runtime.transfer == "whole" or sha256 is not None
    return RemoteArchive(remote, archive_folder() / file, whole=whole, sha256=sha256)


class ArchiveSnapshot:
    """A snapshot in a zip archive."""

    def __init__(self, source: Bytes) -> None:
        self._bytes = source

    @cached_property
    def _index(self) -> Index:
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

    def transport(self) -> dict[str, Any]:
        """Return nothing: no server is asked."""
        return {}

    def verify(self, validators: dict[str, Any], transport: dict[str, Any]) -> None:  # noqa: ARG002
        """Compare the archive's length and central directory."""
        verify_unchanged(self._bytes, **validators)

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, whose length and CRC-32 are as listed."""
        return read_member(self._bytes, member)

    def confirm(self) -> None:
        """Do nothing: a file on disk is read as it is."""

    def close(self) -> None:
        """Nothing is under way."""


class PinnedSnapshot(ArchiveSnapshot):
    """A snapshot in a zip archive on disk whose SHA-256 its description names."""

    def __init__(self, source: LocalFile, sha256: str) -> None:
        super().__init__(source)
        self._file = source
        self._sha256 = sha256

    @cached_property
    def _index(self) -> Index:
        if (came := self._file.sha256()) != self._sha256:
            raise SnapshotChanged(self._file.name, f"the pinned SHA-256 {self._sha256}", came)
        return read_index(self._file)


class RemoteSnapshot(ArchiveSnapshot):
    """A snapshot in a zip archive behind a URL."""

    def __init__(self, source: RemoteArchive) -> None:
        super().__init__(source)
        self._remote = source
        self._compare: Callable[[Bytes], None] | None = None

    @cached_property
    def _index(self) -> Index:
        """The central directory, read again where it makes no sense but may have been damaged on its way."""
        try:
            return read_index(self._remote)
        except SnapshotError as error:
            if isinstance(error, TransferError) or self._remote.exact:
                raise
            return read_index(self._remote)

    def transport(self) -> dict[str, Any]:
        """Return the archive's ETag, MD5 and date, as far as the server gives them."""
        return self._remote.pin.facts()

    def verify(self, validators: dict[str, Any], transport: dict[str, Any]) -> None:
        """Compare with the first response that comes, and read the central directory again where that leaves doubt."""
        from pipeline.snapshot.remote.identity import Pin  # noqa: PLC0415

        def compare(source: Bytes) -> None:
            verify_unchanged(source, **validators)

        self._compare = compare
        pin = Pin(**{**transport, "size_bytes": validators["size_bytes"]})
        self._remote.expect(pin, compare)
        if self._remote.is_local or not pin.recognises:
            compare(self._remote)

    def read(self, member: Member) -> bytes:
        """Return a member's bytes; one that comes with the same fault twice is like that in the archive."""
        faults = set()
        for _ in range(_MOST_READS):
            try:
                return super().read(member)
            except Rejected as rejected:
                if self._remote.is_local or rejected.detail in faults:
                    raise
                faults.add(rejected.detail)
        raise TransferError(f"{self._remote.name}: {member.name} came differently each of {_MOST_READS} times")

    def confirm(self) -> None:
        """Read the index again, which has no checksum, where the connection does not guard it either."""
        if self._compare is not None and not self._remote.exact:
            self._compare(self._remote)

    def close(self) -> None:
        """Give up all waiting."""
        self._remote.close()


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

    def transport(self) -> dict[str, Any]:
        """Return nothing: no server is asked."""
        return {}

    def verify(self, validators: dict[str, Any], transport: dict[str, Any]) -> None:  # noqa: ARG002
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

    def confirm(self) -> None:
        """Do nothing: there is no index beside the folder itself."""

    def close(self) -> None:
        """Nothing is under way."""


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
