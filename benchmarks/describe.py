"""How long `describe` takes for an archive of 400,000 members whose index is there, and how much memory.

Run it as ``python -m benchmarks.describe``; the bars are 10 s and 700 MB.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np
import pyarrow as pa

from pipeline.commands.describe.command import drafted
from pipeline.core import schema
from pipeline.snapshot.archive import Member, Snapshot
from pipeline.snapshot.receipt import ArchiveIdentity
from pipeline.snapshot.sources import OpenedSnapshot

MEMBERS = 400_000
SECONDS, MEGABYTES = 10, 700


class Heads(Snapshot):
    """A snapshot whose only table is in memory."""

    def __init__(self, table: bytes) -> None:
        self._table = table

    def head(self, member: Member, size_bytes: int) -> bytes:  # noqa: ARG002
        """Return the first bytes of the table."""
        return self._table[:size_bytes]


def opened(*, with_table: bool) -> OpenedSnapshot:
    """Return an archive of clips in one folder with a table, or of clips whose names say all."""
    numbers = range(MEMBERS)
    if with_table:
        names = [f"clips/clips/sample-{number:06}.mp3" for number in numbers]
    else:
        names = [
            f"wav/id{10001 + each % 1251}/v{each // 1251 % 18}/{each:06}_{'ab'[each % 2]}_1.wav" for each in numbers
        ]
    rows = "".join(
        f"clips/sample-{number:06}.mp3,it is said that {number} is not {7 * number},{number % 9}\n"
        for number in range(2000)
    )
    sizes = [50_000 + number % 977 for number in numbers]
    if with_table:
        names, sizes = [*names, "all.csv"], [*sizes, 20_000_000]
    count = len(names)
    zeros = pa.array(np.zeros(count), pa.int32())
    crcs = pa.array(np.random.default_rng(0).integers(0, 2**32, count))
    columns = [pa.array(names), zeros, zeros, pa.array(np.arange(count)), pa.array(sizes), pa.array(sizes), crcs]
    members = pa.table(columns, schema=schema.MEMBERS)
    return OpenedSnapshot(Heads(f"file,sentence,votes\n{rows}".encode()), members, ArchiveIdentity(0, 0, ""))


def main() -> None:
    """Measure the kind that the command line names: ``table`` or ``names``."""
    kind = (sys.argv[1:] or ["table"])[0]
    there = opened(with_table=kind == "table")
    began, worked = time.perf_counter(), time.process_time()
    drafted(there, {"kind": "archive", "path": "large.zip"}, "large")
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    verdict = "met" if seconds <= SECONDS and megabytes <= MEGABYTES else "missed"
    print(
        f"{kind}: {MEMBERS:,} members in {seconds:.1f} s ({worked:.1f} s of a processor), {megabytes:.0f} MB: {verdict}"
    )


if __name__ == "__main__":
    main()
