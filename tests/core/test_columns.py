"""Declared columns travel in Arrow schemas, and through Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.columns import Column, apart, declared, with_role

COLUMNS = (
    Column("label", roles=("label", "text"), values=("müde", "wach"), description="what is said: = é"),
    Column("speaker", is_apart=True),
    Column("age", type="integer", unit="years", values=(1, 2)),
    Column("level", type="number", unit="dB"),
)


def test_column_comes_back_from_parquet_as_it_was_declared(tmp_path: Path) -> None:
    schema = pa.schema([("clip_id", pa.string()), *(column.field for column in COLUMNS), ("seconds", pa.float64())])
    pq.write_table(schema.empty_table(), tmp_path / "a.parquet")
    found = pq.read_schema(tmp_path / "a.parquet")
    assert declared(found) == COLUMNS
    assert [found.field(name).type for name in ("label", "age", "level")] == [pa.string(), pa.int32(), pa.float64()]
    assert with_role(found, "label") == with_role(found, "text") == "label"
    assert apart(found) == ("speaker",)


def test_column_of_a_role_that_nobody_declared_is_none() -> None:
    schema = pa.schema([pa.field("f0", pa.float32(), metadata={"unit": "Hz"})])
    assert declared(schema) == ()
    assert with_role(schema, "text") is None
