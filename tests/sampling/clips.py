"""Tables of clips to draw from, as `download` writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv
from hypothesis import strategies as st

from pipeline.core.columns import Column
from pipeline.snapshot.clips import PLACE

TEXT = Column("text", roles=("text",), is_apart=True)
COLUMNS = (TEXT, Column("species"), Column("site"), Column("rating", "integer"), Column("level", "number"))

values = st.none() | st.sampled_from(["wren", "tit", "?", "a, b=c", "%2C", "öst", "\N{ANGSTROM SIGN}", "日本"])
texts = st.sampled_from(["Ａ ﬁsh", "A\tFISH ", "straße", "STRASSE", "é", "e\u0301", "㎒", "", "日本"]) | st.text()


def table_of(columns: Mapping[str, Sequence[Any]], declared: Iterable[Column] = COLUMNS) -> pa.Table:
    """Return a table of clips; what is not among `columns` is made up, or missing."""
    rows = len(next(iter(columns.values())))
    made = {"clip_id": [f"t/{number:06}" for number in range(rows)], "table": ["t"] * rows} | dict(columns)
    schema = pa.schema([("clip_id", pa.string()), ("table", pa.string()), *[each.field for each in declared], *PLACE])
    return pa.table([pa.array(made.get(name, [None] * rows), schema.field(name).type) for name in schema.names], schema)


@st.composite
def clip_tables(draw: st.DrawFn) -> pa.Table:
    """Tables as they might come: Unicode everywhere, values missing everywhere, numbers that tie."""
    numbers = st.none() | st.integers(0, 2)
    row = st.tuples(st.text(max_size=6), st.none() | st.text(max_size=3), values, values, numbers, numbers)
    rows = draw(st.lists(row, min_size=1, max_size=40, unique_by=lambda one: one[0]))
    return table_of(dict(zip(["clip_id", *(each.name for each in COLUMNS)], zip(*rows, strict=True), strict=True)))


strata_columns = st.lists(st.sampled_from(["table", "species", "site", "rating"]), unique=True)
