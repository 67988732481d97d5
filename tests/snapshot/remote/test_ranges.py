"""The bytes of a remote file: in few requests, never the wrong ones, and never the URL."""

from __future__ import annotations

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError, TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.archive import TAIL_BYTES, Member
from pipeline.snapshot.receipt import ArchiveIdentity
from pipeline.snapshot.remote.client import Client
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.ranges import (
    NoRanges,
    RemoteFile,
    fetch_member,
    open_remote,
    read_remote_index,
    verify_remote,
)
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


def client(fake: FakeKaggle, runtime: Runtime = RUNTIME) -> Client:
    return Client("the file", lambda _: f"{fake.url}?X-Goog-Signature={SECRET}0", runtime, lambda _: None)


def remote(fake: FakeKaggle) -> RemoteFile:
    return open_remote(client(fake))


@pytest.mark.more
@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.data())
def test_any_range_is_what_it_is_of_the_whole(data: st.DataObject) -> None:
    with FakeKaggle(MemoryContent()).serving() as fake:
        opened = remote(fake)
        for _ in range(data.draw(st.integers(1, 3))):
            offset = data.draw(st.integers(0, len(DATA)))
            length = data.draw(st.integers(0, len(DATA) - offset))
            assert opened.read(offset, length) == DATA[offset : offset + length]
        opened.client.close()


def test_the_end_comes_with_the_length_in_one_request(fake: FakeKaggle) -> None:
    opened = remote(fake)
    assert opened.size_bytes == len(DATA)
    assert opened.read(len(DATA) - TAIL_BYTES, TAIL_BYTES) == DATA[-TAIL_BYTES:]
    assert fake.requests == [f"bytes=-{TAIL_BYTES}"]
    assert opened.read(len(DATA) - 10, 10) == DATA[-10:]  # asked again, it is fetched again
    assert len(fake.requests) == 2
    assert remote(fake).read(len(DATA) - 10, 10) == DATA[-10:]  # it has come with the length
    assert len(fake.requests) == 3


def part(start: int, stop: int, *, until: int | None = None, total: int = len(DATA), status: int = 206) -> Fault:
    """Say that this is a part, whichever is asked for, and send it, or what lies before `until`."""
    head = f"HTTP/1.1 {status} OK\r\nContent-Range: bytes {start}-{stop - 1}/{total}\r\nConnection: close\r\n\r\n"
    return Fault("raw", raw=head.encode() + DATA[start : stop if until is None else until])


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, len(DATA)), (0, TAIL_BYTES), (len(DATA) - TAIL_BYTES - 1, len(DATA)), (len(DATA) - 9, len(DATA) - 1)],
)
def test_more_than_the_end_or_another_part_is_asked_for_again(fake: FakeKaggle, start: int, stop: int) -> None:
    fake.faults = {0: part(start, stop)}
    assert remote(fake).read(len(DATA) - TAIL_BYTES, TAIL_BYTES) == DATA[-TAIL_BYTES:]
    assert fake.requests == [f"bytes=-{TAIL_BYTES}"] * 2
    fake.always = part(start, stop)
    with pytest.raises(TransferError, match=f"last {TAIL_BYTES} bytes of {len(DATA)}, got {start}…{stop - 1} "):
        remote(fake)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (part(99, 109), "asked for bytes 100…109, got 99…108"),
        (part(101, 111), "asked for bytes 100…109, got 101…110"),
        (part(100, 109), "asked for bytes 100…109, got 100…108"),
        (part(100, 110, until=109), "expected 10 bytes, got only 9"),
        (part(100, 110, until=111), "expected 10 bytes, got more"),
        (part(100, 110, total=109), "does not send the part"),
        (part(100, 110, status=200), "does not send the part"),
    ],
)
def test_what_is_not_the_part_that_is_asked_for_is_asked_for_again(fake: FakeKaggle, fault: Fault, said: str) -> None:
    opened = remote(fake)
    fake.faults = {1: fault}
    assert opened.read(100, 10) == DATA[100:110]
    assert fake.requests[1:] == ["bytes=100-109"] * 2
    fake.always = fault
    with pytest.raises(TransferError, match=said + r"\b"):
        opened.read(100, 10)


def test_many_threads_read_by_kept_connections(fake: FakeKaggle) -> None:
    opened = remote(fake)
    with ThreadPoolExecutor(16) as pool:
        parts = list(pool.map(lambda offset: opened.read(offset, 100), range(0, len(DATA), 1000)))
    assert b"".join(parts) == b"".join(DATA[offset : offset + 100] for offset in range(0, len(DATA), 1000))
    assert len(fake.requests) == 1 + len(parts)
    assert len(fake.connections) <= 16


def test_another_identity_or_length_in_between_is_another_file(fake: FakeKaggle) -> None:
    fake.md5 = False
    opened = remote(fake)
    opened.read(0, 5)
    fake.etag = '"three"'
    with pytest.raises(SnapshotChanged, match="changed since it was opened"):
        opened.read(0, 5)
    opened = remote(fake)
    fake.content = MemoryContent(DATA + b"more")
    with pytest.raises(SnapshotChanged, match=str(len(DATA) + 4)):
        opened.read(0, 5)
    fake.content = MemoryContent(DATA[:10])
    with pytest.raises(SnapshotChanged, match="10 bytes"):
        opened.read(100, 5)


def test_what_both_say_must_be_the_same() -> None:
    said = ServerIdentity(10, '"a"', "0f", "Monday")
    assert said.admits(ServerIdentity(10))
    assert said.admits(ServerIdentity(10, md5="0f"))
    assert said.admits(ServerIdentity(10, '"b"', "0f", "Monday"))  # the MD5 says so
    assert not said.admits(ServerIdentity(10, '"a"', "1f", "Monday"))
    assert not said.admits(ServerIdentity(10, '"b"'))
    assert not said.admits(ServerIdentity(11, '"a"'))


def test_a_strong_etag_or_an_md5_identifies_a_file_and_a_date_does_not() -> None:
    assert ServerIdentity(10, '"a"').is_of(ServerIdentity(10, '"a"'))
    assert ServerIdentity(10, md5="0f").is_of(ServerIdentity(10, '"a"', "0f"))
    for etag in (None, 'W/"a"'):
        said = ServerIdentity(10, etag, last_modified="Monday")
        assert not said.is_of(said)
    assert not ServerIdentity(10, '"a"', "0f").is_of(ServerIdentity(10, '"a"', "1f"))
    assert not ServerIdentity(10, '"a"').is_of(ServerIdentity(11, '"a"'))


def test_an_identity_is_read_from_headers() -> None:
    headers = {"x-goog-hash": "crc32c=AAAAAA==, md5=1B2M2Y8AsgTpgAmY7PhCfg==", "ETag": '"a"'}
    assert ServerIdentity.of(headers, 3) == ServerIdentity(3, '"a"', "d41d8cd98f00b204e9800998ecf8427e")
    assert ServerIdentity.of({"x-goog-hash": "md5=????"}, 3) == ServerIdentity(3)
    for odd in ("\x1b[31m", "x" * 300, "caf\xe9", ""):
        assert ServerIdentity.of({"ETag": odd, "Last-Modified": odd}, 3) == ServerIdentity(3)


# Opened again


def identity(fake: FakeKaggle) -> ArchiveIdentity:
    opened = remote(fake)
    digest = hashlib.sha256(DATA[150_000:]).hexdigest()
    found = opened.identity.within(ArchiveIdentity(len(DATA), 150_000, digest))
    fake.reset()
    return found


def test_what_is_known_again_takes_one_small_request(fake: FakeKaggle) -> None:
    known = identity(fake)
    verify_remote(open_remote(client(fake), 1), known)
    assert fake.requests == ["bytes=-1"]


@pytest.mark.parametrize("etag", ['"two"', None, 'W/"one"'])
def test_where_the_server_says_too_little_the_directory_is_read_once(fake: FakeKaggle, etag: str | None) -> None:
    known = identity(fake)
    fake.etag, fake.md5 = etag, False
    verify_remote(open_remote(client(fake), 1), known)
    assert fake.requests == ["bytes=-1", f"bytes=150000-{len(DATA) - 1}"]


def test_another_directory_is_another_archive_and_one_flipped_on_its_way_is_not(fake: FakeKaggle) -> None:
    known = identity(fake)
    fake.etag, fake.md5 = '"two"', False
    fake.faults = {1: Fault("flip")}
    verify_remote(open_remote(client(fake), 1), known)
    assert len(fake.requests) == 3
    fake.content = MemoryContent(DATA[:-1] + b"x")
    with pytest.raises(SnapshotChanged, match="an index with SHA-256"):
        verify_remote(open_remote(client(fake), 1), known)


def test_another_length_is_another_archive_without_reading_on(fake: FakeKaggle) -> None:
    known = identity(fake)
    fake.content = MemoryContent(DATA + b"more")
    with pytest.raises(SnapshotChanged, match=str(len(DATA) + 4)):
        verify_remote(open_remote(client(fake), 1), known)
    assert fake.requests == ["bytes=-1"]


def test_where_tls_guards_it_another_directory_is_another_archive_when_read_once(fake: FakeKaggle) -> None:
    known = identity(fake)
    fake.md5, fake.content = False, MemoryContent(DATA[:-1] + b"x")
    fake.etag = '"two"'
    opened = remote(fake)
    fake.reset()
    with pytest.raises(SnapshotChanged, match="an index with SHA-256"):
        verify_remote(Guarded(opened.client, opened.identity, b"", is_guarded=True), known)
    assert fake.requests == [f"bytes=150000-{len(DATA) - 1}"]


# An index is right, or it is not kept


def zipped(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number:05}.mp3", b"data" * 20)
    return buffer.getvalue()


@pytest.mark.parametrize(("count", "requests"), [(40, 2), (2000, 3)])
def test_over_plain_http_an_index_takes_one_more_request(fake: FakeKaggle, count: int, requests: int) -> None:
    content = zipped(count)
    fake.content = MemoryContent(content)
    assert read_remote_index(remote(fake)).members.num_rows == count
    assert len(fake.requests) == requests
    start = content.index(b"PK\1\2")
    assert fake.requests[-1] == f"bytes={start}-{len(content) - 1}"  # the directory, and nothing before it


@pytest.mark.parametrize(("count", "requests"), [(40, 0), (2000, 1)])
def test_where_tls_guards_it_it_does_not(fake: FakeKaggle, count: int, requests: int) -> None:
    content = zipped(count)
    fake.content = MemoryContent(content)
    opened = remote(fake)
    fake.reset()
    guarded = Guarded(opened.client, opened.identity, content[-TAIL_BYTES:], is_guarded=True)
    assert read_remote_index(guarded).members.num_rows == count
    assert len(fake.requests) == requests


def test_an_index_of_which_a_part_came_over_plain_http_takes_one_more(fake: FakeKaggle) -> None:
    content = zipped(2000)
    fake.content = MemoryContent(content)
    opened = remote(fake)
    fake.reset()
    redirected = RemoteFile(opened.client, opened.identity, content[-TAIL_BYTES:], is_guarded=True)
    assert read_remote_index(redirected).members.num_rows == 2000
    assert len(fake.requests) == 2


def test_a_failed_transfer_is_no_reading_of_an_index(fake: FakeKaggle) -> None:
    fake.content = MemoryContent(zipped(2000))
    gone, changed = remote(fake), remote(fake)
    fake.reset()
    fake.faults = {0: Fault("status", 404)}
    with pytest.raises(TransferError, match="is not there"):
        read_remote_index(gone)
    fake.content = MemoryContent(zipped(2001))
    with pytest.raises(SnapshotChanged):
        read_remote_index(changed)
    assert len(fake.requests) == 2


class Guarded(RemoteFile):
    """As if each answer was received by TLS."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, True if name == "is_guarded" else value)


@dataclass
class Changing:
    """An archive of one member behind plain http, whose name is another one with each reading of its end."""

    names: list[str]
    name = "changing"
    is_guarded = False

    @property
    def size_bytes(self) -> int:
        return len(self.archive("name"))

    def archive(self, name: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), b"")
        return buffer.getvalue()

    def read(self, offset: int, length: int) -> bytes:
        return self.archive(self.names.pop(0))[offset : offset + length]


def test_an_index_that_cannot_be_used_is_one_if_two_readings_say_the_same() -> None:
    with pytest.raises(SnapshotError, match=r"leads out of the archive: '\.\./b'") as caught:
        read_remote_index(Changing(["../b", "../a", "../b"]))  # type: ignore[arg-type]
    assert not isinstance(caught.value, TransferError)


@pytest.mark.parametrize("names", [["../a", "../b", "../c"], ["../a", "xxxb", "../c"], ["xxxa", "xxxb", "xxxc"]])
def test_an_index_of_which_no_two_readings_are_the_same_is_a_failed_transfer(names: list[str]) -> None:
    with pytest.raises(TransferError, match="differently each of 3 times"):
        read_remote_index(Changing(names))  # type: ignore[arg-type]


@pytest.mark.more
@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_no_flipped_bit_of_an_index_is_kept(data: st.DataObject) -> None:
    """Wherever they are, in whichever reading: the index is right, or there is none."""
    content = zipped(40)
    start = content.index(b"PK\1\2")
    places = data.draw(st.lists(st.integers(start, len(content) - 1), unique=True, max_size=3))
    kinds = dict(zip(data.draw(st.permutations(range(4))), places, strict=False))
    with FakeKaggle(MemoryContent(content)).serving() as fake:
        right = read_remote_index(remote(fake))
        fake.reset()
        for number, at in kinds.items():
            # The first answer is the whole (it is short), the others begin at the directory, or with it.
            fake.faults[number] = Fault("flip", at=at if number == 0 else at - start)
        try:
            found = read_remote_index(remote(fake))
        except SnapshotError:
            assert kinds
            return
        assert found.members.equals(right.members)
        assert found.identity == right.identity


# Bytes from a network as evidence


def member_at(fake: FakeKaggle) -> tuple[RemoteFile, Member]:
    fake.content = MemoryContent(zipped(40))
    opened = remote(fake)
    member = Member(**read_remote_index(opened).members.to_pylist()[7])
    fake.reset()
    fake.connections.clear()
    return opened, member


def test_a_member_takes_one_request(fake: FakeKaggle) -> None:
    opened, member = member_at(fake)
    assert fetch_member(opened, member) == b"data" * 20
    assert len(fake.requests) == 1


@pytest.mark.parametrize("kind", ["zeros", "html", "short", "reset", "no_content_range", "ignore_range", "endless"])
def test_what_is_not_the_member_is_no_evidence_however_often_it_is_received(fake: FakeKaggle, kind: str) -> None:
    opened, member = member_at(fake)
    fake.always = Fault(kind)
    with pytest.raises(TransferError, match=r"00007\.mp3.*tried 3 times") as caught:
        fetch_member(opened, member)
    assert len(fake.requests) == 3
    assert ("subsample.exclude" in str(caught.value)) == (kind == "zeros")
    fake.always, fake.faults = None, {len(fake.requests): Fault(kind)}
    assert fetch_member(opened, member) == b"data" * 20


def test_what_is_not_the_member_is_asked_for_again_on_a_new_connection(fake: FakeKaggle) -> None:
    opened, member = member_at(fake)
    fake.faults = {0: Fault("zeros")}
    assert fetch_member(opened, member) == b"data" * 20
    assert len(fake.requests) == len(fake.connections) == 2


def test_damage_is_evidence_when_it_is_the_same_on_two_connections(fake: FakeKaggle) -> None:
    fake.md5 = False
    opened, member = member_at(fake)
    whole = bytearray(zipped(40))
    whole[whole.index(b"data", member.offset or 0)] ^= 1
    fake.content = MemoryContent(bytes(whole))
    with pytest.raises(Rejected, match="expected CRC-32"):
        fetch_member(opened, member)
    assert len(fake.requests) == len(fake.connections) == 2


def test_damage_that_differs_is_none(fake: FakeKaggle) -> None:
    opened, member = member_at(fake)
    header = 30 + len(member.name)
    fake.faults = {number: Fault("flip", at=header + number) for number in range(3)}
    with pytest.raises(TransferError, match=r"(?s)expected CRC-32.*subsample\.exclude"):
        fetch_member(opened, member)
    fake.reset()
    fake.faults = {number: Fault("flip", at=header + number) for number in range(2)}
    assert fetch_member(opened, member) == b"data" * 20


# No ranges


@pytest.mark.parametrize("kind", ["ignore_range", "no_content_range"])
def test_a_server_without_ranges_is_asked_twice(fake: FakeKaggle, kind: str) -> None:
    fake.always = Fault(kind)
    with pytest.raises(NoRanges):
        remote(fake)
    assert len(fake.requests) == 2
    fake.reset()
    fake.faults = {0: Fault(kind)}
    assert remote(fake).read(0, 5) == DATA[:5]


def test_an_empty_file_is_no_archive(fake: FakeKaggle) -> None:
    fake.content = MemoryContent(b"")
    with pytest.raises(SnapshotError, match="expected a zip archive, got 0 bytes"):
        remote(fake)


# Everything that waits has an end, everything that grows a bound


@pytest.mark.more
@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 206 Partial Content\r\nX: " + b"x" * 10_000], ids=["body", "head"])
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(fake: FakeKaggle, raw: bytes) -> None:
    opened = open_remote(client(fake, Runtime(retries=0, connect_timeout_seconds=0.2, read_timeout_seconds=0.3)))
    fake.always = Fault("trickle", raw=raw)
    begun = time.monotonic()
    with pytest.raises(TransferError, match="no answer in time"):
        opened.read(0, 10_000)
    assert 1 < time.monotonic() - begun < 8  # half a second, and one for the bytes; it would go on for 500


def test_a_redirect_with_an_endless_body_is_not_read_to_its_end(fake: FakeKaggle) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /archive.zip\r\nConnection: close\r\n\r\n"
    opened = remote(fake)
    fake.always = Fault("raw", raw=head + bytes(30 << 20))
    with pytest.raises(TransferError, match="the connection"):
        opened.read(0, 100)


HEADERS = ["Location", "Content-Range", "Content-Length", "Retry-After", "ETag", "Content-Type", "Transfer-Encoding"]
HEADERS += ["x-goog-hash", "Content-Encoding", "Connection", "Set-Cookie"]
VALUES = [
    "9" * 5000,
    "-1",
    "1, 2",
    "\u0663",
    "http://[",
    "ftp://x/y",
    "//",
    "http://" + "a" * 300 + ".test/",
    "bytes 0-4/*",
]
VALUES += [
    "bytes 9-4/20",
    "bytes 0-4/" + "9" * 5000,
    "bytes 0-4/5",
    "chunked",
    "gzip",
    "\x1b[31m",
    "file:///etc/passwd",
]


@pytest.mark.more
@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.sampled_from([200, 206, 301, 302, 307, 401, 404, 416, 429, 503, 600, 999]),
    st.sampled_from(["OK", "\x1b[31mred", SECRET, ""]),
    st.lists(st.tuples(st.sampled_from(HEADERS), st.one_of(st.sampled_from(VALUES), st.text(max_size=20))), max_size=4),
    st.binary(max_size=20),
)
def test_whatever_a_server_says_ends_in_bytes_or_in_one_message(
    status: int, phrase: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    raw = "\r\n".join(lines).encode("utf-8", "replace") + body
    with FakeKaggle(MemoryContent()).serving() as fake:
        quick = Runtime(retries=0, connect_timeout_seconds=1, read_timeout_seconds=0.2)
        opened = open_remote(client(fake, quick))
        fake.always = Fault("raw", raw=raw)
        try:
            told = opened.read(0, 5).hex()
        except SnapshotError as error:
            told = str(error)
        opened.client.close()
    assert SECRET not in told
    assert told.replace("\n", "").isprintable()


# What is said


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("status", 404), "is not there"),
        (Fault("status", 403), "storage denies access"),
        (Fault("status", 503), "503"),
        (Fault("status", 418), "418"),
        (Fault("html"), "a web page"),
        (Fault("short"), "the connection broke"),
        (Fault("reset"), "the connection"),
        (Fault("stall"), "no answer in time"),
    ],
)
def test_what_lasts_is_said_without_the_url(fake: FakeKaggle, fault: Fault, said: str) -> None:
    opened = remote(fake)  # it was healthy once
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
    asking = Client("the file", lambda _: fake.url, RUNTIME)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(open_remote, asking)
        while not fake.requests:
            pass
        asking.close()
        with pytest.raises(TransferError, match="given up"):
            reading.result(10)


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/a.zip", "http://", "http://[", "http://a\0b/"])
def test_what_is_no_url_is_said_at_once(url: str) -> None:
    with pytest.raises(TransferError, match=r"no http\(s\) URL"):
        open_remote(Client("the file", lambda _: url, RUNTIME, lambda _: pytest.fail("waited")))
