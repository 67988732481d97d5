"""What a network failure means, in words, without the URL that such exceptions hold.

Numbers in the docstrings are sections of RFC 9110.
"""

from __future__ import annotations

import email.utils
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import requests
import urllib3

_MEANINGS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (
        (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError),
        "the proxy could not be reached (environment variables http_proxy, https_proxy, no_proxy)",
    ),
    (
        (requests.exceptions.SSLError, urllib3.exceptions.SSLError),
        "the server's certificate is not accepted; behind an inspecting proxy, set REQUESTS_CA_BUNDLE",
    ),
    (requests.exceptions.TooManyRedirects, "the server redirects without end"),
    (urllib3.exceptions.NameResolutionError, "the server's name cannot be resolved; is there a network?"),
    (
        (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError),
        "no answer in time (configs/runtime.yaml: connect_timeout_seconds, read_timeout_seconds)",
    ),
)


def explained(error: BaseException) -> str:
    """Return what a failed connection means, without the URL that its own message holds."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if type(error) is OSError and not Path(os.environ.get(name) or ".").exists():
            return f"the environment variable {name} names no file"
    # A refused connection is a kind of timeout there, which it is not.
    causes = [cause for cause in _causes(error) if type(cause) is not urllib3.exceptions.NewConnectionError]
    for kinds, meaning in _MEANINGS:
        if any(isinstance(cause, kinds) for cause in causes):
            return meaning
    reasons = [cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return f"the connection failed ({reasons[0]})" if reasons else "the connection broke"


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Return how long the server asks to wait, given in seconds or as a date (10.2.3); None where it does not."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)  # of any number of digits: infinite at worst
    try:
        return max(0.0, (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):  # which its parser raises
        return None


def _causes(error: BaseException) -> list[BaseException]:
    """Return the exceptions inside `error`, which requests and urllib3 put into arguments and attributes."""
    found: list[BaseException] = []
    todo = [error]
    while todo and len(found) < 16:
        cause = todo.pop()
        found.append(cause)
        inner = [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
        todo += [each for each in inner if isinstance(each, BaseException) and each not in found]
    return found
