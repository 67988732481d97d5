"""An open snapshot: the verified bytes of its members, from any kind of source.

Opening it for the first time returns its index and its identity as well. Opening it again verifies, before anything is
read, that it has not changed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa
from msgspec import structs

from pipeline.core import schema
from pipeline.core.errors import SnapshotChanged, SnapshotError
from pipeline.core.params import Runtime, archive_folder, in_checkout
from pipeline.snapshot.archive import LocalFile, Member, Snapshot, read_member, verify_unchanged
from pipeline.snapshot.description import Description
from pipeline.snapshot.members import LEFT_BEHIND
from pipeline.snapshot.origin import STORES, ArchiveSource, DirectorySource, OnKaggle, is_tar, shown
from pipeline.snapshot.patterns import DATA_EXTENSIONS
from pipeline.snapshot.receipt import FileIdentity, FolderIdentity, Identity, Receipt, TarIdentity
from pipeline.snapshot.tar_snapshot import TarSnapshot, index_path, read_tar, verify_tar
from pipeline.snapshot.zip_index import TAIL_BYTES, read_index

if TYPE_CHECKING:
    from pipeline.snapshot.remote.client import Client
    from pipeline.snapshot.remote.identity import ServerIdentity
    from pipeline.snapshot.remote.ranges import RemoteFile


log = logging.getLogger(__name__)

_LEFT_BEHIND = re.compile(LEFT_BEHIND)


@dataclass(frozen=True)
class OpenedSnapshot:
    """A snapshot that was opened for the first time."""

    snapshot: Snapshot
    members: pa.Table  # schema.MEMBERS
    identity: Identity  # recognises it when it is opened again


def open_snapshot(description: Description, runtime: Runtime, name: str = "NAME") -> OpenedSnapshot:
    """Open the snapshot that the description called `name` points to, and read its index.

    Raises SnapshotError if it is missing, is no archive, or cannot be reached.
    """
    match description.source:
        case DirectorySource(path=path):
            folder = FolderSnapshot(_local(path, name))
            members = folder.members()
            return OpenedSnapshot(folder, members, _listing(members))
        case ArchiveSource(url=None, path=path, sha256=sha256):
            return _open_file(LocalFile(_local(path, name)), sha256)
        case OnKaggle() as source:
            opened = _open_archive(source, runtime)
            return _with_files(opened, source, runtime) if source.beside else opened
        case ArchiveSource() as source:
            if source.path.startswith("http:"):
                log.warning("%s: nothing guards its index on its way; use https:// if you can", shown(source.path))
            return _open_archive(source, runtime)


def reopen_snapshot(description: Description, runtime: Runtime, receipt: Receipt) -> Snapshot:
    """Open a snapshot that was opened before, and verify that it is still the same one.

    Compared are the length and central directory of a file (pieces of a tar), the list of files in a folder, and the
    headers of a remote archive, by one small request; its central directory only where they do not identify it.

    Raises SnapshotChanged if it is another one, and SnapshotError if it is missing, or cannot be reached.
    """
    identity = receipt.identity
    match description.source:
        case DirectorySource(path=path):
            folder = FolderSnapshot(_local(path, receipt.snapshot))
            if (listing := _listing(folder.members())) != identity:
                raise SnapshotChanged(path, str(identity), str(listing))
            return folder
        case ArchiveSource(url=None, path=path):
            return _reopen_file(LocalFile(_local(path, receipt.snapshot)), identity)
        case OnKaggle() | ArchiveSource() as source:
            from pipeline.snapshot.remote.ranges import RemoteSnapshot, verify_remote  # noqa: PLC0415

            remote = _open_remote(source, runtime, tail_bytes=1)
            if isinstance(remote, tuple):
                return _reopen_file(remote[0], identity)
            verify_remote(remote, identity)
            return RemoteSnapshot(remote)


def _local(path: str, name: str) -> Path:
    """Return where `source.path` of the description called `name` leads; ``~`` is the user's home."""
    place = in_checkout(Path(os.path.expanduser(path)))  # noqa: PTH111  Path's raises where there is no home
    if not os.path.lexists(place):
        raise SnapshotError(f"{place}: nothing is there; source.path in {schema.SNAPSHOTS}/{name}.yaml says {path}")
    return place


class ArchiveSnapshot(Snapshot):
    """A snapshot in a zip archive on disk."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, whose length and CRC-32 are as listed."""
        return read_member(self._file, member)


class FolderSnapshot(Snapshot):
    """A snapshot in a folder, whose clips lie as deep as the tables say, or a folder deeper."""

    def __init__(self, root: Path) -> None:
        self._root = root
        if not root.is_dir():
            raise SnapshotError(f"{root}: no such folder. The snapshot should be there.")

    def members(self) -> pa.Table:
        """Return the files of the folder, sorted by name."""
        try:
            files = sorted(_walk(self._root))
        except OSError as error:
            raise SnapshotError(f"{error.filename}: {error.strerror}") from None
        nothing = [None] * len(files)
        columns = {"name": [name for name, _ in files], "size_bytes": [size for _, size in files]}
        return pa.table({field: columns.get(field, nothing) for field in schema.MEMBERS.names}, schema=schema.MEMBERS)

    def read(self, member: Member) -> bytes:
        """Return a file's bytes, whose length is as listed."""
        path = self._root / member.name
        try:
            if path.exists() and not path.is_file():
                raise SnapshotError(f"{path}: is no regular file")
            data = path.read_bytes()
        except OSError as error:
            raise SnapshotError(f"{path}: {error.strerror}") from None
        if len(data) != member.size_bytes:
            raise SnapshotChanged(str(path), f"{member.size_bytes} bytes", f"{len(data)} bytes")
        return data


def _open_file(file: LocalFile, sha256: str | None) -> OpenedSnapshot:
    # Its size first, which a pipe has not; it would be waited for without end.
    if file.size_bytes and sha256 is not None and (got := file.digest("sha256")) != sha256:
        raise SnapshotChanged(file.name, f"the pinned SHA-256 {sha256}", got)
    if is_tar(file.name):
        tar = read_tar(file, index_path(file.path))
        return OpenedSnapshot(TarSnapshot(file, tar.identity), tar.members, tar.identity)
    index = read_index(file)
    return OpenedSnapshot(ArchiveSnapshot(file), index.members, index.identity)


def _reopen_file(file: LocalFile, identity: Identity) -> Snapshot:
    if isinstance(identity, TarIdentity):
        verify_tar(file, identity)
        return TarSnapshot(file, identity)
    verify_unchanged(file, identity)
    return ArchiveSnapshot(file)


def _open_archive(source: OnKaggle | ArchiveSource, runtime: Runtime) -> OpenedSnapshot:
    from pipeline.snapshot.remote.ranges import RemoteSnapshot  # noqa: PLC0415  only those who need a network

    remote = _open_remote(source, runtime)
    if isinstance(remote, tuple):
        file, headers = remote
        opened = _open_file(file, source.sha256 if isinstance(source, ArchiveSource) else None)
        assert isinstance(opened.identity, FileIdentity)
        return replace(opened, identity=headers.within(opened.identity))
    index = remote.client.retry(lambda: read_index(remote))
    return OpenedSnapshot(RemoteSnapshot(remote), index.members, remote.identity.within(index.identity))


def _with_files(opened: OpenedSnapshot, source: OnKaggle, runtime: Runtime) -> OpenedSnapshot:
    """Fetch the tables beside an archive, and add them to its members."""
    from pipeline.snapshot.remote.beside import SnapshotWithFiles, read_file  # noqa: PLC0415

    files = {}
    for name in source.beside:
        client, _ = _client(structs.replace(source, file=name, beside=()), runtime)
        files[name] = read_file(client)
        client.close()
    snapshot = SnapshotWithFiles(opened.snapshot, files)
    return replace(opened, snapshot=snapshot, members=pa.concat_tables([opened.members, snapshot.members()]))


def _open_remote(
    source: OnKaggle | ArchiveSource, runtime: Runtime, tail_bytes: int = TAIL_BYTES
) -> RemoteFile | tuple[LocalFile, ServerIdentity]:
    """Open a remote archive; a whole copy and its headers where there is one, `transfer` or a pin asks for it."""
    from pipeline.snapshot.remote import full_download, ranges  # noqa: PLC0415

    client, name = _client(source, runtime)
    sha256 = source.sha256 if isinstance(source, ArchiveSource) else None
    copy = archive_folder() / PurePath(name).name
    if runtime.transfer == "whole" or sha256 is not None or is_tar(name) or full_download.is_downloaded(copy):
        return full_download.download_whole(client, copy, sha256)
    return ranges.open_remote(client, tail_bytes)


def _client(source: OnKaggle | ArchiveSource, runtime: Runtime) -> tuple[Client, str]:
    """Return what asks for parts of a remote file, and the name of a whole copy of it."""
    from pipeline.snapshot.remote import kaggle, store  # noqa: PLC0415
    from pipeline.snapshot.remote.client import Client  # noqa: PLC0415
    from pipeline.snapshot.remote.retries import RetryPolicy  # noqa: PLC0415

    policy = RetryPolicy(runtime.retries)
    if isinstance(source, OnKaggle):
        locate = partial(kaggle.resolve, source, runtime, policy)
        name = source.name.replace("/", "-") + ("" if source.file else ".zip")
        return Client(source.name, locate, runtime, policy, is_signed=True), name
    url = source.path
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{source.identity()['file'] or 'archive.zip'}"
    if urlsplit(url).scheme in STORES:
        sign = partial(store.sign, url)
        return Client(shown(url), sign, runtime, policy, remedy=store.REMEDY, is_signed=True), name
    return Client(shown(url), lambda: url, runtime, policy), name


def _listing(members: pa.Table) -> FolderIdentity:
    digest = hashlib.sha256()
    for name, size in zip(*(members[column].to_pylist() for column in ("name", "size_bytes")), strict=True):
        digest.update(f"{size} {name}\n".encode())
    return FolderIdentity(members.num_rows, digest.hexdigest())


def _walk(root: Path) -> Iterator[tuple[str, int]]:
    """Yield the path below `root`, with / between folders, and the size of every file.

    Files that operating systems leave behind are ignored, and so is what is not a file, unless it is named like a clip
    or a table.
    """
    folders, seen = [""], set[tuple[int, int]]()
    while folders:
        folder = folders.pop()  # below root, with a / at its end
        status = (root / folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            raise SnapshotError(f"{root / folder}: leads to a folder of the snapshot that was listed already")
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}/" if entry.is_dir() else f"{folder}{entry.name}"
                if _LEFT_BEHIND.search(name):
                    continue
                try:
                    name.encode()
                except UnicodeEncodeError:
                    problem = f"a file's name is not UTF-8: {os.fsencode(entry.name)!r}"
                    raise SnapshotError(f"{root / folder}: {problem}") from None
                if name.endswith("/"):
                    folders.append(name)
                elif entry.is_file():
                    yield name, entry.stat().st_size
                elif name.lower().endswith(DATA_EXTENSIONS):
                    raise SnapshotError(f"{root / name}: is no regular file")
