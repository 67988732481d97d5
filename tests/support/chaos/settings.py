"""Settings as nobody should write them: a key has another value, is missing or stands twice, or a byte is changed."""

from __future__ import annotations

import random
import re

from tests.support.chaos.damage import BYTES

_VALUES = (
    *("", "null", "[]", "{}", "-1", "0", "1", "2", "7", "1.5", "0.999", "1e-14", "1e300", "-1e300", ".nan", ".inf"),
    *("9" * 5000, "1_000", "0x10", "true", "yes", "~", "text", "''", "é", "'\\0'", '"\\0"', '"\\x1b[2J"', '"\\ud800"'),
    *("../..", "/", "/dev/zero", "/dev/stdin", "archive.zip/x", "x" * 5000, "2017-11-29", "1e", "0o7", "[0, 0]"),
    *("[1, 0.5]", "[0.5, 20]", "[0, 1e308]", "[1.0, 2.5]", "[a, a]", "[gender]", "[accent, text]", "[null]", "[[]]"),
    *("[1, 2, 3]", "{a: 1}", "{train: 1.0}", "{train: 0.5, dev: 0.5}", "{gender: [male]}", "{text: [null]}"),
    *("{up_votes: [1]}", "equal", "0.5", "float32", "flac", "8000", "22050", "!!python/object:os.system x", "!x y"),
    *("&a [*a]", "*b", "|\n    text", "[valid-test]", "[valid-test, nothing]", "[invalid]", "{<<: {a: 1}}", "demo"),
    *("http://user:pw@127.0.0.1:9/x.zip", "https://127.0.0.1:9/x?token=SECRETSIGNATURE", "ftp://a:b@c/d", "file:///x"),
    *("[" * 3000, "mozilla-tsv", "kaggle-v1", "directory", "archive", "kaggle", "0" * 64, "@x", "`", "%", "? x", "- -"),
)


def fuzzed(text: str, dice: random.Random) -> tuple[str, bytes]:
    """Return what was done to a YAML file, and what it is then."""
    lines = text.splitlines()
    keys = [number for number, line in enumerate(lines) if re.match(r" *[a-z_0-9]+:", line)]
    what = dice.choice(["value", "value", "value", "value", "two values", "deleted", "twice", "bytes", "extra"])
    if what in ("value", "two values"):
        said = []
        for number in dice.sample(keys, 1 if what == "value" else 2):
            key = lines[number].split(":")[0]
            value = dice.choice(_VALUES)
            lines[number] = f"{key}: {value}"
            said.append(f"{key.strip()}: {value[:40]!r}")
        return ", ".join(said), _encoded(lines)
    number = dice.choice(keys)
    if what == "deleted":
        return f"without {lines[number].strip()!r}", _encoded(lines[:number] + lines[number + 1 :])
    if what == "twice":
        return f"twice {lines[number].strip()!r}", _encoded([*lines[:number], lines[number], *lines[number:]])
    if what == "extra":
        key = dice.choice(["size", "clip", "x: y: z", "0", "é", "? [a]", "\t"])
        return f"more: {key!r}", _encoded([*lines[:number], f"{key}: {dice.choice(_VALUES)}", *lines[number:]])
    kind = dice.choice(sorted(BYTES))
    return kind, BYTES[kind](text.encode(), dice)


def _encoded(lines: list[str]) -> bytes:
    return "\n".join([*lines, ""]).encode(errors="surrogateescape")


def environment(dice: random.Random) -> dict[str, str]:
    """Return a setting of configs/runtime.yaml in the environment, as nobody should make it."""
    key = dice.choice(["WORKERS", "CONNECTIONS", "RETRIES", "TRANSFER", "READ_TIMEOUT_SECONDS"])
    value = dice.choice([each for each in _VALUES if "\0" not in each and each not in ("2", "7", "8000")])
    return {f"PIPELINE_{key}": value}
