"""Download a remote archive whole into ``data/archive/``, where all experiments find it.

The download is resumed after a break, locked against other processes, verified, and takes its final name only then;
its identity lies beside it, so that the receipt is the same whichever way the archive is read. It is no output of DVC.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from pipeline.core import atomic
from pipeline.core.errors import SnapshotChanged, SnapshotError, TransferError
from pipeline.core.progress import Progress, progress
from pipeline.snapshot.archive import Bytes, LocalFile
from pipeline.snapshot.remote.identity import Pin
from pipeline.snapshot.remote.ranges import RangesRefused, Remote
from pipeline.snapshot.remote.retries import Transient

Result = TypeVar("Result")
Compare = Callable[[Bytes], None]

_MOST_DOWNLOADS = 3

log = logging.getLogger(__name__)


class RemoteArchive:
    """An archive behind a URL as `pipeline.snapshot.archive.Bytes`, from its whole copy where there is one.

    Parameters
    ----------
    remote
        The file behind the URL.
    copy
        Where its whole copy lies, or would lie.
    whole
        Whether to make one; otherwise only where the server does not serve ranges.
    sha256
        The whole copy's, where it is pinned.
    """

    def __init__(self, remote: Remote, copy: Path, *, whole: bool, sha256: str | None = None) -> None:
        self._remote = remote
        self._copy = WholeCopy(remote, copy, sha256)
        self.is_local = whole or self._copy.exists()
        self._compare: Compare | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self._remote.name

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.pin.size_bytes

    @property
    def pin(self) -> Pin:
        """What recognises it."""
        return self._use(lambda: self._remote.pin, lambda: self._copy.pin)

    @property
    def exact(self) -> bool:
        """Whether nothing can flip its bytes on their way: they come from the copy, or by TLS."""
        return self._use(lambda: self._remote.exact, lambda: True)

    def expect(self, pin: Pin, compare: Compare) -> None:
        """Take it for what was opened before; `compare` raises where that is in doubt and not so."""
        self._compare = compare
        self._remote.expect(pin, lambda: compare(self))

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on."""
        return self._use(lambda: self._remote.read(offset, length), lambda: self._copy.made().read(offset, length))

    def close(self) -> None:
        """Give up all waiting."""
        self._remote.close()

    def _use(self, remote: Callable[[], Result], copy: Callable[[], Result]) -> Result:
        if not self.is_local:
            try:
                return remote()
            except RangesRefused as refused:
                self._fall_back(refused)
        return copy()

    def _fall_back(self, refused: RangesRefused) -> None:
        with self._lock:
            if not self.is_local:
                log.warning("%s; it is downloaded whole", refused)
                file = self._copy.made()
                if self._compare is not None:
                    self._compare(file)
                self.is_local = True


class WholeCopy:
    """A whole copy of a remote file, made at first need."""

    def __init__(self, remote: Remote, path: Path, sha256: str | None = None) -> None:
        self._remote = remote
        self._path = path
        self._sha256 = sha256
        self._part = path.with_name(f"{path.name}.part")
        self._facts = path.with_name(f"{path.name}.json")
        self._lock = threading.Lock()

    def exists(self) -> bool:
        """Tell whether it is there, whole."""
        return self._path.is_file() and self._facts.is_file()

    @property
    def pin(self) -> Pin:
        """What recognised the remote file when it was copied."""
        self.made()
        return Pin(**json.loads(self._facts.read_bytes()))

    def made(self) -> LocalFile:
        """Return it, after downloading it if it is not there.

        Raises
        ------
        SnapshotError
            There is no room for it.
        TransferError
            It cannot be reached, or what comes is not it.
        """
        with self._lock:
            if not self.exists():
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with _locked(self._path):
                    if not self.exists():  # another process may have made it meanwhile
                        self._make()
        return LocalFile(self._path)

    def _make(self) -> None:
        """Download it until it is verified, or comes the same twice: then the archive itself is like that."""
        seen = set()
        for _ in range(_MOST_DOWNLOADS):
            pin = self._download()
            damage = self._damage(pin)
            if damage is None or (digest := _digest(self._part, "sha256")) in seen:
                break
            seen.add(digest)
            log.warning("%s: %s; it is downloaded again", self._remote.name, damage)
            self._part.unlink()
        else:
            raise TransferError(f"{self._remote.name}: came damaged {_MOST_DOWNLOADS} times ({damage})")
        if self._sha256 is not None and (came := _digest(self._part, "sha256")) != self._sha256:
            self._part.unlink()
            raise SnapshotChanged(self._remote.name, f"the pinned SHA-256 {self._sha256}", came)
        self._facts_of(self._part).unlink(missing_ok=True)
        atomic.write_text(self._facts, json.dumps(pin.facts()) + "\n")
        self._part.replace(self._path)

    def _download(self) -> Pin:
        """Fill the part, going on where it ends; return the remote file's pin."""
        most = self._size()
        with progress("archive", None, "B", most) as bar:

            def fill() -> None:
                nonlocal most
                try:
                    self._fill(bar)
                except Transient as failure:
                    failure.progress, most = self._size() > most, max(self._size(), most)
                    raise

            self._remote.patiently(fill)
        return self._part_pin() or Pin(self._size())

    def _fill(self, bar: Progress) -> None:
        begun = self._part_pin()
        if begun is None:
            self._part.unlink(missing_ok=True)
        elif self._size() == begun.size_bytes:
            return
        with self._remote.stream(self._size() if begun else 0) as (start, pin, chunks):
            if begun and (pin is None or start != self._size() or not begun.admits(pin) or not begun.recognises):
                self._part.unlink()  # it is not known to be a part of this file: from the start
                self._facts_of(self._part).unlink()
                raise Transient("the archive changed while it was downloaded, or cannot be resumed")
            if pin is not None:
                bar.expect(pin.size_bytes)
                self._refuse_without_room(pin.size_bytes - start)
                atomic.write_text(self._facts_of(self._part), json.dumps(pin.facts()) + "\n")
            with self._part.open("ab") as file:
                for chunk in chunks:
                    file.write(chunk)
                    bar.update(len(chunk))
        if pin is not None and self._size() < pin.size_bytes:
            raise Transient(f"expected {pin.size_bytes} bytes, came {self._size()}")

    def _damage(self, pin: Pin) -> str | None:
        """Return what is wrong with the part: by its MD5 where the server gave one, else by every member's CRC-32."""
        if self._size() != pin.size_bytes:
            return f"expected {pin.size_bytes} bytes, came {self._size()}"
        if pin.md5 is not None:
            came = _digest(self._part, "md5")
            return None if came == pin.md5 else f"expected MD5 {pin.md5}, came {came}"
        try:
            with zipfile.ZipFile(self._part) as archive:
                bad = archive.testzip()
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error) as error:
            return str(error)
        return None if bad is None else f"{bad} is damaged"

    def _refuse_without_room(self, needed: int) -> None:
        free = shutil.disk_usage(self._part.parent).free
        if needed > free:
            raise SnapshotError(
                f"{self._remote.name}: {needed / 1e9:.2f} GB are still to come, and {self._part.parent} has room for "
                f"{free / 1e9:.2f} GB. Free some, or set transfer: ranges in configs/runtime.yaml."
            )

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _part_pin(self) -> Pin | None:
        """Return what recognised the file that the part is of; None where that is not known."""
        facts = self._facts_of(self._part)
        return Pin(**json.loads(facts.read_bytes())) if facts.exists() else None

    @staticmethod
    def _facts_of(path: Path) -> Path:
        return path.with_name(f"{path.name}.json")


def _locked(path: Path) -> FileLock:
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("%s: another process is downloading it; waiting", path.name)
    else:
        lock.release()
    return lock


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
