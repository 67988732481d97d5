"""Requests for parts of one remote file, from many threads, and the errors that their answers mean.

The file's URL may be a secret, so it appears in no error, log line or ``repr``. Ranges are section 14 of RFC 9110;
numbers in the comments are its sections.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

import requests
import urllib3

from pipeline.core import schema
from pipeline.core.errors import TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.remote.failures import explained, retry_after_seconds
from pipeline.snapshot.remote.retries import RetryPolicy, Transient

Result = TypeVar("Result")

CHUNK_BYTES = 1 << 16
_EXPIRED = frozenset({400, 401, 403})  # what storage says to a signed URL that is too old
_TRANSIENT = frozenset({408, 425, 429}) | frozenset(range(500, 600)) - {501}
_REMEDY = "Run it again later; a proxy, or missing rights, may be the cause."
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")  # 14.4
_LENGTH = re.compile(r"[0-9]{1,18}")


class Refused(TransferError):
    """The server answers with a status that another attempt does not change."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Client:
    """Asks for parts of one remote file, at the URL that `locate` returns.

    `name` is the file's in messages, and no secret; `remedy` is what to do if access is denied. A signed URL expires,
    and is then asked for again.
    """

    def __init__(
        self,
        name: str,
        locate: Callable[[], str],
        runtime: Runtime,
        policy: RetryPolicy,
        *,
        remedy: str = _REMEDY,
        is_signed: bool = False,
    ) -> None:
        self.name = name
        self._remedy = remedy
        self._is_signed = is_signed
        self._policy = policy
        self._location = Location(locate)
        self._timeout = (runtime.connect_timeout_seconds, runtime.read_timeout_seconds)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # its debug and warning lines show whole URLs
        self._session = requests.Session()
        if is_signed:  # it needs no credentials, such as those that ~/.netrc has for any host
            self._session.auth = lambda request: request
        adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=runtime.connections)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.headers["User-Agent"] = f"audio-subsample/{schema.VERSION}"
        self._session.headers["Accept-Encoding"] = "identity"

    def retry(self, action: Callable[[], Result], what: str = "") -> Result:
        """Return what `action` returns, called again with backoff where it raises `Transient`.

        Raises TransferError, which names `what` of the file, if it failed once more than `Runtime.retries` allows.
        """
        return self._policy.call(action, f"{self.name}: {what}" if what else self.name)

    @contextmanager
    def get(self, range_: str) -> Iterator[requests.Response]:
        """Send one request for a range, such as ``bytes=0-99``; yield its answer, with its body unread.

        The status of the answer is 200 or 206. Raises Transient if another attempt may help, TransferError if it won't.
        """
        url = self._location.current()
        try:
            response = self._session.get(url, headers={"Range": range_}, stream=True, timeout=self._timeout)
        except requests.exceptions.InvalidProxyURL as error:
            raise TransferError(f"{self.name}: {explained(error)}") from None
        except requests.exceptions.InvalidHeader:
            raise Transient("the server's headers contradict each other") from None
        except ValueError:  # InvalidURL, MissingSchema, InvalidSchema, LocationValueError, and urllib.parse's own
            raise TransferError(
                f"{self.name}: its address, or one to which the server redirects, is no http(s) URL"
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise Transient(explained(error)) from None
        except OSError as error:
            raise TransferError(f"{self.name}: {explained(error)}") from None
        with response:
            if self._is_signed and response.status_code in _EXPIRED and self._location.renew(url):
                raise Transient("the signed address has expired")
            self._require_part(response)
            self._location.confirm(url, response.url)
            yield response

    def chunks(self, response: requests.Response) -> Iterator[bytes]:
        """Yield a body in pieces; raise `Transient` if it ends early.

        Each 64 KiB have to arrive within `read_timeout_seconds`, which the library applies to each byte.
        """
        deadline, left = time.monotonic() + self._timeout[1], CHUNK_BYTES
        try:
            while data := response.raw.read1(CHUNK_BYTES):
                yield data
                left -= len(data)
                if left <= 0:
                    deadline, left = time.monotonic() + self._timeout[1], CHUNK_BYTES
                elif time.monotonic() > deadline:
                    raise TimeoutError
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(explained(error)) from None

    def body(self, response: requests.Response, length: int) -> bytes:
        """Return a body of exactly `length` bytes."""
        data = bytearray()
        for chunk in self.chunks(response):
            data += chunk
            if len(data) > length:
                break
        if len(data) != length:
            got = "more" if len(data) > length else f"only {len(data)}"
            raise Transient(f"expected {length} bytes, got {got}")
        return bytes(data)

    def close(self) -> None:
        """Give up all waiting."""
        self._policy.close()
        self._session.close()

    def _require_part(self, response: requests.Response) -> None:
        status = response.status_code
        if status in (200, 206):
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise Transient(
                    "got a web page in place of the archive; a proxy, or a network's login page, may have sent it"
                )
            return
        try:
            reason = f"{status} {HTTPStatus(status).phrase}"  # the standard's words, never those that the server sends
        except ValueError:
            reason = str(status)
        if status in _TRANSIENT:
            raise Transient(f"the server says {reason}", retry_after_seconds(response.headers))
        if status in _EXPIRED:
            renewed = ", to a new address as well" if self._is_signed else ""
            problem = f"storage denies access ({reason}){renewed}. {self._remedy}"
        elif status == 416:
            problem = "is empty, or has fewer bytes than were asked for."
        elif status in (404, 410):
            problem = f"is not there ({reason}). Look at the snapshot's description."
        else:
            problem = f"the server says {reason}. {self._remedy}"
        raise Refused(f"{self.name}: {problem}", status)


def content_range(response: requests.Response) -> tuple[int, int, int]:
    """Return start, stop and total of the part that an answer holds (14.4).

    Raises Transient if it is no part, or does not say which: the server may not serve parts (14.2).
    """
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    first, last, total = map(int, found.groups()) if found else (0, -1, 0)
    if response.status_code != 206 or not first <= last < total:
        length = response.headers.get("Content-Length", "")
        is_whole = response.status_code == 200 and _LENGTH.fullmatch(length)  # else it is the length of some part
        whole = f"{int(length) / 1e9:.2f} GB" if is_whole else "a size that it does not tell"
        raise Transient(
            "the server does not send the part of the file that it is asked for",
            remedy=f"If it serves no parts, set transfer: whole (configs/runtime.yaml): the whole file has {whole}.",
        )
    return first, last + 1, total


class Location:
    """The current URL of a file, resolved at first need, and again once it has expired. Thread-safe."""

    def __init__(self, locate: Callable[[], str]) -> None:
        self._locate = locate
        self._lock = threading.Lock()
        self._url: str | None = None
        self._is_confirmed = self._is_renewed = False
        self._failure: TransferError | None = None

    def current(self) -> str:
        """Return the URL, asking for it at first need only; where that failed, it fails for every thread."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._url is None:
                try:
                    self._url = self._locate()
                except TransferError as failure:
                    self._failure = failure
                    raise
            return self._url

    def renew(self, url: str) -> bool:
        """Forget `url`, which has expired; return whether `current` gives another one.

        It does not where `url` is new itself and never worked. Many threads may ask; only one asks for a new URL.
        """
        with self._lock:
            if self._url == url and (self._is_confirmed or not self._is_renewed):
                self._url, self._is_confirmed, self._is_renewed = None, False, True
            return self._url != url

    def confirm(self, url: str, final: str) -> None:
        """Record that `url` was served, at `final` after redirects: later requests go there."""
        with self._lock:
            if self._url == url:
                self._url, self._is_confirmed = final, True
