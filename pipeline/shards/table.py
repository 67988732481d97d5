"""A single table in a Parquet file, sealed as a shard is: the ranking, the sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.core.columns import fields
from pipeline.core.errors import GET_AGAIN, ShardError
from pipeline.core.schema import Declared
from pipeline.shards.sealed import Shard, TableSeal, writing


def write_table(path: Path, table: pa.Table) -> None:
    """Write a single table, sealed."""
    with writing(path, table.schema, compression="zstd") as writer:
        writer.write(table)
        writer.seal(TableSeal())


def read_table(path: Path, expected: Callable[[Declared], pa.Schema], columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table of `write_table`, or some columns of it.

    `expected` returns the columns that it should have, from the declared ones among them: `schema.ranking_schema`.
    Raises ShardError if it is not there, is damaged, or has other columns.
    """
    shard = Shard(path, TableSeal)
    if shard.columns.remove_metadata() != expected(fields(shard.columns)).remove_metadata():
        raise ShardError(f"{path}: is another table, with the columns {', '.join(shard.columns.names)}; {GET_AGAIN}")
    return shard.read_all(columns)
