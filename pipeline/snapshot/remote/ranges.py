"""A remote archive read by HTTP range requests, by many threads at a time. Nothing is written to disk.

Bytes from a network are evidence against a clip only where `fetch_member` says so.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError, TransferError
from pipeline.snapshot.archive import (
    TAIL_BYTES,
    HeaderMismatch,
    Index,
    Member,
    read_index,
    read_member,
    verify_unchanged,
)
from pipeline.snapshot.receipt import ArchiveIdentity
from pipeline.snapshot.remote.client import Client, OutOfRange, body, content_range
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.retries import Transient

_MOST_READINGS = 3  # of an index that TLS does not guard


class NoRanges(TransferError):
    """The server does not serve parts of the file."""


class RemoteFile:
    """A remote file as `pipeline.snapshot.archive.Bytes`, whose length and identity are known.

    Parameters
    ----------
    client
        Sends the requests.
    identity
        What the server said of it when it was opened; any answer that says something else is an error.
    tail
        Its last bytes, which were received with that.
    is_guarded
        Whether TLS guards the bytes, which finds every flipped bit, where TCP's 16-bit checksum does not.
    """

    def __init__(self, client: Client, identity: ServerIdentity, tail: bytes, *, is_guarded: bool) -> None:
        self.client = client
        self.identity = identity
        self.is_guarded = is_guarded
        self._tail: bytes | None = tail
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.client.name

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.identity.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on, in one request that is retried with backoff.

        Raises
        ------
        SnapshotChanged
            It is not the file any more that was opened.
        TransferError
            It cannot be reached, or the server sends something else, however often it is asked.
        """
        with self._lock:
            tail, self._tail = self._tail, None  # given out once: who reads again wants to have it from the server
        if tail is not None and offset + length == self.size_bytes and length <= len(tail):
            return tail[len(tail) - length :]
        return self.client.with_retries(lambda: self.read_once(offset, length))

    def read_once(self, offset: int, length: int, *, fresh: bool = False) -> bytes:
        """Return exactly `length` bytes from `offset` on, or raise `Transient` where another attempt may help."""
        if not length:
            return b""
        try:
            return self._part(offset, length, fresh=fresh)
        except OutOfRange as error:
            raise SnapshotChanged(self.name, str(self.identity), error.got) from None

    def _part(self, offset: int, length: int, *, fresh: bool) -> bytes:
        with self.client.get(f"bytes={offset}-{offset + length - 1}", length, fresh=fresh) as response:
            part = content_range(response)
            if part is None:
                raise Transient("the server does not send the part of the file that it is asked for")
            start, stop, total = part
            got = ServerIdentity.of(response.headers, total)
            if not self.identity.admits(got):
                raise SnapshotChanged(self.name, str(self.identity), str(got))
            if (start, stop) != (offset, offset + length):
                raise Transient(f"asked for bytes {offset}…{offset + length - 1}, got {start}…{stop - 1}")
            self.is_guarded &= response.url.startswith("https:")
            return body(response, length)


def open_remote(client: Client, tail_bytes: int = TAIL_BYTES) -> RemoteFile:
    """Open a remote file by one request, for its last `tail_bytes`.

    Raises
    ------
    NoRanges
        Twice the server sent the whole file, or a part without saying which: it does not serve parts (14.2).
    TransferError
        It cannot be reached.
    """
    misses = 0

    def attempt() -> RemoteFile:
        nonlocal misses
        with client.get(f"bytes=-{tail_bytes}", tail_bytes) as response:
            part = content_range(response)
            if part is None:
                misses += 1
                if misses == 2:
                    raise NoRanges(f"{client.name}: the server does not serve parts of the file")
                raise Transient("the server does not send the part of the file that it is asked for")
            start, stop, total = part
            if stop != total or stop - start > tail_bytes:
                raise Transient(f"asked for the last {tail_bytes} bytes of {total}, got {start}…{stop - 1}")
            identity = ServerIdentity.of(response.headers, total)
            is_guarded = response.url.startswith("https:")
            return RemoteFile(client, identity, body(response, stop - start), is_guarded=is_guarded)

    return client.with_retries(attempt)


def read_remote_index(file: RemoteFile) -> Index:
    """Return a remote archive's index, which is right: TLS guards it, or two readings of it are the same.

    A central directory has no checksum of its own.

    Raises
    ------
    SnapshotError
        It is no archive, or one that cannot be used.
    TransferError
        Three readings were all different.
    """
    before: list[ArchiveIdentity | str] = []  # what other readings said
    tail_bytes = TAIL_BYTES
    for _ in range(_MOST_READINGS):
        try:
            reading: Index | SnapshotError = read_index(file, tail_bytes)
        except SnapshotError as error:
            if isinstance(error, TransferError | SnapshotChanged):
                raise
            reading = error
        said = reading.identity if isinstance(reading, Index) else str(reading)
        if file.is_guarded or said in before:
            if isinstance(reading, SnapshotError):
                raise reading
            return reading
        before.append(said)
        if isinstance(reading, Index):  # the next reading is one request
            tail_bytes = file.size_bytes - reading.identity.directory_offset
    raise TransferError(f"{file.name}: its index was received differently each of {_MOST_READINGS} times")


def verify_remote(file: RemoteFile, identity: ArchiveIdentity) -> None:
    """Raise `SnapshotChanged` unless a remote file is the archive that was opened before.

    What the server says of it is enough where that identifies it; otherwise its central directory is read, which over
    plain HTTP may take two readings.
    """
    if ServerIdentity.recorded(identity).is_of(file.identity):
        return
    try:
        verify_unchanged(file, identity)
    except SnapshotChanged:
        if file.is_guarded:
            raise
        verify_unchanged(file, identity)


def fetch_member(file: RemoteFile, member: Member) -> bytes:
    """Return a member's bytes, verified.

    They are evidence against the archive only where the local header is the one that the index promises and the data
    still fails its check, with the same bytes on two connections, the second of which is a new one. Everything else is
    a failed transfer, which is retried with backoff.

    Raises
    ------
    Rejected
        With `Reason.CHECKSUM`: the archive itself is like that.
    TransferError
        The transfer keeps failing.
    """
    failed: set[bytes] = set()
    remedy = "Run it again to go on."
    if member.name.endswith(".mp3"):
        remedy += " If this clip alone stays like that, name it in subsample.exclude (params.yaml) to leave it out."

    def attempt() -> bytes:
        reading = _Reading(file, fresh=bool(failed))
        try:
            return read_member(reading, member)
        except HeaderMismatch as misplaced:
            failed.add(b"")  # no evidence: only makes the next connection a new one
            raise Transient(misplaced.detail, remedy=remedy) from None
        except Rejected as rejected:
            received = b"".join(reading.received)
            if received in failed:
                raise
            failed.add(received)
            raise Transient(rejected.detail, remedy=remedy) from None

    return file.client.with_retries(attempt, member.name)


@dataclass(frozen=True)
class _Reading:
    """One attempt to read a member, as `Bytes`, which keeps all that was received."""

    file: RemoteFile
    fresh: bool
    received: list[bytes] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def size_bytes(self) -> int:
        return self.file.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        data = self.file.read_once(offset, length, fresh=self.fresh)
        self.received.append(data)
        return data
