"""The bytes of a remote file: in few requests, never the wrong ones, and never the URL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import SnapshotChanged, SnapshotError, TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.archive import TAIL_BYTES
from pipeline.snapshot.remote.identity import Pin
from pipeline.snapshot.remote.ranges import RangesRefused, Remote
from pipeline.snapshot.remote.signed_url import Location
from tests.support.fake_kaggle import SECRET, FakeKaggle, Fault

DATA = bytes(number * 7 % 251 for number in range(200_000))
RUNTIME = Runtime(retries=2, connect_timeout_seconds=2, read_timeout_seconds=0.3)


@dataclass(frozen=True)
class MemoryContent:
    """An archive in memory."""

    data: bytes = DATA

    def size(self) -> int:
        return len(self.data)

    def part(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKaggle]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeKaggle(MemoryContent()).serving() as fake:
        yield fake


def remote(fake: FakeKaggle) -> Remote:
    return Remote("the file", lambda _: f"{fake.url}?X-Goog-Signature={SECRET}0", RUNTIME, lambda _: None)


@given(st.data())
def test_any_range_is_what_it_is_of_the_whole(data: st.DataObject) -> None:
    with FakeKaggle(MemoryContent()).serving() as fake:
        opened = remote(fake)
        for _ in range(data.draw(st.integers(1, 3))):
            offset = data.draw(st.integers(0, len(DATA)))
            length = data.draw(st.integers(0, len(DATA) - offset))
            assert opened.read(offset, length) == DATA[offset : offset + length]
        opened.close()


def test_the_end_comes_with_the_length_in_one_request(fake: FakeKaggle) -> None:
    opened = remote(fake)
    assert opened.size_bytes == len(DATA)
    assert opened.read(len(DATA) - TAIL_BYTES, TAIL_BYTES) == DATA[-TAIL_BYTES:]
    assert fake.requests == [f"bytes=-{TAIL_BYTES}"]
    assert opened.read(len(DATA) - 10, 10) == DATA[-10:]  # asked again, it is fetched again
    assert len(fake.requests) == 2


def test_many_threads_read_by_kept_connections(fake: FakeKaggle) -> None:
    opened = remote(fake)
    with ThreadPoolExecutor(16) as pool:
        parts = list(pool.map(lambda offset: opened.read(offset, 100), range(0, len(DATA), 1000)))
    assert b"".join(parts) == b"".join(DATA[offset : offset + 100] for offset in range(0, len(DATA), 1000))
    assert len(fake.requests) == len(parts)


def test_it_is_taken_for_what_it_was_without_asking(fake: FakeKaggle) -> None:
    first = remote(fake)
    pin = first.pin
    fake.reset()
    again = remote(fake)
    again.expect(pin, lambda: pytest.fail("there is no doubt"))
    assert again.size_bytes == len(DATA)
    assert fake.requests == []
    assert again.read(5, 5) == DATA[5:10]


def test_another_pin_is_looked_into_once(fake: FakeKaggle) -> None:
    pin = remote(fake).pin
    fake.etag = '"two"'
    doubts: list[bool] = []
    again = remote(fake)
    again.expect(pin, lambda: doubts.append(True))
    assert again.read(0, 5) + again.read(5, 5) == DATA[:10]
    assert doubts == [True]
    fake.etag = '"three"'
    with pytest.raises(SnapshotChanged, match="changed since it was opened"):
        again.read(0, 5)


def test_another_length_is_another_file(fake: FakeKaggle) -> None:
    pin = remote(fake).pin
    fake.content = MemoryContent(DATA + b"more")
    again = remote(fake)
    again.expect(pin, lambda: pytest.fail("there is no doubt"))
    with pytest.raises(SnapshotChanged, match=str(len(DATA) + 4)):
        again.read(0, 5)


def test_what_both_say_must_be_the_same() -> None:
    pin = Pin(10, '"a"', "0f", "Monday")
    assert pin.admits(Pin(10))
    assert pin.admits(Pin(10, md5="0f"))
    assert not pin.admits(Pin(10, '"b"', "0f", "Monday"))
    assert not pin.admits(Pin(11, '"a"'))
    assert not Pin(10, last_modified="Monday").recognises
    assert Pin(**pin.facts()) == pin


def test_a_pin_is_read_from_headers() -> None:
    headers = {"x-goog-hash": "crc32c=AAAAAA==, md5=1B2M2Y8AsgTpgAmY7PhCfg==", "ETag": '"a"'}
    assert Pin.of(headers, 3) == Pin(3, '"a"', "d41d8cd98f00b204e9800998ecf8427e")
    assert Pin.of({"x-goog-hash": "md5=????"}, 3) == Pin(3)


def test_a_server_without_ranges_is_asked_twice(fake: FakeKaggle) -> None:
    fake.ranges = False
    with pytest.raises(RangesRefused):
        remote(fake).read(0, 5)
    assert len(fake.requests) == 2


def test_an_empty_file_is_no_archive(fake: FakeKaggle) -> None:
    fake.content = MemoryContent(b"")
    with pytest.raises(SnapshotError, match="expected a zip archive, came 0 bytes"):
        remote(fake).size_bytes  # noqa: B018


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("status", 404), "is not there"),
        (Fault("status", 403), "storage refuses access"),
        (Fault("status", 503), "503"),
        (Fault("status", 418), "418"),
        (Fault("html"), "a web page"),
        (Fault("short"), "the connection broke"),
        (Fault("reset"), "the connection"),
        (Fault("stall"), "no answer in time"),
    ],
)
def test_what_lasts_is_said_without_the_url(fake: FakeKaggle, fault: Fault, said: str) -> None:
    opened = remote(fake)
    opened.size_bytes  # noqa: B018  it was healthy once
    fake.always = fault
    with pytest.raises(TransferError, match=said) as caught:
        opened.read(100, 5000)
    told: BaseException | None = caught.value
    while told is not None:  # all that a traceback would show
        assert SECRET not in str(told)
        told = None if told.__suppress_context__ else told.__cause__ or told.__context__
    assert SECRET not in repr(opened)


def test_an_expired_url_is_asked_for_once_by_many_threads() -> None:
    asked: list[str] = []

    def locate(_: object) -> str:
        asked.append(f"url {len(asked)}")
        return asked[-1]

    location = Location(locate, lambda _: None)
    url = location.current()
    location.worked(url, url)
    barrier = threading.Barrier(16)

    def expire(_: int) -> str:
        barrier.wait()
        location.expired(url)
        return location.current()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(expire, range(16))) == {"url 1"}
    location.expired("url 1")  # new, and it never worked
    assert location.current() == "url 1"


def test_where_it_cannot_be_located_every_thread_fails_after_one_attempt() -> None:
    asked: list[int] = []

    def locate(_: object) -> str:
        asked.append(1)
        raise TransferError("no")

    location = Location(locate, lambda _: None)
    for _ in range(3):
        with pytest.raises(TransferError):
            location.current()
    assert len(asked) == 1


def test_closing_ends_all_waiting(fake: FakeKaggle) -> None:
    fake.always = Fault("status", 429, {"Retry-After": "100"})
    opened = Remote("the file", lambda _: fake.url, RUNTIME)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(opened.read, 0, 5)
        while not fake.requests:
            pass
        opened.close()
        with pytest.raises(TransferError, match="given up"):
            reading.result(10)


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/a.zip", "http://"])
def test_what_is_no_url_is_said_at_once(url: str) -> None:
    with pytest.raises(TransferError, match=r"no http\(s\) URL"):
        Remote("the file", lambda _: url, RUNTIME, lambda _: pytest.fail("waited")).read(0, 5)
