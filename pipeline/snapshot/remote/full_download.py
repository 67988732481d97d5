"""Download a remote archive whole: resume, verify, rename. After that the source is a local archive.

The copy is in ``data/archive/``, shared by all experiments, and is no output of DVC. The server's headers are saved
beside it, so that the receipt does not depend on how the archive is read.
"""

from __future__ import annotations

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
from pipeline.snapshot.archive import LocalFile, Member, read_member
from pipeline.snapshot.origin import is_tar
from pipeline.snapshot.remote.client import CHUNK_BYTES, Client, Refused, content_range
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.retries import Transient
from pipeline.snapshot.tar_snapshot import index_path, read_tar
from pipeline.snapshot.zip_index import read_index

log = logging.getLogger(__name__)


def is_downloaded(path: Path) -> bool:
    """Return whether there is a whole copy at `path`."""
    return path.is_file() and _saved_headers(path) is not None


def download_whole(client: Client, path: Path, sha256: str | None = None) -> tuple[LocalFile, ServerIdentity]:
    """Return the whole copy at `path`, downloading it unless it is there, and the server's headers.

    A broken download is resumed, by the next run as well; other processes wait for it. The copy is renamed once it is
    verified: by `sha256`, by the MD5 that the server gives, or by the CRC-32 of its members (of a tar, by gzip's own).
    A damaged one is downloaded once more; where the same members are damaged in the same way, the archive itself is.

    Raises
    ------
    SnapshotError
        There is no room for it.
    SnapshotChanged
        It has another SHA-256.
    TransferError
        It cannot be reached, or was damaged twice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not is_downloaded(path):
        with atomic.wait_for_lock(path, "downloading it"):
            if not is_downloaded(path):  # another process may have downloaded it meanwhile
                path.unlink(missing_ok=True)
                _download(client, path, sha256)
    headers = _saved_headers(path)
    assert headers is not None
    return LocalFile(path), headers


def _download(client: Client, path: Path, sha256: str | None) -> None:
    part = _part(path)
    problem: str | None = None
    for attempt in (1, 2):
        _receive(client, path)
        digest = None if sha256 is None else LocalFile(part).digest("sha256")
        before = problem
        try:
            problem = _damaged_members(part, path) if sha256 is None or digest != sha256 else None
            is_whole = problem in (None, before)
        except SnapshotError as error:
            problem, is_whole = str(error), False
        if is_whole and digest == sha256:
            part.replace(path)
            return
        if digest is not None and is_whole:
            _discard(path)
            raise SnapshotChanged(client.name, f"the pinned SHA-256 {sha256}", digest)
        if attempt == 1:
            log.warning("%s: %s; downloading it once more", client.name, problem)
            part.unlink()
    _discard(path)
    raise TransferError(f"{client.name}: was downloaded twice, and neither copy can be used: {problem}")


def _receive(client: Client, path: Path) -> None:
    """Fill the partial file, retrying as long as it grows."""
    part = _part(path)
    largest = _size(part)
    with progress("archive", None, "B", largest) as bar:

        def attempt() -> None:
            nonlocal largest
            try:
                _resume(client, path, bar)
            except Transient as failure:
                failure.progress, largest = _size(part) >= largest + CHUNK_BYTES, max(_size(part), largest)
                raise

        client.retry(attempt)


def _resume(client: Client, path: Path, bar: Progress) -> None:
    """Append what is missing to the partial file, in one request."""
    part, begun = _part(path), _saved_headers(path)
    if begun is None:
        _discard(path)
    size = _size(part)
    if begun is not None and size == begun.size_bytes:
        return
    try:
        with client.get(f"bytes={size}-") as response:
            start, headers = _announced(response)
            if start != size or (size and (begun is None or not begun.is_of(headers))):
                _discard(path)
                raise Transient("the archive changed while it was downloaded, or cannot be resumed")
            missing, free = headers.size_bytes - start, shutil.disk_usage(path.parent).free
            if missing > free:
                raise SnapshotError(
                    f"{client.name}: {missing / 1e9:.2f} GB are missing, and {path.parent} has room for "
                    f"{free / 1e9:.2f} GB. Free some. Without a copy, a zip whose sha256 is not pinned can be read: "
                    "transfer: ranges in configs/runtime.yaml."
                )
            bar.expect(headers.size_bytes)
            atomic.write_text(path.with_name(f"{path.name}.json"), json.dumps(asdict(headers)) + "\n")
            with part.open("ab") as file:
                for chunk in client.chunks(response):
                    missing -= file.write(chunk)
                    bar.update(len(chunk))
                    if missing < 0:
                        raise Transient("the server sends more bytes than it says")
    except Refused as refused:
        if refused.status != 416 or not size:
            raise
        _discard(path)
        raise Transient("the archive is shorter than what was downloaded of it") from None
    if missing:
        raise Transient(f"expected {headers.size_bytes} bytes, got {_size(part)}")


def _announced(response: requests.Response) -> tuple[int, ServerIdentity]:
    """Return where a body starts, and the identity of the whole file."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == 200 and length.isdecimal() and len(length) < 19:
        return 0, ServerIdentity.of(response.headers, int(length))
    if response.status_code == 200:
        raise Transient(
            "the server does not say how long the archive is",
            remedy="Download it by other means, and give the path of the file in the snapshot's description.",
        )
    start, _, total = content_range(response)
    return start, ServerIdentity.of(response.headers, total)


def _damaged_members(part: Path, path: Path) -> str | None:
    """Return what is wrong with members of a download; None where nothing is.

    Raises SnapshotError if it has another MD5 than the server says, or is no archive.
    """
    headers = _saved_headers(path)
    if headers is not None and headers.md5 is not None:
        if (md5 := LocalFile(part).digest("md5")) != headers.md5:
            raise SnapshotError(f"expected MD5 {headers.md5}, got {md5}")
        return None
    file = LocalFile(part)
    if is_tar(path.name):
        read_tar(file, index_path(path))
        return None
    problems = []
    for row in read_index(file).members.to_pylist():
        try:
            read_member(file, Member(**row))
        except Rejected as rejected:
            problems.append(rejected.detail)
    return "; ".join(problems) or None


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _saved_headers(path: Path) -> ServerIdentity | None:
    """Return the headers of the archive at `path`, or of its partial file; None where unknown."""
    try:
        return msgspec.json.decode(path.with_name(f"{path.name}.json").read_bytes(), type=ServerIdentity)
    except (ValueError, RecursionError, OSError):
        return None


def _discard(path: Path) -> None:
    _part(path).unlink(missing_ok=True)
    path.with_name(f"{path.name}.json").unlink(missing_ok=True)
