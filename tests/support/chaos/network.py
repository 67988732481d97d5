"""What a server, or what lies between, can answer: a wrong status; a cut, changed, delayed or longer body."""

from __future__ import annotations

import random

from tests.support.fake_kaggle import Fault

_KINDS = (
    *("status", "reset", "short", "flip", "zeros", "stall", "trickle", "html", "ignore_range", "etag", "expired"),
)
_STATUSES = (204, 301, 302, 304, 400, 401, 403, 404, 408, 410, 412, 416, 429, 451, 500, 502, 503, 504, 511)


def fault(dice: random.Random) -> Fault:
    """Draw what goes wrong with one request."""
    headers = {"Retry-After": dice.choice(["", "x", "-1", "0", "1e3"])} if dice.random() < 0.5 else {}
    return Fault(dice.choice(_KINDS), dice.choice(_STATUSES), headers, at=dice.randrange(60))


def faults(dice: random.Random, kaggle: bool) -> tuple[str, dict[str, dict[int, Fault]]]:
    """Draw what goes wrong in a run; return it in words, too."""
    if kaggle and dice.random() < 0.3:
        number = dice.choice([-1, 0, 1])
        of_api = Fault(dice.choice(["status", "stall"]), dice.choice(_STATUSES), {"Retry-After": "0"})
        return f"API: {of_api.kind} {of_api.status} at {number}", {"api_faults": {number: of_api}}
    if dice.random() < 0.25:
        always = fault(dice)
        return f"always {_named(always)}", {"always": {0: always}}
    some = {dice.randrange(40): fault(dice) for _ in range(dice.randint(1, 4))}
    return ", ".join(f"{_named(each)} at {number}" for number, each in some.items()), {"faults": some}


def _named(each: Fault) -> str:
    return f"status {each.status} {each.headers}" if each.kind == "status" else each.kind
