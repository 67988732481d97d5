"""Waveforms are read from an object store, or any file system, as from a disk, and in as few requests as possible."""

from __future__ import annotations

import pickle
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow.fs
import pytest

from pipeline import Waveforms, open_waveforms
from pipeline.core import object_stores
from pipeline.core.errors import ShardError
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive
from tests.support import object_store
from tests.support.object_store import BUCKET, KEY, SECRET, ObjectStore
from tests.support.project import Project
from tests.waveforms.test_reader import RankRecipe

pytestmark = [pytest.mark.more, pytest.mark.xdist_group("s3")]  # one store for all
URL = f"s3://{BUCKET}/waveforms"


@pytest.fixture(scope="module")
def store(staged_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    folder = shutil.copytree(staged_once.root / "data/waveforms", tmp_path_factory.mktemp("stored") / "waveforms")
    derive(RankRecipe(), folder, folder.with_name("features"), LocalProcesses(1))
    with object_store.serving() as store:
        store.put(folder, "waveforms")
        store.put(folder.with_name("features"), "features")
        yield store


@pytest.fixture(autouse=True)
def nothing_is_kept(store: ObjectStore) -> None:
    object_store.forget()
    store.requests.clear()


@pytest.fixture(scope="module")
def here(staged_once: Project) -> Waveforms:
    return open_waveforms(staged_once.root / "data/waveforms")


def same(first: Waveforms, second: Waveforms) -> bool:
    return all(
        one.clip_id == other.clip_id and np.array_equal(one.waveform, other.waveform)
        for one, other in zip(first, second, strict=True)
    )


def test_reader_elsewhere_opening_reads_a_listing_and_the_footers(store: ObjectStore, here: Waveforms) -> None:
    assert len(open_waveforms(URL)) == len(here)
    listing, *footers = store.requests
    assert "list-type=2" in listing.path
    assert sorted(request.path for request in footers) == [
        f"/{BUCKET}/waveforms/part-0000{n}.parquet" for n in range(4)
    ]
    assert all(request.size_bytes and request.size_bytes <= 1 << 17 for request in footers)


def bytes_of_row_group(clips: Waveforms, place: int) -> int:
    shard, number = clips._store._groups[clips._store._group_of(place)]
    group = shard.metadata.row_group(number)
    return sum(group.column(column).total_compressed_size for column in range(group.num_columns))


def test_reader_elsewhere_a_random_clip_is_one_request(store: ObjectStore, here: Waveforms) -> None:
    clips = open_waveforms(URL)
    for place in (100, 3, 50):
        store.requests.clear()
        np.testing.assert_array_equal(clips[place].waveform, here[place].waveform)
        (request,) = store.requests
        assert request.size_bytes == bytes_of_row_group(clips, place)  # and nothing is read ahead


@pytest.mark.parametrize("kind", ["fsspec", "pyarrow"])
def test_reader_elsewhere_a_file_system_may_be_given(kind: str, store: ObjectStore, here: Waveforms) -> None:
    filesystem = fsspec.filesystem("s3")
    if kind == "pyarrow":
        address = store.url.removeprefix("http://")
        filesystem = pyarrow.fs.S3FileSystem(endpoint_override=address, scheme="http", region="us-east-1")
    clips = open_waveforms(f"{BUCKET}/waveforms/", filesystem=filesystem)
    store.requests.clear()
    assert clips[77].clip_id == here[77].clip_id
    assert len(store.requests) <= 2
    assert same(clips.head(20), here.head(20))
    assert len(clips.features()) == 120


def test_reader_elsewhere_views_metadata_and_features_are_those_of_a_disk(here: Waveforms) -> None:
    clips = open_waveforms(URL)
    assert not any(secret in f"{clips!r} {clips.about} {vars(clips._store)}" for secret in (KEY, SECRET))
    view, other = clips.where(gender="female")[::-1], here.where(gender="female")[::-1]
    assert same(view, other)
    pd.testing.assert_frame_equal(view.metadata(), other.metadata())
    assert view.features()["clip_id"].tolist() == other.metadata()["clip_id"].tolist()


def ids(clips: Waveforms) -> list[str]:
    return [clip.clip_id for clip in clips]


def test_reader_elsewhere_they_travel_to_worker_processes(here: Waveforms) -> None:
    clips = open_waveforms(URL)
    assert ids(pickle.loads(pickle.dumps(clips.head(3)))) == ids(here.head(3))
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(ids, clips.head(3)).result() == ids(here.head(3))


def error_of(url: str) -> str:
    with pytest.raises(ShardError) as caught:
        open_waveforms(url)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert not any(secret in said for secret in (KEY, SECRET))
    return said


def test_reader_elsewhere_what_is_not_there_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no such bucket; correct the URL" in error_of("s3://no-such-bucket/waveforms")
    assert "there is no such folder; correct its name, or" in error_of(f"s3://{BUCKET}/nothing")
    assert "set them in the environment" in error_of(f"s3://{KEY}:{SECRET}@{BUCKET}/waveforms")
    assert "Protocol not known: nonsense" in error_of("nonsense://bucket/waveforms")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert "pip install 'audio-subsample[s3] @ git+URL'" in error_of(URL)


class Answering(BaseHTTPRequestHandler):
    """Answers each request in the same way."""

    status, kind, body = 200, "text/html", b"<html><body>Sign in to this network</body></html>"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", self.kind)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def s3_error(code: str) -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'.encode()


@pytest.mark.parametrize(
    ("status", "kind", "body", "advice"),
    [
        (200, "text/html", Answering.body, "or AWS_ENDPOINT_URL"),
        (403, "application/xml", s3_error("AccessDenied"), "set credentials that may read it"),
        (301, "application/xml", s3_error("PermanentRedirect"), "set AWS_DEFAULT_REGION to the region of the bucket"),
    ],
)
def test_reader_elsewhere_another_answer_says_what_to_do(
    status: int, kind: str, body: bytes, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = type("Handler", (Answering,), {"status": status, "kind": kind, "body": body})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        assert advice in error_of(URL)
        server.shutdown()


def test_reader_elsewhere_without_credentials_says_which_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    assert "set credentials that may read it, such as AWS_PROFILE" in error_of(URL)


def test_reader_elsewhere_a_server_that_says_nothing_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_stores, "_SECONDS", {"connect_timeout": 0.3, "read_timeout": 0.3})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "see whether the network works and AWS_ENDPOINT_URL is right" in error_of(URL)
