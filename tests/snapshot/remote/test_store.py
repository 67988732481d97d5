"""An archive in an object store is read like one at any URL: the same ranges, the same bytes, the same refusals."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.core.errors import PipelineError, SnapshotChanged
from pipeline.core.params import Runtime
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import Description
from pipeline.snapshot.origin import ArchiveSource
from pipeline.snapshot.receipt import ArchiveIdentity, Receipt
from pipeline.snapshot.sources import OpenedSnapshot, open_snapshot, reopen_snapshot
from tests.support import object_store
from tests.support.fake_kaggle import FakeKaggle, Fault, FileContent
from tests.support.object_store import BUCKET, KEY, SECRET, ObjectStore
from tests.support.project import DEMO, Project

pytestmark = pytest.mark.more
URL = f"s3://{BUCKET}/archives/{DEMO.name}"
RUNTIME = Runtime(retries=1, connect_timeout_seconds=2, read_timeout_seconds=2)


def described(path: str = URL, sha256: str | None = None) -> Description:
    source = ArchiveSource(kind="archive", path=path, sha256=sha256)
    return Description(
        title="t", license="CC0-1.0", citation="c", format="kaggle-v1", source=source, audio=("{name}.mp3",)
    )


def receipt_of(opened: OpenedSnapshot) -> Receipt:
    return Receipt("mine", described().source.identity(), opened.identity, 1, 1, 0, 0, "0" * 64)


def put(data: bytes) -> None:
    object_store.client().put_object(Bucket=BUCKET, Key=f"archives/{DEMO.name}", Body=data)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with object_store.serving() as store:
        put(DEMO.read_bytes())
        store.requests.clear()
        yield store


def test_store_gives_the_sample_of_the_local_archive(store: ObjectStore, fresh: Project, staged_once: Project) -> None:
    fresh.set(shards__clips=32)
    fresh.edit("configs/snapshots/demo.yaml", source={"kind": "archive", "path": URL})
    fresh.stage("download", "stratify", "subsample", "waveforms")
    made, expected = fresh.outputs(), staged_once.outputs()
    differ = {name for name in made if made[name] != expected[name]}
    assert differ == {"data/snapshot/receipt.json"}, "which has the ETag"
    assert all(request.size_bytes is not None for request in store.requests), "ranges alone"
    written = b"".join(made.values())
    assert not any(secret.encode() in written for secret in (KEY, SECRET, store.url, "X-Amz"))


def test_store_opening_takes_two_requests_and_reopening_one(store: ObjectStore) -> None:
    opened = open_snapshot(described(), RUNTIME)
    assert len(store.requests) == 2, "the end, and the rest of the index"
    store.requests.clear()
    snapshot = reopen_snapshot(described(), RUNTIME, receipt_of(opened))
    assert len(store.requests) == 1
    row = next(row for row in opened.members.to_pylist() if row["name"].endswith("sample-000003.mp3"))
    assert len(snapshot.read(Member(**row))) == row["size_bytes"]
    assert len(store.requests) == 2


@pytest.mark.usefixtures("store")
def test_store_with_another_archive_is_noticed_by_the_etag() -> None:
    opened = open_snapshot(described(), RUNTIME)
    assert isinstance(opened.identity, ArchiveIdentity)
    assert opened.identity.etag == f'"{hashlib.md5(DEMO.read_bytes()).hexdigest()}"'
    data = bytearray(DEMO.read_bytes())
    data[-1000] ^= 1
    put(bytes(data))
    with pytest.raises(SnapshotChanged):
        reopen_snapshot(described(), RUNTIME, receipt_of(opened))


@pytest.mark.usefixtures("store")
def test_store_with_a_pinned_archive_is_downloaded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    right = hashlib.sha256(DEMO.read_bytes()).hexdigest()
    open_snapshot(described(sha256=right), RUNTIME)
    (copy,) = (tmp_path / "data/archive").glob("*.zip")
    assert copy.read_bytes() == DEMO.read_bytes()
    copy.unlink()
    with pytest.raises(SnapshotChanged, match="the pinned SHA-256"):
        open_snapshot(described(sha256="0" * 64), RUNTIME)


def refusal(path: str = URL) -> str:
    object_store.forget()
    with pytest.raises(PipelineError) as caught:
        open_snapshot(described(path), RUNTIME)
    said = str(caught.value)
    assert not any(secret in said for secret in (KEY, SECRET, "X-Amz", "?"))
    assert "\n" not in said
    return said


@pytest.mark.usefixtures("store")
def test_store_without_the_object_is_named() -> None:
    assert "is not there (404 Not Found)" in refusal("s3://nobodys-bucket/archive.zip")
    assert "is not there (404 Not Found)" in refusal(f"s3://{BUCKET}/archives/other.zip")


@pytest.mark.usefixtures("store")
def test_store_without_credentials_names_the_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    said = refusal()
    assert said.startswith(f"{URL}: no URL can be signed for it: ")
    assert "AWS_PROFILE" in said


def test_store_that_has_gone_is_one_message(store: ObjectStore) -> None:
    store.server.stop()
    assert "Connection refused" in refusal()
    store.comes_back()


class Signing(MemoryFileSystem):  # type: ignore[misc]
    """A store of another kind, whose library signs URLs of a server on loopback."""

    protocol = "gs"
    signed = ""

    def sign(self, *_: object, **__: object) -> str:
        return self.signed


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKaggle]:
    fsspec.register_implementation("gs", Signing, clobber=True)
    with FakeKaggle(FileContent(DEMO)).serving() as fake:
        monkeypatch.setattr(Signing, "signed", fake.url)
        yield fake


@pytest.mark.usefixtures("google")
def test_store_of_any_library_that_signs_is_enough() -> None:
    opened = open_snapshot(described("gs://shelf/archive.zip"), RUNTIME)
    assert opened.members.num_rows == len(zipfile.ZipFile(DEMO).namelist())


@pytest.mark.parametrize("status", [301, 400, 403])
def test_store_with_wrong_credentials_or_region_says_what_to_set(status: int, google: FakeKaggle) -> None:
    google.always = Fault("status", status=status)
    said = refusal("gs://shelf/archive.zip")
    assert str(status) in said
    assert "AWS_DEFAULT_REGION to the region of the bucket" in said


def test_store_that_signs_nothing_is_named() -> None:
    fsspec.register_implementation("gs", MemoryFileSystem, clobber=True)
    assert refusal("gs://shelf/a.zip").startswith("gs://shelf/a.zip: no URL can be signed for it")
