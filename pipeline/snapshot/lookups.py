"""Lookups: second tables that say more of each row, such as that of its speaker or its patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import SnapshotError, TableError
from pipeline.core.terminal import listed
from pipeline.snapshot.layout import Lookup
from pipeline.snapshot.patterns import Template
from pipeline.snapshot.tables import Rows, error_at

_BETWEEN = "\x1f"  # the columns of a key

Cells = Mapping[str, pa.StringArray]


class LookupTable:
    """The rows of a lookup, by key.

    Parameters
    ----------
    lookup
        What the description says of it.
    tables
        Its files.
    wanted
        Columns that are asked for beside its own, if it has them.

    Raises
    ------
    TableError
        A column is not there, or two rows of one key differ: file and line.
    """

    def __init__(self, lookup: Lookup, tables: Sequence[Rows], wanted: set[str]) -> None:
        self._on = {column: Template(template) for column, template in lookup.on.items()}
        self._names = listed(rows.name for rows in tables)
        self._shown: tuple[str, str] | None = None  # a key of each side, while no row was found
        self._found = False
        parts = []
        for rows in tables:
            for column in lookup.on:
                require_column(rows, "on", (column,), rows.columns)
            own = [
                require_column(rows, f"columns.{n}", s.names or (n,), rows.columns) for n, s in lookup.columns.items()
            ]
            used = [*own, *(name for name in rows.columns if name in wanted)]
            parts.append({name: rows.columns[name] for name in dict.fromkeys([*lookup.on, *used])})
        names = list(dict.fromkeys(name for part in parts for name in part))
        self.columns: dict[str, pa.StringArray] = {}
        for name in names:
            nothing = [pa.nulls(len(rows.records), pa.string()) for rows in tables]
            self.columns[name] = pa.concat_arrays([p.get(name, n) for p, n in zip(parts, nothing, strict=True)])
        self._keys = pc.binary_join_element_wise(*(self.columns[column] for column in self._on), _BETWEEN)
        self._require_one_value(tables)

    def find(self, rows: Rows, cells: Cells) -> dict[str, pa.StringArray]:
        """Return the lookup's columns for rows that have these `cells`; null where it has no row for one."""
        for template in self._on.values():
            for name in template.names:
                require_column(rows, "lookups: on", (name,), cells)
        keys = pc.binary_join_element_wise(*(template.fill(cells) for template in self._on.values()), _BETWEEN)
        index = pc.index_in(keys, self._keys, skip_nulls=True)
        if index.null_count < len(index):
            self._found = True
        elif len(keys.drop_null()) and self._shown is None:
            self._shown = keys.drop_null()[0].as_py(), next(iter(self._keys.drop_null().to_pylist()), "")
        return {name: column.take(index) for name, column in self.columns.items()}

    def require_found(self) -> None:
        """Raise `SnapshotError` if no row at all found one here."""
        if not self._found and self._shown is not None:
            wanted, there = (key.replace(_BETWEEN, ", ") for key in self._shown)
            raise SnapshotError(f"{self._names}: no row was found; looked for {wanted!r}, and there is {there!r}")

    def _require_one_value(self, tables: Sequence[Rows]) -> None:
        first = pc.index_in(self._keys, self._keys, skip_nulls=True)
        again = np.flatnonzero(pc.not_equal(first, np.arange(len(first))).fill_null(False))
        if not len(again):
            return
        before = first.take(pa.array(again))
        for name, column in self.columns.items():
            one, other = column.take(pa.array(again)), column.take(before)
            same = pc.or_kleene(pc.equal(one, other), pc.and_(one.is_null(), other.is_null())).fill_null(False)
            differs = np.flatnonzero(pc.invert(same))
            if len(differs):
                row, key = int(again[differs[0]]), self._keys[again[differs[0]]].as_py()
                values = f"{other[differs[0]].as_py()!r} before, and now {one[differs[0]].as_py()!r}"
                raise error_at(tables, row, f"{name} of {key.replace(_BETWEEN, ', ')!r} is {values}")


def require_column(rows: Rows, key: str, names: Sequence[str], cells: Cells) -> str:
    """Return the first of `names` that is there; or raise `TableError` with those that are."""
    for name in names:
        if name in cells:
            return name
    there = listed(filter(None, dict.fromkeys([*rows.columns, *cells])), most=40)
    raise TableError(rows.name, None, f"has no column {' or '.join(names)} ({key}); there are: {there}")
