"""A bound in time and in bytes for each answer.

The timeout of http.client is one for each piece that arrives: a byte now and then keeps it waiting without end. And
requests reads the body of a redirect whatever its length.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter

SLOWEST_BYTES_PER_SECOND = 10_000  # a slower server is given up
_HEADER_BYTES = 8 << 20  # more than http.client takes: a hundred headers of 64 KiB


@dataclass
class _Bound:
    until: float = float("inf")  # as `time.monotonic` gives it
    bytes_left: float = float("inf")


_BOUND: ContextVar[_Bound] = ContextVar("bound")  # of what this thread receives


def allow(seconds: float, length: int) -> None:
    """Let this thread receive `length` bytes, beside headers, within `seconds` and the time that they may take."""
    _BOUND.set(_Bound(time.monotonic() + seconds + length / SLOWEST_BYTES_PER_SECOND, length + _HEADER_BYTES))


class BoundedAdapter(HTTPAdapter):
    """Sends requests whose answers end where `allow` says, with the proxies and certificates of `requests`."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> urllib3.ProxyManager:
        """Make the pools of connections to a proxy."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _BoundedRaw(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: Any) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        bound = _BOUND.get(None) or _Bound()
        left = bound.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        if bound.bytes_left <= 0:
            raise OSError("more bytes than were asked for")
        timeout = self._sock.gettimeout()
        if timeout is None or left < timeout:
            self._sock.settimeout(left)
        count = self._raw.readinto(buffer)
        bound.bytes_left -= count or 0
        return int(count) if count is not None else None

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp: io.BufferedReader = io.BufferedReader(_BoundedRaw(sock, self.fp.detach()))


class _HttpConnection(urllib3.connection.HTTPConnection):
    response_class = _BoundedResponse


class _HttpsConnection(urllib3.connection.HTTPSConnection):
    response_class = _BoundedResponse


class _HttpPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}
