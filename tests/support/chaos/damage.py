"""What can become of a file: other bytes, or something else in its place."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from tests.support.chaos.stands import remove


def _flip(data: bytes, dice: random.Random, times: int = 1) -> bytes:
    changed = bytearray(data)
    for _ in range(times if changed else 0):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _hole(data: bytes, dice: random.Random, filling: bytes) -> bytes:
    at = dice.randrange(len(data) or 1)
    return data[:at] + filling[: len(data) - at] + data[at + len(filling) :]


def _without(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) or 1)
    return data[:at] + data[at + dice.randint(1, 3000) :]


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "a bit flips": _flip,
    "a bit flips at the end": lambda data, dice: data[:-2000] + _flip(data[-2000:], dice),
    "many bits flip": lambda data, dice: _flip(data, dice, dice.randint(2, 200)),
    "truncated": lambda data, dice: data[: dice.randrange(len(data) or 1)],
    "the first bytes are missing": lambda data, dice: data[dice.randrange(1, len(data) or 2) :],
    "empty": lambda *_: b"",
    "a hole of zeros": lambda data, dice: _hole(data, dice, bytes(dice.randint(1, 5000))),
    "a hole of garbage": lambda data, dice: _hole(data, dice, dice.randbytes(dice.randint(1, 500))),
    "a part is missing": _without,
    "garbage": lambda _, dice: dice.randbytes(dice.randint(1, 5000)),
    "longer": lambda data, dice: data + dice.randbytes(dice.randint(1, 500)),
    "twice": lambda data, _: data + data,
}
OBJECTS = ("missing", "a folder", "a pipe", "a link to nowhere", "a link to itself")


def damage(path: Path, dice: random.Random, others: list[Path]) -> str:
    """Damage a file, or put something in its place; return what was done. `others` may be put there, too."""
    if dice.random() < 0.12 and len(others) > 1:
        other = dice.choice([each for each in others if each != path])
        first, second = path.read_bytes(), other.read_bytes()
        replace(path, second)
        replace(other, first)
        return f"swapped with {other.name}"
    if dice.random() < 0.25:
        kind = dice.choice(OBJECTS)
        remove(path)
        if kind == "a folder":
            path.mkdir()
            (path / "file").write_bytes(b"in it")
        elif kind == "a pipe":
            os.mkfifo(path)
        elif kind != "missing":
            path.symlink_to("nowhere" if kind == "a link to nowhere" else path.name)
        return kind
    kind = dice.choice(sorted(BYTES))
    replace(path, BYTES[kind](path.read_bytes(), dice))
    return kind


def replace(path: Path, data: bytes) -> None:
    """Write other bytes under its name: a file that has other links keeps what it has."""
    path.unlink()
    path.write_bytes(data)
