"""The bytes of a remote file: in few requests, never the wrong ones, and never the URL."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import Rejected, SnapshotChanged, SnapshotError, TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.archive import Member
from pipeline.snapshot.receipt import ArchiveIdentity
from pipeline.snapshot.remote.client import Client, Location
from pipeline.snapshot.remote.identity import ServerIdentity
from pipeline.snapshot.remote.ranges import RemoteFile, RemoteSnapshot, open_remote, verify_remote
from pipeline.snapshot.remote.retries import RetryPolicy
from pipeline.snapshot.zip_index import TAIL_BYTES, read_index
from tests.snapshot.test_archive import zipped
from tests.support.fake_kaggle import SECRET, Bytes, FakeKaggle, Fault

DATA = bytes(number * 7 % 251 for number in range(200_000))
RUNTIME = Runtime(retries=2, connect_timeout_seconds=2, read_timeout_seconds=0.3)


def client(fake: FakeKaggle, runtime: Runtime = RUNTIME) -> Client:
    url = f"{fake.url}?X-Goog-Signature={SECRET}0"
    return Client("the file", lambda: url, runtime, RetryPolicy(runtime.retries, lambda _: None), is_signed=True)


def remote(fake: FakeKaggle) -> RemoteFile:
    return open_remote(client(fake))


def read(file: RemoteFile, offset: int, length: int) -> bytes:
    return file.client.retry(lambda: file.read(offset, length))


@pytest.mark.more
@given(st.data())
def test_range_is_what_it_is_of_the_whole(data: st.DataObject) -> None:
    with FakeKaggle(Bytes(DATA)).serving() as fake:
        opened = remote(fake)
        for _ in range(data.draw(st.integers(1, 3))):
            offset = data.draw(st.integers(0, len(DATA)))
            length = data.draw(st.integers(0, len(DATA) - offset))
            assert read(opened, offset, length) == DATA[offset : offset + length]
        opened.client.close()


def test_open_remote_gets_length_and_tail_in_one_request(fake: FakeKaggle) -> None:
    opened = remote(fake)
    assert opened.size_bytes == len(DATA)
    assert read(opened, len(DATA) - TAIL_BYTES, TAIL_BYTES) == DATA[-TAIL_BYTES:]
    assert read(opened, len(DATA) - 10, 10) == DATA[-10:]
    assert fake.requests == [f"bytes=-{TAIL_BYTES}"]
    assert read(opened, len(DATA) - 10, 5) == DATA[-10:-5]  # which may be a member's, and is fetched
    assert fake.requests[1:] == [f"bytes={len(DATA) - 10}-{len(DATA) - 6}"]


def part(start: int, stop: int, *, until: int | None = None, total: int = len(DATA), status: int = 206) -> Fault:
    """Say that this is a part, whichever is asked for, and send it, or what lies before `until`."""
    head = f"HTTP/1.1 {status} OK\r\nContent-Range: bytes {start}-{stop - 1}/{total}\r\nConnection: close\r\n\r\n"
    return Fault("raw", raw=head.encode() + DATA[start : stop if until is None else until])


@pytest.mark.parametrize(
    "fault",
    [
        part(99, 109),
        pytest.param(part(101, 111), marks=pytest.mark.more),
        pytest.param(part(100, 109), marks=pytest.mark.more),
        part(100, 110, until=109),
        part(100, 110, until=111),
        part(100, 110, total=109),
        part(100, 110, status=200),
    ],
)
def test_read_accepts_only_the_part_that_was_asked_for(fake: FakeKaggle, fault: Fault) -> None:
    opened = remote(fake)
    fake.faults = {1: fault}
    assert read(opened, 100, 10) == DATA[100:110]
    assert fake.requests[1:] == ["bytes=100-109"] * 2
    fake.always = fault
    with pytest.raises(TransferError, match="tried 3 times"):
        read(opened, 100, 10)


@pytest.mark.parametrize(("start", "stop"), [(0, len(DATA)), (len(DATA) - 9, len(DATA) - 1)])
def test_open_remote_accepts_only_the_tail(fake: FakeKaggle, start: int, stop: int) -> None:
    fake.faults = {0: part(start, stop)}
    assert read(remote(fake), len(DATA) - TAIL_BYTES, TAIL_BYTES) == DATA[-TAIL_BYTES:]
    assert fake.requests == [f"bytes=-{TAIL_BYTES}"] * 2


def test_threads_share_connections(fake: FakeKaggle) -> None:
    opened = remote(fake)
    with ThreadPoolExecutor(16) as pool:
        parts = list(pool.map(lambda offset: read(opened, offset, 100), range(0, 100_000, 1000)))
    assert b"".join(parts) == b"".join(DATA[offset : offset + 100] for offset in range(0, 100_000, 1000))
    assert len(fake.requests) == 1 + len(parts)
    assert len(fake.connections) <= 16


def test_read_notices_another_file_in_its_place(fake: FakeKaggle) -> None:
    fake.md5 = False
    opened = remote(fake)
    fake.etag = '"three"'
    with pytest.raises(SnapshotChanged, match="changed since it was opened"):
        read(opened, 0, 5)
    opened = remote(fake)
    for data in (DATA + b"more", DATA[:10]):
        fake.content = Bytes(data)
        with pytest.raises(SnapshotChanged):
            read(opened, 100, 5)


def test_identity_admits_what_does_not_contradict_it() -> None:
    known = ServerIdentity(10, '"a"', "0f", "Monday")
    assert known.admits(ServerIdentity(10))
    assert known.admits(ServerIdentity(10, md5="0f"))
    assert known.admits(ServerIdentity(10, '"b"', "0f", "Monday"))  # the MD5 says so
    assert not known.admits(ServerIdentity(10, '"a"', "1f", "Monday"))
    assert not known.admits(ServerIdentity(10, '"b"'))
    assert not known.admits(ServerIdentity(11, '"a"'))


def test_identity_is_certain_by_strong_etag_or_md5_and_not_by_date() -> None:
    assert ServerIdentity(10, '"a"').is_of(ServerIdentity(10, '"a"'))
    assert ServerIdentity(10, md5="0f").is_of(ServerIdentity(10, '"a"', "0f"))
    for etag in (None, 'W/"a"'):
        weak = ServerIdentity(10, etag, last_modified="Monday")
        assert not weak.is_of(weak)
    assert not ServerIdentity(10, '"a"', "0f").is_of(ServerIdentity(10, '"a"', "1f"))
    assert not ServerIdentity(10, '"a"').is_of(ServerIdentity(11, '"a"'))


def test_identity_is_read_from_headers() -> None:
    headers = {"x-goog-hash": "crc32c=AAAAAA==, md5=1B2M2Y8AsgTpgAmY7PhCfg==", "ETag": '"a"'}
    assert ServerIdentity.of(headers, 3) == ServerIdentity(3, '"a"', "d41d8cd98f00b204e9800998ecf8427e")
    assert ServerIdentity.of({"x-goog-hash": "md5=????"}, 3) == ServerIdentity(3)
    for odd in ("\x1b[31m", "x" * 300, "caf\xe9", ""):
        assert ServerIdentity.of({"ETag": odd, "Last-Modified": odd}, 3) == ServerIdentity(3)


# Opened again


def identity(fake: FakeKaggle) -> ArchiveIdentity:
    digest = hashlib.sha256(DATA[150_000:]).hexdigest()
    found = remote(fake).identity.within(ArchiveIdentity(len(DATA), 150_000, digest))
    fake.reset()
    return found


def test_verify_remote_takes_one_small_request(fake: FakeKaggle) -> None:
    known = identity(fake)
    verify_remote(open_remote(client(fake), 1), known)
    assert fake.requests == ["bytes=-1"]


@pytest.mark.parametrize("etag", ['"two"', None, 'W/"one"'])
def test_verify_remote_reads_the_directory_where_the_server_says_too_little(fake: FakeKaggle, etag: str | None) -> None:
    known = identity(fake)
    fake.etag, fake.md5 = etag, False
    verify_remote(open_remote(client(fake), 1), known)
    assert fake.requests == ["bytes=-1", f"bytes=150000-{len(DATA) - 1}"]
    fake.content = Bytes(DATA[:-1] + b"x")
    with pytest.raises(SnapshotChanged, match="an index with SHA-256"):
        verify_remote(open_remote(client(fake), 1), known)


# Members


def member_of(fake: FakeKaggle) -> tuple[RemoteSnapshot, Member]:
    """Return a snapshot whose archive has an index of more than its tail, and one of its members."""
    fake.content = Bytes(zipped({f"{number:05}.mp3": b"data" * 20 for number in range(1000)}))
    opened = remote(fake)
    index = opened.client.retry(lambda: read_index(opened))
    assert len(fake.requests) == 2
    fake.reset()
    return RemoteSnapshot(opened), Member(**index.members.to_pylist()[7])


def test_member_takes_one_request(fake: FakeKaggle) -> None:
    snapshot, member = member_of(fake)
    assert snapshot.read(member) == b"data" * 20
    assert len(fake.requests) == 1


MORE = pytest.mark.more


@pytest.mark.parametrize(
    "kind", ["zeros", "short", *(pytest.param(kind, marks=MORE) for kind in ("html", "reset", "no_content_range"))]
)
def test_member_is_not_rejected_for_a_failed_transfer(fake: FakeKaggle, kind: str) -> None:
    snapshot, member = member_of(fake)
    fake.always = Fault(kind)
    with pytest.raises(TransferError, match=r"00007\.mp3.*tried 3 times") as caught:
        snapshot.read(member)
    assert len(fake.requests) == 3
    assert ("subsample.exclude" in str(caught.value)) == (kind == "zeros")
    fake.always, fake.faults = None, {len(fake.requests): Fault(kind)}
    assert snapshot.read(member) == b"data" * 20


def test_member_that_fails_its_check_is_fetched_once_more(fake: FakeKaggle) -> None:
    snapshot, member = member_of(fake)
    fake.faults = {0: Fault("flip", at=30 + len(member.name))}
    assert snapshot.read(member) == b"data" * 20
    assert len(fake.requests) == 2


def test_member_that_fails_its_check_twice_in_the_same_way_is_rejected(fake: FakeKaggle) -> None:
    fake.md5 = False
    snapshot, member = member_of(fake)
    whole = bytearray(fake.content.part(0, fake.content.size()))
    whole[whole.index(b"data", member.offset or 0)] ^= 1
    fake.content = Bytes(bytes(whole))
    with pytest.raises(Rejected, match="expected CRC-32"):
        snapshot.read(member)
    assert len(fake.requests) == 2


def test_member_that_is_changed_differently_each_time_is_a_failed_transfer(fake: FakeKaggle) -> None:
    snapshot, member = member_of(fake)
    fake.faults = {number: Fault("flip", at=30 + len(member.name) + number) for number in range(3)}
    with pytest.raises(TransferError, match=r"(?s)expected CRC-32.*subsample\.exclude"):
        snapshot.read(member)


# What a server may do


def test_server_without_ranges_is_named_with_the_size_of_the_whole(fake: FakeKaggle) -> None:
    fake.always = Fault("ignore_range")
    with pytest.raises(TransferError, match=r"does not send the part.*transfer: whole .*has 0\.00 GB"):
        remote(fake)


def test_server_that_does_not_say_which_part_it_sends_has_told_no_size_of_the_whole(fake: FakeKaggle) -> None:
    fake.always = Fault("no_content_range")
    with pytest.raises(TransferError, match=r"does not send the part.*the whole file has a size that it does not tell"):
        remote(fake)


@pytest.mark.parametrize("status", [400, 416, 501])
def test_server_without_suffix_ranges_is_asked_for_the_length_first(fake: FakeKaggle, status: int) -> None:
    fake.always = Fault("no_suffix", status)
    opened = remote(fake)
    assert opened.tail == DATA[-TAIL_BYTES:]
    assert fake.requests[-2:] == ["bytes=0-0", f"bytes={len(DATA) - TAIL_BYTES}-{len(DATA) - 1}"]


def test_empty_file_is_no_archive(fake: FakeKaggle) -> None:
    fake.content = Bytes(b"")
    with pytest.raises(SnapshotError, match="is empty"):
        remote(fake)


def test_body_that_trickles_is_given_up(fake: FakeKaggle) -> None:
    opened = open_remote(client(fake, Runtime(retries=0, connect_timeout_seconds=1, read_timeout_seconds=1)))
    fake.always = Fault("trickle")
    begun = time.monotonic()
    with pytest.raises(TransferError, match="no answer in time"):
        read(opened, 0, 10_000)
    assert 1 < time.monotonic() - begun < 30  # it would go on for 500


HEADERS = ["Location", "Content-Range", "Content-Length", "Retry-After", "ETag", "Content-Type", "Transfer-Encoding"]
HEADERS += ["x-goog-hash", "Content-Encoding", "Connection", "Set-Cookie"]
VALUES = ["9" * 5000, "-1", "1, 2", "\u0663", "http://[", "ftp://x/y", "//", "http://" + "a" * 300 + ".test/"]
VALUES += ["bytes 0-4/*", "bytes 9-4/20", "bytes 0-4/" + "9" * 5000, "bytes 0-4/5", "chunked", "gzip", "\x1b[31m"]
VALUES += ["file:///etc/passwd"]


@pytest.mark.more
@given(
    st.sampled_from([200, 206, 301, 302, 307, 401, 404, 416, 429, 503, 600, 999]),
    st.sampled_from(["OK", "\x1b[31mred", SECRET, ""]),
    st.lists(st.tuples(st.sampled_from(HEADERS), st.one_of(st.sampled_from(VALUES), st.text(max_size=20))), max_size=4),
    st.binary(max_size=20),
)
def test_any_answer_ends_in_bytes_or_in_one_message(
    status: int, phrase: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
    raw = "\r\n".join(lines).encode("utf-8", "replace") + body
    with FakeKaggle(Bytes(DATA)).serving() as fake:
        opened = open_remote(client(fake, Runtime(retries=0, connect_timeout_seconds=5, read_timeout_seconds=5)))
        fake.always = Fault("raw", raw=raw)
        try:
            told = read(opened, 0, 5).hex()
        except SnapshotError as error:
            told = str(error)
        opened.client.close()
    assert SECRET not in told
    assert told.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("fault", "message"),
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
def test_lasting_fault_is_explained_without_the_url(fake: FakeKaggle, fault: Fault, message: str) -> None:
    opened = remote(fake)  # it was healthy once
    fake.always = fault
    with pytest.raises(TransferError, match=message) as caught:
        read(opened, 100, 5000)
    shown: BaseException | None = caught.value
    while shown is not None:  # all that a traceback would show
        assert SECRET not in str(shown)
        shown = None if shown.__suppress_context__ else shown.__cause__ or shown.__context__
    assert SECRET not in repr(opened)


def test_location_is_renewed_once_for_many_threads() -> None:
    asked: list[str] = []

    def locate() -> str:
        asked.append(f"url {len(asked)}")
        return asked[-1]

    location = Location(locate)
    url = location.current()
    location.confirm(url, url)
    barrier = threading.Barrier(16)

    def expire(_: int) -> tuple[bool, str]:
        barrier.wait()
        return location.renew(url), location.current()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(expire, range(16))) == {(True, "url 1")}
    assert not location.renew("url 1")  # new, and it never worked
    assert location.current() == "url 1"


def test_location_that_cannot_be_resolved_fails_for_every_thread_after_one_attempt() -> None:
    asked: list[int] = []

    def locate() -> str:
        asked.append(1)
        raise TransferError("no")

    location = Location(locate)
    for _ in range(3):
        with pytest.raises(TransferError):
            location.current()
    assert len(asked) == 1


def test_close_ends_all_waiting(fake: FakeKaggle) -> None:
    fake.always = Fault("status", 429, {"Retry-After": "100"})
    asking = Client("the file", lambda: fake.url, RUNTIME, RetryPolicy(2))
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(open_remote, asking)
        while not fake.requests:
            pass
        asking.close()
        with pytest.raises(TransferError, match="given up"):
            reading.result(10)


@pytest.mark.parametrize("url", ["nonsense", "ftp://host/a.zip", "http://", "http://[", "http://a\0b/"])
def test_address_that_is_no_url_is_refused_at_once(url: str) -> None:
    waits = RetryPolicy(2, lambda _: pytest.fail("waited"))
    with pytest.raises(TransferError, match=r"no http\(s\) URL"):
        open_remote(Client("the file", lambda: url, RUNTIME, waits))
