"""What a server, or what lies between it and here, can answer."""

from __future__ import annotations

import random

from tests.support.fake_kaggle import Fault

_KINDS = (
    *("status", "reset", "short", "flip", "stall", "html", "ignore_range", "etag", "no_length", "zeros", "trickle"),
    *("endless", "no_content_range", "raw", "expired"),
)
_HEADERS = (
    "Content-Range",
    "Content-Length",
    "Content-Encoding",
    "Transfer-Encoding",
    "Location",
    "Retry-After",
    "ETag",
)
_ODD = (
    *("", "x", "-1", "0", "1e3", "9" * 30, "9" * 5000, "bytes", "bytes 0-", "bytes 5-2/9", "bytes 0-99/*", "bytes */0"),
    *("gzip", "chunked", "chunked, gzip", "\x80\xff", "http://[", "http://127.0.0.1:99999/", "ftp://a/", "//", "%zz"),
    *("Wed, 99 Foo 2017", "Wed, 29 Nov 2999 00:00:00 GMT", "a" * 70_000, "none, none", "\x1b[2J", "file:///etc/hosts"),
)
_STATUSES: tuple[int, ...] = (
    *(100, 199, 204, 206, 299, 300, 301, 302, 304, 307, 400, 401, 403, 404, 408, 410, 412, 416, 418, 429, 451),
    *(500, 502, 503, 504, 511, 599, 600, 999),
)


def fault(dice: random.Random) -> Fault:
    """Draw what goes wrong with one request."""
    kind = dice.choice(_KINDS)
    headers = {dice.choice(_HEADERS[4:]): dice.choice(_ODD[:-1]).encode("latin-1", "replace").decode("latin-1")}
    raw = b""
    if kind == "raw" or (kind == "trickle" and dice.random() < 0.5):
        raw = _raw(dice)
    odd = dice.random() < 0.5 and "\x1b" not in next(iter(headers.values()))
    return Fault(kind, dice.choice(_STATUSES[3:]), headers if odd else {}, at=dice.randrange(60), raw=raw)


def _raw(dice: random.Random) -> bytes:
    status = dice.choice(_STATUSES)
    line = dice.choice(
        [f"HTTP/1.1 {status} \x1b[31mOK SECRETSIGNATURE", f"HTTP/9.9 {status} x", "HTTP/1.1 x y", "", "\0"]
    )
    headers = "".join(f"{name}: {dice.choice(_ODD)}\r\n" for name in dice.choices(_HEADERS, k=dice.randint(0, 4)))
    body = dice.randbytes(dice.randint(0, 500))
    answer = f"{line}\r\n{headers}\r\n".encode("latin-1", "replace") + body
    return answer[: dice.randrange(len(answer))] if dice.random() < 0.2 else answer


def faults(dice: random.Random, kaggle: bool) -> tuple[str, dict[str, dict[int, Fault]]]:
    """Draw what goes wrong in a run; return it in words, too."""
    if kaggle and dice.random() < 0.3:
        number = dice.choice([-1, 0, 1])
        of_api = Fault(
            dice.choice(["status", "stall"]), dice.choice(_STATUSES[3:]), {"Retry-After": dice.choice(_ODD[:3])}
        )
        return f"API: {of_api.kind} {of_api.status} at {number}", {"api_faults": {number: of_api}}
    if dice.random() < 0.25:
        always = fault(dice)
        return f"always {_named(always)}", {"always": {0: always}}
    some = {dice.randrange(40): fault(dice) for _ in range(dice.randint(1, 4))}
    return ", ".join(f"{_named(each)} at {number}" for number, each in some.items()), {"faults": some}


def _named(each: Fault) -> str:
    return {"status": f"status {each.status} {each.headers}", "raw": f"raw {each.raw[:200]!r}"}.get(
        each.kind, each.kind
    )
