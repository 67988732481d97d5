"""download: one typed table of a snapshot's clips, and a receipt of what was opened and counted; no clip is fetched."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.params import load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.core.terminal import amount
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import describe
from pipeline.snapshot.join import Join
from pipeline.snapshot.receipt import Receipt, remarks, write_receipt
from pipeline.snapshot.sources import open_snapshot
from pipeline.snapshot.tables import first_of_each


def run() -> str:
    """Write ``data/snapshot/``; return what to tell the user."""
    name = load_params().snapshot
    description = describe(name)
    opened = open_snapshot(description, load_runtime(), name)
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
                    files = np.unique(first_of_each(table["path"].combine_chunks()))  # of pieces, each recording once
                    size_bytes += pc.sum(table["size_bytes"].take(pa.array(files))).as_py() or 0
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
