"""What network failures mean, and how long servers ask to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests
import urllib3

from pipeline.snapshot.remote.failures import explained, retry_after_seconds

SECRET = "SECRETSIGNATURE"


def test_retry_after_is_seconds_or_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after_seconds({"Retry-After": "17"}) == 17
    assert 50 < (retry_after_seconds({"Retry-After": soon}) or 0) <= 60
    assert retry_after_seconds({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_seconds({"Retry-After": "soon"}) is None
    assert retry_after_seconds({}) is None


@pytest.mark.parametrize(
    "value", ["9" * 5000, "\u0663", "Wed, 21 Oct 99999999999 07:28:00 GMT", "-1", "\xb2", "1e9", ",", "("]
)
def test_retry_after_of_any_text_is_no_error(value: str) -> None:
    seconds = retry_after_seconds({"Retry-After": value})
    assert seconds is None or seconds >= 0


def test_failures_are_explained_by_their_cause() -> None:
    refused = urllib3.exceptions.MaxRetryError(None, SECRET, OSError(111, "Connection refused"))  # type: ignore[arg-type]
    assert explained(requests.ConnectionError(refused)) == "the connection failed (Connection refused)"
    assert "proxy" in explained(requests.exceptions.ProxyError(SECRET))
    assert "certificate" in explained(requests.exceptions.SSLError(SECRET))
    assert explained(requests.ConnectionError(SECRET)) == "the connection broke"
