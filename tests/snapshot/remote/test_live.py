"""The real Kaggle, for whoever has a network: `make live` draws 20 clips, and prints what only a network can tell.

Its output holds no secret; docs/kaggle.md asks to send it along with an issue.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from pipeline.__main__ import main
from pipeline.core.errors import PipelineError
from pipeline.core.params import load_runtime
from pipeline.snapshot.description import describe
from pipeline.snapshot.origin import KaggleSource
from pipeline.snapshot.remote import kaggle
from pipeline.snapshot.remote.client import Client
from pipeline.snapshot.remote.retries import RetryPolicy
from pipeline.snapshot.sources import open_snapshot
from tests.support.kaggle_work import prepare

HEADERS = (
    *("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "x-goog-hash"),
    *("x-goog-generation", "x-goog-stored-content-encoding", "Content-Encoding", "Retry-After"),
)
DATA_DESCRIPTOR, UTF8 = 1 << 3, 1 << 11  # flags of a zip's member
METHODS = {0: "stored", 8: "deflated"}


def facts(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Draw a sample in this folder; yield what is seen on the way."""
    description, runtime = describe("kaggle-common-voice"), load_runtime()
    source = description.source
    assert isinstance(source, KaggleSource)
    yield f"credentials: {kaggle.credentials() or 'none, so anonymous'}"
    began = time.monotonic()
    url = kaggle.resolve(source, runtime, RetryPolicy(1))
    query = parse_qs(urlsplit(url).query)
    yield f"API: redirects to {urlsplit(url).hostname} after {time.monotonic() - began:.1f} s"
    yield f"    parameters: {', '.join(sorted(query))}; good for {query.get('X-Goog-Expires', ['?'])[0]} s"
    for method, range_ in (("HEAD", ""), ("GET", "bytes=-1"), ("GET", "bytes=0-0")):
        with requests.request(
            method,
            url,
            headers={"Range": range_} if range_ else {},
            auth=lambda request: request,
            stream=True,
            timeout=30,
        ) as response:
            yield f"storage: {method} {range_}: {response.status_code}"
            yield from (f"    {name}: {response.headers[name]}" for name in HEADERS if name in response.headers)

    received: list[int] = []
    chunks = Client.chunks

    def counted(client: Client, response: requests.Response) -> Iterator[bytes]:
        for chunk in chunks(client, response):
            received.append(len(chunk))
            yield chunk

    monkeypatch.setattr(Client, "chunks", counted)
    opened = open_snapshot(description, runtime)
    members = opened.members.to_pylist()
    yield f"index: {len(members)} members, {sum(received) / 1e6:.1f} MB; {opened.identity}"
    methods = Counter(METHODS.get(row["method"], str(row["method"])) for row in members)
    yield f"    compression: {', '.join(f'{count} {name}' for name, count in methods.items())}"
    yield f"    unpacked: {sum(row['size_bytes'] for row in members)} bytes"
    yield f"    packed: {sum(row['compressed_bytes'] for row in members)} bytes"
    for name, flag in (("data descriptors", DATA_DESCRIPTOR), ("UTF-8 names", UTF8)):
        yield f"    {name}: {sum(bool(row['flags'] & flag) for row in members)}"
    in_order = all(one["offset"] < other["offset"] for one, other in pairwise(members))
    yield f"    index in the order of the file: {in_order}"
    opened.snapshot.close()
    for stage in ("download", "stratify", "subsample"):
        received.clear()
        began = time.monotonic()
        status = main([stage])
        yield f"{stage}: status {status}, {time.monotonic() - began:.1f} s, {sum(received) / 1e6:.2f} MB"


@pytest.mark.live
def test_live_kaggle_gives_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    prepare(tmp_path / "work", monkeypatch, clips=20)
    Path("configs/runtime.yaml").unlink()
    told = []
    try:
        for line in facts(monkeypatch):
            told.append(line)
            with capfd.disabled():
                print(line, flush=True)
    except PipelineError as error:
        told = [str(error)]
    assert all("status 0" in line for line in told[-3:]), told[-1]
