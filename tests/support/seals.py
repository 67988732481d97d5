"""Seals for shards that a test writes."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.shards import sealed
from pipeline.shards.sealed import Seal

NUMBERS = pa.schema([("number", pa.int32())])


def seal(fingerprint: str = "of nothing") -> Seal:
    """Return the seal of a shard of a snapshot called demo."""
    return Seal(snapshot="demo", title="A demo", license="CC0-1.0", fingerprint=fingerprint)


def write_numbers(path: Path, numbers: list[int]) -> Path:
    """Write a shard of numbers, one a row group; its fingerprint is computed from them."""
    with sealed.writing(path, NUMBERS, {"title": "beside the seal"}) as writer:
        for number in numbers:
            writer.write(pa.table([pa.array([number], pa.int32())], schema=NUMBERS))
        writer.seal(seal(sealed.fingerprint(numbers)))
    return path
