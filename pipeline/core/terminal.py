"""Text for a terminal, which shows what stands in tables and names, and does not obey it."""

from __future__ import annotations

from collections.abc import Iterable


def printable(text: str) -> str:
    """Return `text` as one line, with control characters, such as those of escape sequences, as escapes."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def printable_lines(text: str) -> str:
    """Return `text` with its lines, each of them `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def listed(items: Iterable[object], most: int = 8, separator: str = ", ") -> str:
    """Return the first items, at most `most`, and how many more there are: a, b, c and 5 more."""
    names = [str(item) for item in items]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(names[:most]) + more


def amount(number: int, noun: str, plural: str = "") -> str:
    """Return a number of things: 1 shard, 2 shards, 3 strata."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"
