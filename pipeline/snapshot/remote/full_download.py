"""Download a remote archive whole: resume, verify, rename. After that the source is a local archive.

It lies in ``data/archive/``, where all experiments find it, and is no output of DVC. Beside it lies what the server
said of it, so that the receipt is the same however the archive is read.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

import msgspec
import requests

from pipeline.core import atomic
from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError, TransferError
from pipeline.core.progress import Progress, progress
from pipeline.snapshot.archive import LocalFile, Member, read_index, read_member
from pipeline.snapshot.description import is_tar
from pipeline.snapshot.remote.client import CHUNK_BYTES, Client, OutOfRange, chunks, content_range
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.retries import Transient
from pipeline.snapshot.tar_snapshot import kept_at, read_tar

_MOST_DOWNLOADS = 3
_KEPT_FREE_BYTES = 1 << 30  # of the disk, where the server does not say how long the archive is
_PIECE_BYTES = 1 << 20  # a deadline for each, so that a server that has become slow is given up

log = logging.getLogger(__name__)


def is_there(path: Path) -> bool:
    """Tell whether a whole copy lies at `path`."""
    return path.is_file() and _said(path) is not None


def download_whole(client: Client, path: Path, sha256: str | None = None) -> tuple[LocalFile, ServerIdentity]:
    """Return the whole copy at `path`, downloaded where it is not there, and what the server said of it.

    A broken download is resumed, by the next run as well; other processes wait for it. The copy gets its name when it
    is verified: by `sha256`, by the MD5 that the server gives, or by its members' CRC-32 (if it is a tar, by that of
    gzip). Where members fail with the same bytes twice, on two connections, the archive itself is like that.

    Raises
    ------
    SnapshotError
        There is no room for it, or it is no archive.
    SnapshotChanged
        It has another SHA-256.
    TransferError
        It cannot be reached, or is damaged however often it is downloaded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_there(path):
        with atomic.wait_for_lock(path, "downloading it"):
            if not is_there(path):  # another process may have made it meanwhile
                _make(client, path, sha256)
    said = _said(path)
    assert said is not None
    return LocalFile(path), said


def _make(client: Client, path: Path, sha256: str | None) -> None:
    part = _part(path)
    path.unlink(missing_ok=True)  # without what belongs to it
    seen: set[str] = set()
    for _ in range(_MOST_DOWNLOADS):
        _download(client, path, fresh=bool(seen))
        said = _said(path)
        digest = _digest(part, "sha256")
        problem, is_final = (None, False) if digest == sha256 else _problem(part, said, path)
        if problem is None or (digest in seen and not is_final):
            break
        seen.add(digest)
        log.warning("%s: %s; it is downloaded again", client.name, problem)
        part.unlink()
    else:
        raise TransferError(f"{client.name}: received damaged {_MOST_DOWNLOADS} times ({problem})")
    if sha256 is not None and digest != sha256:
        part.unlink()
        raise SnapshotChanged(client.name, f"the pinned SHA-256 {sha256}", digest)
    if said is None:
        _say(path, ServerIdentity(part.stat().st_size))
    part.replace(path)


def _download(client: Client, path: Path, *, fresh: bool) -> None:
    """Fill the part, going on where it ends."""
    most = _size(path)
    with progress("archive", None, "B", most) as bar:

        def fill() -> None:
            nonlocal most
            try:
                _fill(client, path, bar, fresh=fresh)
            except OutOfRange:
                if not _size(path):
                    raise
                _forget(path)
                raise Transient("the archive is shorter than what was downloaded of it") from None
            except Transient as failure:
                failure.progress, most = _size(path) >= most + CHUNK_BYTES, max(_size(path), most)
                raise

        client.with_retries(fill)


def _fill(client: Client, path: Path, bar: Progress, *, fresh: bool) -> None:
    begun = _said(path)
    if begun is None:
        _forget(path)
    size = _size(path)
    if begun is not None and size == begun.size_bytes:
        return
    with client.get(f"bytes={size}-", _PIECE_BYTES, fresh=fresh) as response:
        start, got = _announced(response)
        if size and (begun is None or got is None or start != size or not begun.is_of(got)):
            _forget(path)  # it is not known to be a part of this file: from the start
            raise Transient("the archive changed while it was downloaded, or cannot be resumed")
        if start != size:
            raise Transient(f"asked for everything from byte {size} on, got it from {start} on")
        room = _require_room(client, _part(path), None if got is None else got.size_bytes - start)
        if got is not None:
            bar.expect(got.size_bytes)
            _say(path, got)
        else:
            _forget(path)
        if not _receive(client, response, _part(path), room, bar):
            _forget(path)
            problem = (
                "more bytes than there is room for on the disk, without an end" if got is None else "too many bytes"
            )
            raise TransferError(f"{client.name}: the server sends {problem}")
    if got is not None and _size(path) < got.size_bytes:
        raise Transient(f"expected {got.size_bytes} bytes, got {_size(path)}")


def _announced(response: requests.Response) -> tuple[int, ServerIdentity | None]:
    """Return where a body starts, and what the server says of the file, if it says how long it is."""
    found = content_range(response)
    if found is not None:
        return found[0], ServerIdentity.of(response.headers, found[2])
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200 and length.isdecimal() and len(length) < 19:
        return 0, ServerIdentity.of(response.headers, int(length))
    return 0, None


def _receive(client: Client, response: requests.Response, part: Path, room: int, bar: Progress) -> bool:
    """Append a body to the part; tell whether it was at most `room` bytes."""
    due = _PIECE_BYTES
    with part.open("ab") as file:
        for chunk in chunks(response):
            room, due = room - len(chunk), due - len(chunk)
            if room < 0:
                return False
            file.write(chunk)
            bar.update(len(chunk))
            if due <= 0:
                client.extend(_PIECE_BYTES)
                due = _PIECE_BYTES
    return True


def _require_room(client: Client, part: Path, needed: int | None) -> int:
    """Return how many bytes may be received."""
    free = shutil.disk_usage(part.parent).free
    if needed is None:
        return max(0, free - _KEPT_FREE_BYTES)
    if needed > free:
        raise SnapshotError(
            f"{client.name}: {needed / 1e9:.2f} GB are missing, and {part.parent} has room for {free / 1e9:.2f} GB. "
            "Free some, or set transfer: ranges in configs/runtime.yaml."
        )
    return needed


def _problem(part: Path, said: ServerIdentity | None, path: Path) -> tuple[str | None, bool]:
    """Return what is wrong with a download, and whether it stays wrong if it is received like that again."""
    if said is not None and part.stat().st_size != said.size_bytes:
        return f"expected {said.size_bytes} bytes, got {part.stat().st_size}", True
    if said is not None and said.md5 is not None:
        got = _digest(part, "md5")
        return (None, False) if got == said.md5 else (f"expected MD5 {said.md5}, got {got}", True)
    file = LocalFile(part)
    try:
        if is_tar(path.name):
            read_tar(file, kept_at(path))
            return None, False
        rows = read_index(file).members.to_pylist()
    except SnapshotError as error:
        return str(error), True
    for row in rows:
        try:
            read_member(file, Member(**row))
        except Rejected as rejected:
            return rejected.detail, False
    return None, False


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(path: Path) -> int:
    part = _part(path)
    return part.stat().st_size if part.exists() else 0


def _say(path: Path, said: ServerIdentity) -> None:
    atomic.write_text(path.with_name(f"{path.name}.json"), json.dumps(asdict(said)) + "\n")


def _said(path: Path) -> ServerIdentity | None:
    """Return what the server said of the archive that lies at `path`, or is being downloaded; None where unknown."""
    try:
        return msgspec.json.decode(path.with_name(f"{path.name}.json").read_bytes(), type=ServerIdentity)
    except (ValueError, RecursionError, OSError):
        return None


def _forget(path: Path) -> None:
    _part(path).unlink(missing_ok=True)
    path.with_name(f"{path.name}.json").unlink(missing_ok=True)


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
