"""An archive that travels whole: once, resumed, locked, verified; and as a way out where ranges are refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from pipeline.core import schema
from pipeline.core.errors import SnapshotChanged, SnapshotError, TransferError
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import Description
from pipeline.snapshot.origin import ArchiveSource
from pipeline.snapshot.receipt import Receipt, TarIdentity
from pipeline.snapshot.remote.client import Client
from pipeline.snapshot.remote.full_download import download_whole, is_downloaded
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.ranges import open_remote
from pipeline.snapshot.remote.retries import RetryPolicy
from pipeline.snapshot.sources import open_snapshot, reopen_snapshot
from pipeline.snapshot.tar_snapshot import index_path
from tests.snapshot.remote.test_ranges import RUNTIME
from tests.snapshot.test_archive import zipped
from tests.support.fake_kaggle import Bytes, FakeKaggle, Fault
from tests.support.tarballs import plain, tarred


def archive_of(byte: bytes = b"x", count: int = 40) -> bytes:
    return zipped({f"{number:02}": byte * 50_000 for number in range(count)})


DATA = archive_of()


@pytest.fixture
def fake(fake: FakeKaggle) -> FakeKaggle:
    fake.content = Bytes(DATA)
    return fake


def client(fake: FakeKaggle) -> Client:
    return Client("the archive", lambda: fake.url, RUNTIME, RetryPolicy(RUNTIME.retries, lambda _: None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive" / "a.zip"


def copied(fake: FakeKaggle, path: Path, sha256: str | None = None) -> bytes:
    return download_whole(client(fake), path, sha256)[0].path.read_bytes()


def left(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()} - {"a.zip.lock"}


def begun(fake: FakeKaggle, path: Path, data: bytes) -> ServerIdentity:
    """Leave what a killed run leaves that has received `data`; return what the server said."""
    headers = open_remote(client(fake)).identity
    fake.reset()
    path.parent.mkdir(exist_ok=True)
    path.with_name("a.zip.part").write_bytes(data)
    path.with_name("a.zip.json").write_text(json.dumps(asdict(headers)))
    return headers


def test_download_travels_once(fake: FakeKaggle, path: Path) -> None:
    headers = open_remote(client(fake)).identity
    fake.reset()
    assert copied(fake, path) == copied(fake, path) == DATA
    assert download_whole(client(fake), path)[1] == headers
    assert len(fake.requests) == 1
    assert left(path) == {"a.zip", "a.zip.json"}
    assert fake.url not in (path.parent / "a.zip.json").read_text()


@pytest.mark.more
@pytest.mark.parametrize("kind", ["reset", "short", "stall"])
def test_download_is_resumed_after_a_break(fake: FakeKaggle, path: Path, kind: str) -> None:
    # A reset takes with it what was not read yet, which may be all; the others win something each time, and may
    # come more often than there are retries.
    fake.faults = {number: Fault(kind) for number in range(2 if kind == "reset" else 4)}
    assert copied(fake, path) == DATA
    if kind != "reset":
        begun = int((fake.requests[1] or "").removeprefix("bytes=").removesuffix("-"))
        assert begun > len(DATA) / 3
        assert fake.sent_bytes < 2 * len(DATA)


def test_download_of_a_killed_run_is_resumed(fake: FakeKaggle, path: Path) -> None:
    begun(fake, path, DATA[:1_000_000])
    assert copied(fake, path) == DATA
    assert fake.requests == ["bytes=1000000-"]


@pytest.mark.parametrize("data", [archive_of(b"y"), archive_of(count=20)], ids=["other", "shorter"])
def test_download_of_another_archive_is_not_resumed(fake: FakeKaggle, path: Path, data: bytes) -> None:
    begun(fake, path, DATA[:-1])
    fake.etag, fake.content = '"two"', Bytes(data)
    fake.md5 = False
    assert download_whole(client(fake), path)[1].size_bytes == len(data)


@pytest.mark.parametrize("settings", [{"ranges": False}, {"length": False}, {"etag": None}, {"md5": False}])
@pytest.mark.parametrize("kind", ["flip", *(pytest.param(kind, marks=pytest.mark.more) for kind in ("reset", "short"))])
def test_download_is_right_whatever_the_server_leaves_out(
    fake: FakeKaggle, path: Path, settings: dict[str, object], kind: str
) -> None:
    for name, value in settings.items():
        setattr(fake, name, value)
    fake.faults[0] = Fault(kind)
    assert copied(fake, path) == DATA
    assert left(path) == {"a.zip", "a.zip.json"}


def test_download_without_a_length_is_refused(fake: FakeKaggle, path: Path) -> None:
    fake.ranges = fake.length = False
    with pytest.raises(TransferError, match="does not say how long the archive is"):
        copied(fake, path)
    assert left(path) == set()


def test_download_that_breaks_every_time_without_ranges_is_given_up(fake: FakeKaggle, path: Path) -> None:
    fake.ranges, fake.always = False, Fault("reset")
    with pytest.raises(TransferError, match=r"tried \d times"):
        copied(fake, path)
    assert len(fake.requests) < 12


def test_download_of_an_archive_that_is_damaged_itself_is_kept(fake: FakeKaggle, path: Path) -> None:
    fake.md5 = False
    data = bytearray(DATA)
    data[100] ^= 1
    fake.content = Bytes(bytes(data))
    assert copied(fake, path) == data
    assert len(fake.requests) == 2  # the same member is damaged in the same way


def test_download_has_the_pinned_checksum(fake: FakeKaggle, path: Path) -> None:
    assert copied(fake, path, hashlib.sha256(DATA).hexdigest()) == DATA
    with pytest.raises(SnapshotChanged, match="pinned SHA-256"):
        copied(fake, path.with_name("b.zip"), "0" * 64)
    assert not path.with_name("b.zip").exists()


def test_download_needs_room_on_the_disk(fake: FakeKaggle, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(SnapshotError, match=r"has room for 0\.00 GB\. Free some\. .*, a zip .*: transfer: ranges"):
        copied(fake, path)
    monkeypatch.undo()
    assert copied(fake, path) == DATA


def test_download_by_two_processes_happens_once(fake: FakeKaggle, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    other = FileLock(path.with_name("a.zip.lock"))
    with ThreadPoolExecutor(1) as pool, caplog.at_level(logging.WARNING):
        with other:
            waiting = pool.submit(copied, fake, path)
            while "another process" not in caplog.text:
                pass
            assert fake.requests == []
            path.write_bytes(DATA)  # what the other one made
            path.with_name("a.zip.json").write_text(json.dumps({"size_bytes": len(DATA)}))
        assert waiting.result(10) == DATA
    assert fake.requests == []


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"size_bytes": "x"}'])
def test_download_whose_headers_are_damaged_is_made_again(fake: FakeKaggle, path: Path, text: str) -> None:
    copied(fake, path)
    path.with_name("a.zip.json").write_text(text)
    assert not is_downloaded(path)
    assert copied(fake, path) == DATA


@pytest.mark.parametrize("kind", ["zeros", "flip"])
def test_download_that_is_never_the_archive_is_never_kept(fake: FakeKaggle, path: Path, kind: str) -> None:
    """Nor where the same wrong bytes come each time: the server's own MD5, or its being no zip, says so."""
    fake.md5, fake.always = kind == "flip", Fault(kind)
    with pytest.raises(TransferError, match="downloaded twice"):
        copied(fake, path)
    assert left(path) == set()


def test_download_has_no_more_bytes_than_the_server_says(fake: FakeKaggle, path: Path) -> None:
    head = f"HTTP/1.1 206 OK\r\nContent-Range: bytes 0-9/{len(DATA)}\r\nConnection: close\r\n\r\n".encode()
    fake.faults = {0: Fault("raw", raw=head + DATA + b"more")}
    assert copied(fake, path) == DATA


@pytest.fixture
def tar(fake: FakeKaggle, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(path.parent.parent)
    data = random.Random(7).randbytes(300_000)
    fake.content = Bytes(gzip.compress(tarred(plain({"a.mp3": data}))))
    fake.file, fake.md5 = "en.tar.gz", False
    return path.with_name("a.tar.gz")


def test_tar_is_verified_by_the_checksum_of_gzip(fake: FakeKaggle, tar: Path) -> None:
    fake.faults = {0: Fault("flip")}
    assert copied(fake, tar) == fake.content.part(0, fake.content.size())
    assert len(fake.requests) == 2
    assert index_path(tar).exists()  # the pass that verified it is not made again


@pytest.mark.usefixtures("tar")
def test_tar_at_a_url_is_read_from_its_copy(fake: FakeKaggle) -> None:
    source = ArchiveSource(kind="archive", path=fake.url)
    description = Description(
        title="t", license="l", citation="c", format="mozilla-tsv", source=source, audio=("{name}.mp3",)
    )
    found = open_snapshot(description, RUNTIME)
    (row,) = found.members.to_pylist()
    receipt = Receipt("mine", source.identity(), found.identity, 1, 1, 0, 0, "0" * 64)
    again = reopen_snapshot(description, RUNTIME, receipt)
    assert again.read(Member(**row)) == found.snapshot.read(Member(**row))
    assert isinstance(found.identity, TarIdentity)
    assert (found.identity.etag, len(fake.requests)) == ('"CKih16GjycICEAE="', 1)
    fake.content, fake.etag = Bytes(gzip.compress(tarred(plain({"a.mp3": b"other"})))), '"two"'
    for path in schema.ARCHIVE.glob("*.tar.gz"):
        path.unlink()
    with pytest.raises(SnapshotChanged):
        reopen_snapshot(description, RUNTIME, receipt)
