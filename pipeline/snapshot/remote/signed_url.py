"""The current URL of a remote file, resolved at first need, and again once it has expired. Thread-safe."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.core.errors import TransferError
from pipeline.snapshot.remote.retries import Sleep

Locate = Callable[[Sleep], str]


class Location:
    """Where a file lies now. The URL may be signed, a secret that expires, and is then asked for again."""

    def __init__(self, locate: Locate, pause: Sleep) -> None:
        self._locate = locate
        self._pause = pause
        self._lock = threading.Lock()
        self._url: str | None = None
        self._worked = self._renewed = False
        self._failure: TransferError | None = None

    def current(self) -> str:
        """Return the URL, asking for it at first need only; where that failed, it fails for every thread."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._url is None:
                try:
                    self._url = self._locate(self._pause)
                except TransferError as failure:
                    self._failure = failure
                    raise
            return self._url

    def expired(self, url: str) -> None:
        """Forget `url`, to be asked for again; but not one that is new and never worked, which would not help.

        Many threads may say so of the same one; only one of them asks for another.
        """
        with self._lock:
            if self._url == url and (self._worked or not self._renewed):
                self._url, self._worked, self._renewed = None, False, True

    def worked(self, url: str, final: str) -> None:
        """Say that `url` was served, at `final` after redirects: from now on that is where to go."""
        with self._lock:
            if self._url == url:
                self._url, self._worked = final, True
