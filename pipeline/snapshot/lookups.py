"""Lookups: second tables that say more of each row, such as that of its speaker or its patient."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import SnapshotError
from pipeline.core.terminal import listed
from pipeline.snapshot.layout import Lookup
from pipeline.snapshot.patterns import Template
from pipeline.snapshot.tables import BETWEEN, Cells, Rows, require_column, require_one_value


class LookupTable:
    """The rows of a lookup, by key; with the `wanted` columns beside its own, as far as it has them.

    Raises TableError, with file and line, if a column is not there, or two rows of one key differ.
    """

    def __init__(self, lookup: Lookup, tables: Sequence[Rows], wanted: set[str]) -> None:
        self._on = [Template(template) for template in lookup.on.values()]
        self._names = listed(rows.name for rows in tables)
        self._shown: tuple[str, str] | None = None  # a key of each side, while no row was found
        self._found = False
        parts = []
        for rows in tables:
            used = [require_column(rows, "on", (column,), rows.columns) for column in lookup.on]
            for name, source in lookup.columns.items():
                used.append(require_column(rows, f"columns.{name}", source.names or (name,), rows.columns))
            used += [name for name in rows.columns if name in wanted]
            parts.append(pa.table({name: rows.columns[name] for name in dict.fromkeys(used)}))
        table = pa.concat_tables(parts, promote_options="default")
        self._columns = {name: table[name].combine_chunks() for name in table.column_names}
        self._keys = pc.binary_join_element_wise(*(self._columns[column] for column in lookup.on), BETWEEN)
        require_one_value(tables, self._keys, self._columns)

    def find(self, rows: Rows, cells: Cells) -> Cells:
        """Return the lookup's columns for rows that have these `cells`; null where it has no row for one."""
        for name in (name for template in self._on for name in template.names):
            require_column(rows, "lookups: on", (name,), cells)
        keys = pc.binary_join_element_wise(*(template.fill(cells) for template in self._on), BETWEEN)
        index = pc.index_in(keys, self._keys, skip_nulls=True)
        if index.null_count < len(index):
            self._found = True
        elif keys.null_count < len(keys) and self._shown is None:
            self._shown = keys.drop_null()[0].as_py(), next(iter(self._keys.drop_null().to_pylist()), "")
        return {name: column.take(index) for name, column in self._columns.items()}

    def require_found(self) -> None:
        """Raise `SnapshotError` if no row at all found one here."""
        if not self._found and self._shown is not None:
            wanted, there = (key.replace(BETWEEN, ", ") for key in self._shown)
            raise SnapshotError(f"{self._names}: no row was found; looked for {wanted!r}, and there is {there!r}")
