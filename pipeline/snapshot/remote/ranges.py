"""A remote file read by HTTP range requests, by many threads at a time.

Its URL may be a secret, so it stands in no error, log line or ``repr``. Nothing is written to disk. Ranges are
RFC 9110, section 14; numbers in the comments are its sections.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import requests
import urllib3
from requests.adapters import HTTPAdapter

from pipeline.core import schema
from pipeline.core.errors import SnapshotChanged, SnapshotError, TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.archive import TAIL_BYTES
from pipeline.snapshot.remote.failures import explained, retry_after_seconds
from pipeline.snapshot.remote.identity import Pin
from pipeline.snapshot.remote.retries import Patience, Pause, Transient
from pipeline.snapshot.remote.signed_url import Locate, Location

_CHUNK_BYTES = 1 << 16
_EXPIRED = frozenset({400, 401, 403})  # what storage says to a signed URL that is too old
_PASSING = frozenset({408, 425, 429}) | frozenset(range(500, 600))
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")  # 14.4
_UNSATISFIABLE = re.compile(r"bytes \*/(\d+)")


class RangesRefused(TransferError):
    """The server sends the whole file whatever is asked for."""


class Remote:
    """A remote file as `pipeline.snapshot.archive.Bytes`.

    Parameters
    ----------
    name
        What a person calls it; stands in errors, so it holds no secret.
    locate
        Returns the URL at which the file lies now; is given what waits between its attempts.
    runtime
        Connections, timeouts and retries.
    pause
        Waits so many seconds; without it, until `close` at most.
    """

    def __init__(self, name: str, locate: Locate, runtime: Runtime, pause: Pause | None = None) -> None:
        self.name = name
        self._closed = threading.Event()
        self._location = Location(locate, pause or self._wait)
        self._timeout = (runtime.connect_timeout_seconds, runtime.read_timeout_seconds)
        self._patience = Patience(runtime.retries, pause or self._wait)
        self._session = _session(runtime.connections)
        self._prepared: _Prepared | None = None
        self._lock = threading.RLock()
        self._pin: Pin | None = None
        self._doubt: Callable[[], None] | None = None
        self._ranges = False  # known to be served
        self._refusals = 0
        self._tail: tuple[int, bytes] | None = None

    @property
    def pin(self) -> Pin:
        """What recognises the file; known from the receipt, or from the first request, which brings its end."""
        with self._lock:
            if self._pin is None:
                start, data = self._patience.call(self._fetch_tail, self.name)
                self._tail = start, data
            assert self._pin is not None
            return self._pin

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.pin.size_bytes

    @property
    def exact(self) -> bool:
        """Whether the connection itself finds flipped bytes, which TLS does and TCP's 16 bits do not."""
        return self._location.current().startswith("https:")

    def expect(self, pin: Pin, doubt: Callable[[], None]) -> None:
        """Take it for the file that was opened before; ask nothing yet.

        Parameters
        ----------
        pin
            What the file was recognised by.
        doubt
            Called where the first response has another pin of the same length; raises unless the file is the same.
        """
        with self._lock:
            self._pin, self._doubt = pin, doubt

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset` on, in one request.

        Raises
        ------
        RangesRefused
            The server does not serve ranges.
        SnapshotChanged
            It is not the file any more that was opened.
        TransferError
            It could not be reached, or sends something else, however often it is asked.
        """
        with self._lock:
            tail, self._tail = self._tail, None  # handed out once, so that who asks again gets it from the server
        if tail is not None and tail[0] <= offset and offset + length <= tail[0] + len(tail[1]):
            return tail[1][offset - tail[0] :][:length]
        if not length:
            return b""
        return self._patience.call(lambda: self._fetch(offset, length), self.name)

    @contextmanager
    def stream(self, offset: int) -> Iterator[tuple[int, Pin | None, Iterator[bytes]]]:
        """Open everything from `offset` on; yield where it really starts, the pin if the length is known, and chunks.

        Raises `Transient` where another attempt may help.
        """
        with self._get(f"bytes={offset}-") as response:
            if response.status_code == 206:
                start, _, total = self._content_range(response)
                pin: Pin | None = Pin.of(response.headers, total)
            else:
                start, length = 0, response.headers.get("Content-Length", "")
                pin = Pin.of(response.headers, int(length)) if length.isdecimal() else None
            yield start, pin, _chunks(response)

    def patiently(self, action: Callable[[], None]) -> None:
        """Call `action` again where it raises `Transient`."""
        self._patience.call(action, self.name)

    def close(self) -> None:
        """Give up all waiting."""
        self._closed.set()
        self._session.close()

    def _wait(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise TransferError(f"{self.name}: given up")

    def _fetch_tail(self) -> tuple[int, bytes]:
        with self._get(f"bytes=-{TAIL_BYTES}") as response:
            self._refuse_whole(response)
            start, stop, total = self._content_range(response)
            if stop != total or stop - start > TAIL_BYTES:
                raise Transient(f"asked for the last {TAIL_BYTES} bytes of {total}, came {start}…{stop - 1}")
            self._recognise(Pin.of(response.headers, total))
            return start, _body(response, stop - start)

    def _fetch(self, offset: int, length: int) -> bytes:
        with self._get(f"bytes={offset}-{offset + length - 1}") as response:
            self._refuse_whole(response)
            start, stop, total = self._content_range(response)
            self._recognise(Pin.of(response.headers, total))
            if (start, stop) != (offset, offset + length):
                raise Transient(f"asked for bytes {offset}…{offset + length - 1}, came {start}…{stop - 1}")
            return _body(response, length)

    def _recognise(self, came: Pin) -> None:
        """Pin what is opened first; raise `SnapshotChanged` where a response is of another file."""
        with self._lock:
            self._ranges = True
            doubt, self._doubt = self._doubt, None
            expected, self._pin = self._pin, self._pin or came
            if expected is None or expected.admits(came):
                return
            if doubt is None or expected.size_bytes != came.size_bytes:
                raise SnapshotChanged(self.name, str(expected), str(came))
            self._pin = came
            try:
                doubt()
            except BaseException:
                self._pin = expected
                raise

    @contextmanager
    def _get(self, range_: str) -> Iterator[requests.Response]:
        """Send one request; yield its response unread, of status 200 or 206. An expired URL is asked for anew, once."""
        url = self._location.current()
        response = self._send(url, range_)
        if response.status_code in _EXPIRED:
            response.close()
            self._location.expired(url)
            url = self._location.current()
            response = self._send(url, range_)
        with response:
            self._refuse_status(response)
            self._location.worked(url, response.url)
            yield response

    def _send(self, url: str, range_: str) -> requests.Response:
        try:
            if self._prepared is None or self._prepared.url != url:
                self._prepared = _Prepared(self._session, url)
            return self._prepared.send(range_, self._timeout)
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema):
            raise TransferError(f"{self.name}: its address is no http(s) URL") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Transient(explained(error)) from None

    def _refuse_status(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise Transient(
                    "a web page came in place of the archive; a proxy, or a network's login page, may have sent it"
                )
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise TransferError(f"{self.name}: the server compresses ranges, which cannot be put together")
            return
        if status in _PASSING:
            raise Transient(f"the server says {_status(response)}", retry_after_seconds(response.headers))
        if status == 416:
            found = _UNSATISFIABLE.fullmatch(response.headers.get("Content-Range", ""))
            came = f"{found[1]} bytes" if found else "fewer bytes"
            if self._pin is not None:
                raise SnapshotChanged(self.name, str(self._pin), came)
            raise SnapshotError(f"{self.name}: expected a zip archive, came {came}")
        if status in _EXPIRED:
            raise TransferError(
                f"{self.name}: storage refuses access ({_status(response)}), to a fresh address as well. "
                "Run it again later; a proxy, or missing rights, may be the cause."
            )
        if status in (404, 410):
            raise TransferError(f"{self.name}: is not there ({_status(response)}). Look at the snapshot's description.")
        raise TransferError(f"{self.name}: the server says {_status(response)}")

    def _refuse_whole(self, response: requests.Response) -> None:
        """Refuse a response that is not a part: the server does not serve ranges, or fails to now (14.2).

        It is asked twice before that is believed, because what follows is the whole archive.
        """
        if response.status_code == 206:
            return
        with self._lock:
            self._refusals += 1
        if self._ranges or self._refusals == 1:
            raise Transient("the server sends the whole file in place of a part of it")
        raise RangesRefused(f"{self.name}: the server does not serve parts of the file")

    def _content_range(self, response: requests.Response) -> tuple[int, int, int]:
        """Return start, stop and total (14.4)."""
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found:
            raise RangesRefused(f"{self.name}: the server does not say which part of the file it sends")
        first, last, total = map(int, found.groups())
        return first, last + 1, total


class _Prepared:
    """A request for any part of what lies at `url`.

    What requests would find out anew each time, at a millisecond for each clip, it finds out once: proxies,
    certificates and ``~/.netrc``.
    """

    def __init__(self, session: requests.Session, url: str) -> None:
        self.url = url
        self._session = session
        self._request = session.prepare_request(requests.Request("GET", url, headers={"Accept-Encoding": "identity"}))
        self._settings = session.merge_environment_settings(self._request.url, {}, True, None, None)

    def send(self, range_: str, timeout: tuple[float, float]) -> requests.Response:
        request = self._request.copy()
        request.headers["Range"] = range_
        return self._session.send(request, timeout=timeout, **self._settings)


def _session(connections: int) -> requests.Session:
    """Return a session whose connections are used again, as many as there are threads.

    Its debug and warning lines would show whole URLs, so they are off.
    """
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    session = requests.Session()
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=connections)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.headers["User-Agent"] = f"common-voice-sample/{schema.VERSION}"
    return session


def _chunks(response: requests.Response) -> Iterator[bytes]:
    try:
        yield from response.iter_content(_CHUNK_BYTES)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise Transient(explained(error)) from None


def _body(response: requests.Response, length: int) -> bytes:
    data = bytearray()
    for chunk in _chunks(response):
        data += chunk
        if len(data) > length:
            break
    if len(data) != length:
        came = "more" if len(data) > length else f"only {len(data)}"
        raise Transient(f"expected {length} bytes, came {came}")
    return bytes(data)


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {response.reason or ''}".strip()
