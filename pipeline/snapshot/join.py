"""The join of a snapshot's index, its tables and its description: one typed row for each clip of each table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import TYPES, declared
from pipeline.core.errors import SnapshotError, TableError
from pipeline.core.terminal import amount
from pipeline.snapshot.clips import PLACE, are_copies, clips_schema
from pipeline.snapshot.description import Description
from pipeline.snapshot.layout import ColumnSource, Dialect, Lookup
from pipeline.snapshot.lookups import Cells, LookupTable, require_column
from pipeline.snapshot.members import Members, Read, comparable
from pipeline.snapshot.patterns import Pattern, Reading, Template
from pipeline.snapshot.receipt import TableCounts
from pipeline.snapshot.table_files import TableFile, find_files
from pipeline.snapshot.tables import NAMED, Rows, error_at, read_rows, typed

NO_TABLES = "all"  # the table of clips whose paths name none, where there are no tables
_PATHS = "the clips' paths"  # in messages, in the place of a table's file name


class Join:
    """The join of a snapshot's index with its tables, one table at a time.

    Parameters
    ----------
    index
        Its members (`schema.MEMBERS`).
    description
        How it is laid out.
    read
        Returns the verified bytes of a member, a row of `index`.

    Attributes
    ----------
    schema
        Of the rows: `clips_schema`.
    counts
        What was counted, by table, of those that `tables` has yielded or left out.
    lookup_files
        The SHA-256 of each file of a lookup.
    members
        The members, and what was counted of them.

    Raises
    ------
    SnapshotError
        A pattern matches no member, or a lookup cannot be used.
    """

    def __init__(self, index: pa.Table, description: Description, read: Read) -> None:
        self.schema = clips_schema(description)
        self.counts: dict[str, TableCounts] = {}
        self.lookup_files: dict[str, str] = {}
        self._description = description
        self._read = read
        self.members = Members(index, [Pattern(text) for text in description.audio], read)
        self._missing: str | None = None  # the first path that a row makes and no member has
        self._lookups = [(lookup.columns, self._load(lookup)) for lookup in description.lookups]
        pa.default_memory_pool().release_unused()

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of each table, sorted by the tables' names; one that has a problem is left out.

        Raises
        ------
        SnapshotError
            No table can be used, no row's clip is in the archive, a lookup has no row for any, or two members are one
            clip.
        """
        joins = self._tables_of_files() if self._description.has_tables else self._tables_of_paths()
        for name, join in sorted(joins.items()):
            counts = self.counts[name] = TableCounts()
            try:
                table = join(name, counts)
            except TableError as error:
                counts.problem = str(error)
                continue
            self._count(table, counts)
            yield table
            pa.default_memory_pool().release_unused()  # a hundred megabytes where clips are hundreds of thousands
        self._require_found()

    def _tables_of_files(self) -> dict[str, Callable[[str, TableCounts], pa.Table]]:
        files: dict[str, list[TableFile]] = {}
        for file in find_files(self.members, "tables", self._description.tables, self._description.tables_file):
            if file.path not in self.lookup_files:
                files.setdefault(file.fields.get("table") or PurePosixPath(file.path).stem, []).append(file)
        return {name: partial(self._join_files, parts) for name, parts in files.items()}

    def _tables_of_paths(self) -> dict[str, Callable[[str, TableCounts], pa.Table]]:
        nothing = pa.nulls(self.members.clips.num_rows, pa.string())
        names = pc.fill_null(self.members.reading.fields.get("table", nothing), NO_TABLES)
        return {name: partial(self._join_paths, pc.equal(names, name)) for name in names.unique().to_pylist()}

    def _join_files(self, files: list[TableFile], name: str, counts: TableCounts) -> pa.Table:
        """Join the files of one table; equal files count once."""
        parts: list[Rows] = []
        tables: list[pa.Table] = []
        for file in files:
            data, digest = file.read(self._read)
            is_copy = digest in counts.files.values()
            counts.files[file.path] = digest
            if is_copy:
                continue
            rows = read_rows(file.name, data, self._description.dialect)
            kept, table = self._join_rows(rows, {"table": name, **file.fields}, counts)
            counts.bad += len(kept.bad)
            counts.bad_rows = [*counts.bad_rows, *kept.bad_rows()][:NAMED]
            parts.append(replace(kept, columns={}))
            tables.append(table)
        table = pa.concat_tables(tables).combine_chunks()
        first = _first_of_each(table["clip_id"])
        again = np.flatnonzero(first != np.arange(len(first)))
        if len(again):
            rest, before = table.take(pa.array(again)), table.take(pa.array(first[again]))
            for column in table.column_names:
                differs = np.flatnonzero(~_same(rest[column], before[column]))
                if len(differs):
                    clip_id = rest["clip_id"][differs[0]].as_py()
                    problem = f"{clip_id!r} is there before, with another {column}"
                    raise error_at(parts, int(again[differs[0]]), problem)
            counts.repeated = len(again)
            table = table.filter(pa.array(first == np.arange(len(first))))
        return table.select(self.schema.names)

    def _join_rows(self, rows: Rows, fields: dict[str, str], counts: TableCounts) -> tuple[Rows, pa.Table]:
        """Join the rows of one file; `fields` are those of its path."""
        assert self._description.clip is not None
        clip = Template(self._description.clip)
        any_extension = clip.text.endswith(".*")
        count = len(rows.records)
        given = {name: pa.repeat(pa.scalar(value), count) for name, value in fields.items()}
        for name in clip.names:
            require_column(rows, "clip", (name,), given | rows.columns)
        made = comparable(pc.replace_substring_regex(clip.fill(given | rows.columns), r"^(\.?[/\\])+", ""))
        rows.call_bad(made.is_null(), f"expected a value for each of {clip.text}", made)
        read = self._read_made(made, any_extension)
        is_clip = read.matched.is_valid()
        elsewhere = np.flatnonzero(pc.and_(made.is_valid(), pc.invert(is_clip)))
        counts.elsewhere += len(elsewhere)
        if count and len(elsewhere) == count:
            wanted = " or ".join(self._description.audio)
            raise rows.error(0, f"no row names a clip: this one makes {made[0]}, and audio is {wanted}")
        rows, made, read = rows.where(is_clip), made.filter(is_clip), read.filter(is_clip)
        given = {name: values.filter(is_clip) for name, values in given.items()} | rows.columns
        index = self.members.find(made, any_extension=any_extension)
        if self._missing is None and index.null_count:
            self._missing = made.filter(index.is_null())[0].as_py()
        ids = self._ids(rows, {**read.fields, **given}, pc.replace_substring_regex(made, r"\.[^./]+$", ""))
        cells = {name: values.take(index) for name, values in self.members.reading.fields.items()}
        cells |= {name: pc.coalesce(values, cells.get(name, values)) for name, values in read.fields.items()}
        return self._typed_rows(rows, fields["table"], {**cells, **given}, ids=ids, index=index, made=made)

    def _join_paths(self, mask: pa.BooleanArray, name: str, counts: TableCounts) -> pa.Table:
        """Return the rows of clips that have no tables: what their paths say."""
        reading = self.members.reading.filter(mask)
        numbers = np.flatnonzero(mask)
        rows = Rows(_PATHS, reading.fields, numbers + 1, [], b"", Dialect())
        whole = pc.replace_substring_regex(reading.matched, r"\.[^./]+$", "")
        ids = self._ids(rows, reading.fields, whole)
        first = _first_of_each(ids)
        groups = np.full(self.members.clips.num_rows, -1)
        groups[numbers] = first
        self.members.claim(groups)
        is_first = pa.array(first == np.arange(len(first)))
        rows = rows.where(is_first)
        index = pa.array(numbers, pa.int32()).filter(is_first)
        _, table = self._typed_rows(
            rows, name, rows.columns, ids=ids.filter(is_first), index=index, made=whole.filter(is_first)
        )
        counts.bad, counts.bad_rows = len(rows.bad), rows.bad_rows()
        return table.select(self.schema.names)

    def _typed_rows(
        self, rows: Rows, name: str, cells: Cells, *, ids: pa.StringArray, index: pa.Array, made: pa.StringArray
    ) -> tuple[Rows, pa.Table]:
        """Return the rows that can be read, and their columns.

        Parameters
        ----------
        cells
            All that is known of each row: its columns, and the fields of paths.
        index
            Which clip of the members each is.
        made
            The path that each makes.
        """
        found: dict[str, tuple[ColumnSource, Cells]] = {}
        for columns, lookup in self._lookups:
            if lookup is not None:
                theirs = lookup.find(rows, cells)
                found |= {column: (source, theirs) for column, source in columns.items()}
                cells = {**theirs, **cells}
        sources = {column: (source, cells) for column, source in self._description.columns.items()} | found
        bad = pa.repeat(pa.scalar(False), len(ids))
        columns_made: dict[str, pa.Array] = {"clip_id": ids, "table": pa.repeat(pa.scalar(name), len(ids))}
        for column, (source, known) in sources.items():
            their = known[require_column(rows, f"columns.{column}", source.names or (column,), known)]
            try:
                columns_made[column], unfit = typed(source, their)
            except ValueError as error:
                raise TableError(rows.name, None, f"columns.{column}: {error}") from None
            rows.call_bad(pc.and_not(unfit, bad), f"{column}: expected a value of the type {source.type}", their)
            bad = pc.or_(bad, unfit)
        seconds, unfit = self._seconds(rows, cells, bad)
        bad = pc.or_(pc.or_(bad, unfit), ids.is_null())
        place = self.members.clips.take(index)
        columns_made |= {column: place["name" if column == "path" else column] for column in PLACE.names[:-1]}
        table = pa.table([columns_made[each] for each in self.schema.names[:-1]] + [seconds], schema=self.schema)
        kept = pc.invert(bad)
        rows.require_few_bad()
        table = table.append_column("made", made)
        return rows.where(kept), table if pc.all(kept).as_py() else table.filter(kept)

    def _ids(self, rows: Rows, cells: Cells, paths: pa.StringArray) -> pa.StringArray:
        """Return the clips' ids: what `id` makes, else their paths without extension."""
        if self._description.id is None:
            return paths
        template = Template(self._description.id)
        for name in template.names:
            require_column(rows, "id", (name,), cells)
        ids = template.fill(cells)
        rows.call_bad(ids.is_null(), f"expected a value for each of {template.text}", ids)
        return ids

    def _seconds(self, rows: Rows, cells: Cells, bad: pa.BooleanArray) -> tuple[pa.Array, pa.BooleanArray]:
        """Return durations, null where they are not known, and where one is none; of rows that are not bad already."""
        wanted = self._description.seconds
        is_absent = any(lookup is None for _, lookup in self._lookups)
        if wanted is None or (is_absent and not set(wanted.names) & set(cells)):
            return pa.nulls(len(bad), pa.float64()), bad
        name = require_column(rows, "seconds", wanted.names, cells)
        values, unfit = typed(ColumnSource(type="number"), cells[name])
        unfit = pc.or_(unfit, pc.fill_null(pc.less(values, 0), False))
        rows.call_bad(pc.and_not(unfit, bad), "seconds: expected a duration", cells[name])
        return pc.divide(values, {"s": 1.0, "ms": 1000.0}[wanted.unit]), unfit

    def _read_made(self, made: pa.StringArray, any_extension: bool) -> Reading:
        """Read the fields of `audio`, as far as the paths that rows make have its parts."""
        reading = Reading(pa.nulls(len(made), pa.string()), {})
        parts = pc.add(pc.count_substring(made, "/"), 1)
        for count in parts.drop_null().unique().to_pylist():
            for pattern in self.members.audio:
                left = pc.and_(pc.fill_null(pc.equal(parts, count), False), reading.matched.is_null())
                paths = made.filter(left)
                if any_extension:
                    paths = pc.replace_substring_regex(paths, r"\.\*$", pattern.extension)
                reading = reading.filled(left, pattern.read(paths, min(count, pattern.parts)))
        return reading

    def _count(self, table: pa.Table, counts: TableCounts) -> None:
        counts.rows = table.num_rows
        counts.without_member = table["path"].null_count
        counts.copies = int(are_copies(table).sum())
        for column in declared(table.schema):
            known = pc.is_in(table[column.name], pa.array(column.values, TYPES[column.type]))
            others = pc.sum(pc.and_(table[column.name].is_valid(), pc.invert(known))).as_py() if column.values else 0
            if others:
                counts.undocumented[column.name] = others

    def _require_found(self) -> None:
        usable = [counts for counts in self.counts.values() if counts.problem is None]
        if not usable:
            problems = "\n  ".join(["", *(str(counts.problem) for counts in self.counts.values())])
            raise SnapshotError(f"no table of the snapshot can be used:{problems}")
        if self._missing is not None and all(counts.rows == counts.without_member for counts in usable):
            rows = amount(sum(counts.rows for counts in usable), "row")
            nearest = self.members.nearest(self._missing, self.members.clip_paths)
            raise SnapshotError(f"no clip of {rows} is in the snapshot; looked for {self._missing}, {nearest}")
        for _, lookup in self._lookups:
            if lookup is not None:
                lookup.require_found()

    def _load(self, lookup: Lookup) -> LookupTable | None:
        """Read a lookup; None where one that declares no column is not there."""
        try:
            files = find_files(self.members, "lookups: tables", lookup.tables, lookup.tables_file)
        except SnapshotError:
            if lookup.columns:
                raise
            return None
        tables = []
        for file in files:
            data, self.lookup_files[file.path] = file.read(self._read)
            rows = read_rows(file.name, data, lookup.dialect)
            rows.require_few_bad()
            given = {name: pa.repeat(pa.scalar(value), len(rows.records)) for name, value in file.fields.items()}
            tables.append(replace(rows, columns=given | rows.columns))
        description = self._description
        wanted = {name for column, source in description.columns.items() for name in source.names or (column,)}
        wanted |= set(description.seconds.names) if description.seconds else set()
        return LookupTable(lookup, tables, wanted)


def _first_of_each(ids: pa.ChunkedArray | pa.StringArray) -> npt.NDArray[np.int64]:
    """Return for each id the first row that has it; a row without one is the first of its own."""
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    rows = pa.array(np.arange(len(ids)), pa.int32())
    first: npt.NDArray[np.int64] = pc.coalesce(pc.index_in(ids, ids, skip_nulls=True), rows).to_numpy().astype(np.int64)
    return first


def _same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    both_null = pc.and_(one.is_null(), other.is_null())
    same: npt.NDArray[np.bool_] = pc.or_(pc.fill_null(pc.equal(one, other), False), both_null).to_numpy()
    return same
