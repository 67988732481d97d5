"""Text for a terminal: escaped control characters, lists cut short, numbers of things."""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """Return `text` as one line, with control characters escaped, so that a terminal does not obey them."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable_lines(text: str) -> str:
    """Return `text` with each of its lines `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def listed(items: Iterable[object], most: int = 8, separator: str = ", ") -> str:
    """Return the first items, at most `most`, and how many more there are: a, b, c and 5 more."""
    names = [str(item) for item in items]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def amount(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun: 1 shard, 2 shards, 3 strata."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
