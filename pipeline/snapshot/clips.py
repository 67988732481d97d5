"""The table of clips: ``data/snapshot/clips.parquet``, a row for each clip of each table of a snapshot.

Behind it, nothing knows a format, a pattern or a CSV: the declared columns carry what is declared of them
(`pipeline.core.columns`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import schema
from pipeline.core.errors import ParameterError, SnapshotError
from pipeline.core.files import require_file
from pipeline.core.schema import PIECE
from pipeline.snapshot.description import Description
from pipeline.snapshot.receipt import Receipt, damaged

PLACE = pa.schema(
    [
        ("path", pa.string()),  # as the archive has it; this and what follows is null where it has no such member
        ("size_bytes", pa.int64()),
        ("crc32", pa.int64()),
        ("method", pa.int32()),
        ("flags", pa.int32()),
        ("offset", pa.int64()),
        ("compressed_bytes", pa.int64()),
        ("seconds", pa.float64()),  # where known beforehand
    ]
)


def clips_schema(description: Description) -> pa.Schema:
    """Return the columns of ``data/snapshot/clips.parquet``; the declared ones carry what is declared of them."""
    declared = [description.declaration(name).field for name in description.declared]
    return pa.schema([("clip_id", pa.string()), ("table", pa.string()), *declared, *PLACE])


def read_clips(
    receipt: Receipt,
    tables: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    path: Path = schema.CLIP_TABLE,
) -> pa.Table:
    """Return the rows of `tables`, or of all that can be used, sorted by table.

    Raises ParameterError, which names the tables, if there is no such one, and SnapshotError if one was left out by
    `download`, which says why, or the file is not what it wrote.
    """
    unknown = [table for table in tables if table not in receipt.tables]
    if unknown:
        there = ", ".join(receipt.usable)
        problem = f"stratify.tables: this snapshot has no {', '.join(unknown)}; there are: {there}"
        raise ParameterError(str(schema.PARAMS), [problem])
    for table in tables:
        if receipt.tables[table].problem is not None:
            raise SnapshotError(f"the table {table} cannot be used: {receipt.tables[table].problem}")
    require_file(path, SnapshotError)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != receipt.clips_sha256:
        raise damaged(path)
    parquet = pq.ParquetFile(pa.BufferReader(data))
    if not tables:
        return parquet.read(columns)
    starts = np.cumsum([0, *(receipt.tables[name].rows for name in receipt.usable)]).tolist()
    wanted = [
        _read_rows(parquet, start, stop, columns)
        for name, (start, stop) in zip(receipt.usable, pairwise(starts), strict=True)
        if name in tables
    ]
    return pa.concat_tables(wanted)


def _read_rows(parquet: pq.ParquetFile, start: int, stop: int, columns: Sequence[str] | None) -> pa.Table:
    """Read the rows `start` … `stop` − 1 out of the row groups that have them."""
    sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
    ends = np.cumsum([0, *sizes]).tolist()
    groups = [group for group, (begin, end) in enumerate(pairwise(ends)) if begin < stop and end > start]
    rows = parquet.read_row_groups(groups, columns)
    return rows.slice(start - ends[groups[0]] if groups else 0, stop - start)


def are_copies(clips: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows are copies: their clip has the length and CRC-32 of that of a row with an earlier id.

    Of pieces, they have the same start and end as well. Only these are no copies: rows without a member, and those of
    a folder, which has no CRC-32.
    """
    size, crc = (pc.fill_null(clips[name], -1).to_numpy() for name in ("size_bytes", "crc32"))
    keys = [size, crc, *(clips[name].to_numpy() for name in PIECE if name in clips.column_names)]
    order = np.lexsort(keys)
    same = np.all([np.diff(key[order]) == 0 for key in keys], axis=0) & (crc[order[1:]] >= 0)
    copies = np.zeros(clips.num_rows, bool)
    for group in np.split(order, np.flatnonzero(~same) + 1) if same.any() else []:
        if len(group) > 1:
            ids = clips["clip_id"].take(pa.array(group)).to_pylist()
            copies[group] = np.arange(len(ids)) != ids.index(min(ids))
    return copies
