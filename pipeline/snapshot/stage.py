"""download: one typed table of a snapshot's clips, and a receipt of what was opened and counted; no clip is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.params import load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.core.terminal import amount
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import describe
from pipeline.snapshot.join import Join
from pipeline.snapshot.receipt import Receipt, write_receipt
from pipeline.snapshot.sources import open_snapshot


def run() -> str:
    """Write ``data/snapshot/``; return what to tell the user."""
    name = load_params().snapshot
    description = describe(name)
    opened = open_snapshot(description, load_runtime())
    size_bytes = 0
    try:
        with progress("tables", None, "B") as bar, atomic.replacing_folder(schema.SNAPSHOT) as folder:

            def read(member: dict[str, Any]) -> bytes:
                data = opened.snapshot.read(Member(**member))
                bar.update(len(data))
                return data

            join = Join(opened.members, description, read)
            path = folder / schema.CLIP_TABLE.name
            with pq.ParquetWriter(path, join.schema, compression="zstd") as writer:
                for table in join.tables():
                    writer.write_table(table)
                    size_bytes += pc.sum(table["size_bytes"]).as_py() or 0
            members = join.members
            receipt = Receipt(
                snapshot=name,
                source=description.source.identity(),
                identity=opened.identity,
                members=members.clips.num_rows + members.others.num_rows,
                clips=members.clips.num_rows,
                without_row=members.without_row,
                copies=members.copies,
                clips_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                tables=join.counts,
                lookups=join.lookup_files,
            )
            write_receipt(folder / schema.RECEIPT.name, receipt)
    finally:
        opened.snapshot.close()
    tables = amount(len(receipt.usable), "table")
    clips = amount(sum(counts.rows - counts.without_member for counts in receipt.tables.values()), "clip")
    return "\n  ".join([f"{name}: {tables}, {clips}, {size_bytes / 1e6:.0f} MB of audio", *remarks(receipt)])


def remarks(receipt: Receipt) -> Iterator[str]:
    """Yield what does not fit: tables left out, rows without a clip, clips without a row, rows that cannot be read."""
    for name, counts in receipt.tables.items():
        if counts.problem is not None:
            yield f"{name} is left out. {counts.problem}"
            continue
        kinds = {
            "whose clip is not in the snapshot": counts.without_member,
            "that name no clip": counts.elsewhere,
            "that repeat an earlier one": counts.repeated,
            "that cannot be read": counts.bad,
            "whose clip is a copy of another's": counts.copies,
            **{f"with an undocumented value of {column}": rows for column, rows in counts.undocumented.items()},
        }
        yield from (f"{name}: {amount(rows, 'row')} {kind}" for kind, rows in kinds.items() if rows)
        yield from (f"  {row}" for row in counts.bad_rows)
    if receipt.without_row:
        yield f"{amount(receipt.without_row, 'clip')} of {receipt.clips:,} that no row names"
    if receipt.copies:
        yield f"{amount(receipt.copies, 'copy', 'copies')} of clips, under other paths"
