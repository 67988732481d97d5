"""The join of a snapshot's index, its tables and its description: one typed row for each clip of each table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import TYPES, declared
from pipeline.core.errors import SnapshotError, TableError
from pipeline.core.terminal import amount
from pipeline.snapshot.clips import PLACE, are_copies, clips_schema
from pipeline.snapshot.description import Description
from pipeline.snapshot.layout import ColumnSource, Lookup
from pipeline.snapshot.lookups import LookupTable
from pipeline.snapshot.members import Members, Read, TableFile, comparable, first_match
from pipeline.snapshot.patterns import Pattern, Reading, Template
from pipeline.snapshot.receipt import TableCounts
from pipeline.snapshot.segments import pieces
from pipeline.snapshot.tables import (
    NAMED,
    Cells,
    Rows,
    first_of_each,
    read_rows,
    require_column,
    require_one_value,
    typed,
)

NO_TABLES = "all"  # the table of clips whose paths name none, where there are no tables
_PATHS = "the clips' paths"  # in messages, in the place of a table's file name


class Join:
    """The join of a snapshot's index, `schema.MEMBERS`, with its tables, one table at a time.

    `read` returns the verified bytes of a member, a row of the index. Raises SnapshotError if a pattern matches no
    member, or a lookup cannot be used.
    """

    def __init__(self, index: pa.Table, description: Description, read: Read) -> None:
        self.schema = clips_schema(description)  # of the rows
        self.counts: dict[str, TableCounts] = {}  # by table, of those that `tables` has yielded or left out
        self.lookup_files: dict[str, str] = {}  # the SHA-256 of each file of a lookup
        self.members = Members(index, [Pattern(text) for text in description.audio], read)
        self._description = description
        self._read = read
        self._missing: str | None = None  # the first path that a row makes and no member has
        self._lookups = [(lookup.columns, self._load(lookup)) for lookup in description.lookups]

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows of each table, sorted by the tables' names; one that has a problem is left out.

        Raises SnapshotError if no table can be used, no row's clip is in the archive, a lookup has no row for any, or
        two members are one clip.
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
        for file in self.members.table_files("tables", self._description.tables, self._description.tables_file):
            if file.path not in self.lookup_files:
                files.setdefault(file.fields.get("table") or file.name.rpartition(".")[0] or file.name, []).append(file)
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
            rows = read_rows(file.name, data, self._description.dialect, {**file.fields, "table": name})
            kept, table = self._join_rows(rows, name, counts)
            counts.bad += len(kept.bad)
            counts.bad_rows = [*counts.bad_rows, *kept.bad_rows()][:NAMED]
            parts.append(replace(kept, columns={}))
            tables.append(table)
        table = pa.concat_tables(tables).combine_chunks()
        ids = table["clip_id"].combine_chunks()
        first = require_one_value(parts, ids, dict(zip(table.column_names, table.columns, strict=True)))
        is_first = first == np.arange(len(first))
        counts.repeated = int((~is_first).sum())
        return table.filter(pa.array(is_first))

    def _join_rows(self, rows: Rows, name: str, counts: TableCounts) -> tuple[Rows, pa.Table]:
        """Join the rows of one file."""
        assert self._description.clip is not None
        clip = Template(self._description.clip)
        for column in clip.names:
            require_column(rows, "clip", (column,), rows.columns)
        made = comparable(pc.replace_substring_regex(clip.fill(rows.columns), r"^(\.?[/\\])+", ""))
        rows.call_bad(made.is_null(), f"expected a value for each of {clip.text}", made)
        read = self._read_made(made)
        is_clip = read.matched.is_valid()
        elsewhere = np.flatnonzero(pc.and_(made.is_valid(), pc.invert(is_clip)))
        counts.elsewhere += len(elsewhere)
        if len(made) and len(elsewhere) == len(made):
            wanted = " or ".join(self._description.audio)
            raise rows.error(
                int(rows.lines[0]), f"no row names a clip: this one makes {made[0]}, and audio is {wanted}"
            )
        rows, made, read = rows.where(is_clip), made.filter(is_clip), read.filter(is_clip)
        index = self.members.find(made, any_extension=clip.text.endswith(".*"))
        if self._missing is None and index.null_count:
            self._missing = made.filter(index.is_null())[0].as_py()
        ids = self._ids(rows, {**read.fields, **rows.columns}, pc.replace_substring_regex(made, r"\.[^./]+$", ""))
        cells = {field: values.take(index) for field, values in self.members.reading.fields.items()}
        cells |= {field: pc.coalesce(values, cells.get(field, values)) for field, values in read.fields.items()}
        return self._typed_rows(rows, name, {**cells, **rows.columns}, ids, index)

    def _join_paths(self, mask: pa.BooleanArray, name: str, counts: TableCounts) -> pa.Table:
        """Return the rows of clips that have no tables: what their paths say."""
        reading = self.members.reading.filter(mask)
        numbers = np.flatnonzero(mask)
        rows = Rows(_PATHS, reading.fields, -1 - numbers, [])
        ids = self._ids(rows, reading.fields, pc.replace_substring_regex(reading.matched, r"\.[^./]+$", ""))
        first = first_of_each(ids)
        groups = np.full(self.members.clips.num_rows, -1)
        groups[numbers] = first
        self.members.claim(groups)
        is_first = pa.array(first == np.arange(len(first)))
        rows, ids, index = rows.where(is_first), ids.filter(is_first), pa.array(numbers, pa.int32()).filter(is_first)
        _, table = self._typed_rows(rows, name, rows.columns, ids, index)
        counts.bad, counts.bad_rows = len(rows.bad), rows.bad_rows()
        return table

    def _typed_rows(
        self, rows: Rows, name: str, cells: Cells, ids: pa.StringArray, index: pa.Array
    ) -> tuple[Rows, pa.Table]:
        """Return the rows that can be read, and their columns.

        `cells` is all that is known of each row: its columns, and the fields of paths; `index` which clip each is.
        """
        found: dict[str, tuple[ColumnSource, Cells]] = {}
        for columns, lookup in self._lookups:
            if lookup is not None:
                theirs = lookup.find(rows, cells)
                found |= {column: (source, theirs) for column, source in columns.items()}
                cells = {**theirs, **cells}
        sources = {column: (source, cells) for column, source in self._description.columns.items()} | found
        bad = pa.repeat(pa.scalar(False), len(ids))
        made: dict[str, pa.Array] = {"clip_id": ids, "table": pa.repeat(name, len(ids))}
        for column, (source, known) in sources.items():
            their = known[require_column(rows, f"columns.{column}", source.names or (column,), known)]
            try:
                made[column], unfit = typed(source, their)
            except ValueError as error:
                raise TableError(rows.name, None, f"columns.{column}: {error}") from None
            rows.call_bad(pc.and_not(unfit, bad), f"{column}: expected a value of the type {source.type}", their)
            bad = pc.or_(bad, unfit)
        if self._description.segment is None:
            made["seconds"], unfit = self._seconds(rows, cells, bad)
        else:
            of_pieces, unfit = self._pieces(rows, cells, bad)
            made |= of_pieces
            made["clip_id"] = ids = pc.binary_join_element_wise(ids, made.pop("suffix"), "@")
        rows.require_few_bad()
        place = self.members.clips.take(index)
        made |= {column: place["name" if column == "path" else column] for column in PLACE.names if column != "seconds"}
        kept = pc.invert(pc.or_(pc.or_(bad, unfit), ids.is_null()))
        table = pa.table([made[column] for column in self.schema.names], schema=self.schema)
        return rows.where(kept), table.filter(kept)

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

    def _pieces(self, rows: Rows, cells: Cells, bad: pa.BooleanArray) -> tuple[Mapping[str, pa.Array], pa.BooleanArray]:
        """Return which piece each row is, and where one is none; of rows that are not bad already."""
        wanted = self._description.segment
        assert wanted is not None
        starts, ends = (cells[require_column(rows, "segment", (name,), cells)] for name in (wanted.start, wanted.end))
        made = pieces(wanted, starts, ends)
        unfit = made["suffix"].is_null()
        unit = {"s": "in seconds", "ms": "in milliseconds", "clock": "as h:m:s or m:s"}[wanted.unit]
        got = pc.binary_join_element_wise(
            starts, ends, " and ", null_handling="replace", null_replacement="an empty cell"
        )
        rows.call_bad(pc.and_not(unfit, bad), f"segment: expected a start, and a later end, {unit}", got)
        return made, pc.or_(bad, unfit)

    def _read_made(self, made: pa.StringArray) -> Reading:
        """Read the fields of `audio`, as far as the paths that rows make have its parts."""
        if not len(made):  # no path says which parts there are
            return first_match(self.members.audio, made)
        reading = Reading(pa.nulls(len(made), pa.string()), {})
        parts = pc.fill_null(pc.add(pc.count_substring(made, "/"), 1), 0)
        for count in parts.unique().to_pylist():
            here = pc.equal(parts, count)
            if count:
                reading = reading.filled(here, first_match(self.members.audio, made.filter(here), count))
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
        rows, missing = (sum(getattr(each, name) for each in usable) for name in ("rows", "without_member"))
        if self._missing is not None and missing > rows / 2:
            nearest = self.members.nearest(self._missing, self.members.clip_paths)
            raise SnapshotError(
                f"the clips of {missing:,} of {amount(rows, 'row')} are not in the snapshot; "
                f"looked for {self._missing}, {nearest}"
            )
        for _, lookup in self._lookups:
            if lookup is not None:
                lookup.require_found()

    def _load(self, lookup: Lookup) -> LookupTable | None:
        """Read a lookup; None where one that declares no column is not there."""
        try:
            files = self.members.table_files("lookups: tables", lookup.tables, lookup.tables_file)
        except SnapshotError:
            if lookup.columns:
                raise
            return None
        tables = []
        for file in files:
            data, self.lookup_files[file.path] = file.read(self._read)
            tables.append(read_rows(file.name, data, lookup.dialect, file.fields))
            tables[-1].require_few_bad()
        description = self._description
        wanted = {name for column, source in description.columns.items() for name in source.names or (column,)}
        wanted |= set(description.seconds.names) if description.seconds else set()
        wanted |= {description.segment.start, description.segment.end} if description.segment else set()
        return LookupTable(lookup, tables, wanted)
