"""A single table in a Parquet file, sealed as a shard is: the ranking, the sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.core.errors import GET_AGAIN, ShardError
from pipeline.shards.sealed import Shard, TableSeal, writing


def write_table(path: Path, table: pa.Table) -> None:
    """Write a single table, sealed."""
    with writing(path, table.schema, compression="zstd") as writer:
        writer.write(table)
        writer.seal(TableSeal())


def read_table(path: Path, expected: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table of `write_table`, or some columns of it.

    Raises
    ------
    ShardError
        It is not there, is damaged, or is not a table of the `expected` columns.
    """
    shard = Shard(path, TableSeal)
    if shard.columns.remove_metadata() != expected.remove_metadata():
        raise ShardError(f"{path}: is another table, with the columns {', '.join(shard.columns.names)}; {GET_AGAIN}")
    return shard.read_all(columns)
