"""A remote zip archive read by HTTP range requests, by many threads at a time. Nothing is written to disk."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.core.errors import Rejected, SnapshotChanged
from pipeline.snapshot.archive import HeaderMismatch, Member, Snapshot, read_head, read_member, verify_unchanged
from pipeline.snapshot.patterns import AUDIO_EXTENSIONS
from pipeline.snapshot.receipt import ArchiveIdentity, Identity
from pipeline.snapshot.remote.client import Client, Refused, content_range
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.retries import Transient
from pipeline.snapshot.zip_index import TAIL_BYTES

_SUFFIX_REFUSED = frozenset({400, 416, 501})  # by servers that know no `bytes=-N`


@dataclass(frozen=True)
class RemoteFile:
    """A remote file as `pipeline.snapshot.archive.RandomAccess`, whose length and identity are known."""

    client: Client  # readers retry by its `retry`
    identity: ServerIdentity  # from the answer that opened it; an answer with another one is an error
    tail: bytes  # its last bytes, from the same answer

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.client.name

    @property
    def size_bytes(self) -> int:
        """Its length."""
        return self.identity.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on, by at most one request.

        Raises Transient if another attempt may help, TransferError if it cannot be reached, and SnapshotChanged if it
        is no longer the file that was opened.
        """
        if not length:
            return b""
        if offset + length == self.size_bytes and length <= len(self.tail):
            return self.tail[-length:]
        try:
            with self.client.get(f"bytes={offset}-{offset + length - 1}") as response:
                start, stop, total = content_range(response)
                got = ServerIdentity.of(response.headers, total)
                if not self.identity.admits(got):
                    raise SnapshotChanged(self.name, str(self.identity), str(got))
                if (start, stop) != (offset, offset + length):
                    raise Transient(f"asked for bytes {offset}…{offset + length - 1}, got {start}…{stop - 1}")
                return self.client.body(response, length)
        except Refused as refused:
            if refused.status != 416:
                raise
            raise SnapshotChanged(self.name, str(self.identity), "fewer bytes") from None


def open_remote(client: Client, tail_bytes: int = TAIL_BYTES) -> RemoteFile:
    """Open a remote file by one request, for its last `tail_bytes`; by three where the server knows no such range.

    Raises TransferError if it cannot be reached, or the server does not serve parts of it.
    """

    def tail(range_: str) -> RemoteFile:
        with client.get(range_) as response:
            start, stop, total = content_range(response)
            if stop != total or stop - start > tail_bytes:
                raise Transient(f"asked for the last {tail_bytes} bytes of {total}, got {start}…{stop - 1}")
            return RemoteFile(client, ServerIdentity.of(response.headers, total), client.body(response, stop - start))

    def length() -> int:
        with client.get("bytes=0-0") as response:
            return content_range(response)[2]

    try:
        return client.retry(lambda: tail(f"bytes=-{tail_bytes}"))
    except Refused as refused:
        if refused.status not in _SUFFIX_REFUSED:
            raise
    size = client.retry(length)
    return client.retry(lambda: tail(f"bytes={max(0, size - tail_bytes)}-{size - 1}"))


def verify_remote(file: RemoteFile, identity: Identity) -> None:
    """Raise `SnapshotChanged` unless a remote file is the archive that was opened before.

    Its headers are enough where they identify it; otherwise its central directory is read.
    """
    if not isinstance(identity, ArchiveIdentity) or not ServerIdentity.recorded(identity).is_of(file.identity):
        file.client.retry(lambda: verify_unchanged(file, identity))


class RemoteSnapshot(Snapshot):
    """A snapshot in a zip archive behind a URL."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file

    def read(self, member: Member) -> bytes:
        """Return a member's bytes, whose length and CRC-32 are as listed, in one request that is retried with backoff.

        Bytes that were cut or changed on their way are no evidence against a clip. It is rejected only where its local
        header is the one that the index promises, and its data fails its check twice in the same way.

        Raises Rejected with `Reason.CHECKSUM` then, and TransferError if the transfer keeps failing.
        """
        problems: set[str] = set()
        remedy = "Run it again to go on."
        if member.name.lower().endswith(AUDIO_EXTENSIONS):
            remedy += " If this clip alone stays like that, name it in subsample.exclude (params.yaml) to leave it out."

        def attempt() -> bytes:
            try:
                return read_member(self._file, member)
            except Rejected as rejected:
                if rejected.detail in problems and not isinstance(rejected, HeaderMismatch):
                    raise
                problems.add(rejected.detail)
                raise Transient(rejected.detail, remedy=remedy) from None

        return self._file.client.retry(attempt, member.name)

    def head(self, member: Member, size_bytes: int) -> bytes:
        """Return a member's first bytes, in one request that is retried with backoff."""

        def attempt() -> bytes:
            try:
                return read_head(self._file, member, size_bytes)
            except Rejected as rejected:
                raise Transient(rejected.detail) from None

        return self._file.client.retry(attempt, member.name)

    def close(self) -> None:
        """Give up all waiting."""
        self._file.client.close()
