"""Layouts that an archive may have: each guess of which rows there are, and how they name clips. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.clip_of_row import JOINS, Naming, naming_by_parts, naming_of, segment_of
from pipeline.commands.describe.fields_of_paths import endings_of, extension_of, fields_of, stem_of, templates_in
from pipeline.commands.describe.roles import Column, our_name
from pipeline.commands.describe.tables import Table, joined
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.layout import Dialect
from pipeline.snapshot.members import first_match
from pipeline.snapshot.patterns import Pattern, Template
from pipeline.snapshot.segments import Segment
from pipeline.snapshot.tables import first_of_each

_COVERED = 0.2  # of the clips, by the rows of a table
_FOUND = 0.8  # of the rows, in one folder; of the values of a column, in a lookup
_PIECES = 1.2  # rows for each clip
_REPEATED = 0.05  # of the clips of a table's head, in the heads of larger ones
_USED = 0.5  # of the keys of a lookup by numbers: those of a few are found among any numbers


@dataclass(frozen=True)
class Layout:
    """How rows and clips belong together."""

    keys: dict[str, Any]  # of a description: audio, tables, dialect, clip
    columns: list[Column]  # that it makes known
    lookups: list[dict[str, Any]] = field(default_factory=list)  # tables, dialect and on of each
    notes: list[str] = field(default_factory=list)


def layouts_of(
    tables: Sequence[Table], paths: pa.StringArray, unique: pa.StringArray, seen: list[str], why: dict[str, str]
) -> Iterator[Layout]:
    """Yield layouts, the likeliest first: rows of the tables with the most rows, pieces, names of clips, folders.

    `paths` are those of all clips, `unique` of those that are no copies; `seen` takes what is to tell of tables, and
    `why` the reason why the rows of one, by its path, are not those of a draft.
    """
    stems = stem_of(paths)
    names = cache(partial(fields_of, unique))

    def named(table: Table) -> Naming | None:
        naming = naming_of(table.columns, paths, stems)
        return naming or ((fields := names()) and naming_by_parts(table.columns, fields[0], fields[1], unique))

    alike: dict[tuple[Any, ...], list[Table]] = {}
    lookups = []
    for table in tables:
        if (naming := named(table)) is None:
            lookups.append(table)
        else:
            alike.setdefault((table.dialect, *table.columns, naming.template), []).append(table)
    apart = [_without_repeats(group, Template(key[-1]), why) for key, group in alike.items()]
    namings = [(whole, naming) for whole in map(joined, apart) if (naming := named(whole))]
    rows: list[tuple[Table, Naming, Segment | None]] = []
    for table, naming in sorted(namings, key=lambda each: -each[0].rows * each[1].share):
        found = f"clip is {naming.template}, which finds a clip for {naming.share:.0%} of the rows"
        seen.append(f"{listed(table.paths, most=2)}: {found}")
        made = Template(naming.template).fill(table.columns).filter(naming.found)
        rows_for_a_clip = len(made) / len(made.unique())
        covered = table.rows * naming.share / rows_for_a_clip / len(unique)
        reason = "other rows, or names, say more of clips"  # where the draft does without these
        if covered < (_COVERED if naming.share >= JOINS else JOINS):
            lookups.append(table)
            reason = f"{naming.share:.0%} of the rows name a clip, {covered:.0%} of the clips have a row"
        elif rows_for_a_clip <= _PIECES:
            rows.append((table, naming, None))
        elif segment := segment_of(table.columns):
            rows.append((table, naming, segment))
            seen.append(f"  {rows_for_a_clip:.1f} rows for each clip: pieces, from {segment.start} to {segment.end}")
        else:
            reason = f"{rows_for_a_clip:.1f} rows for each clip, but no start and end of pieces"
        why |= dict.fromkeys(table.paths, reason)
    for table, naming, segment in sorted(rows, key=lambda each: each[2] is not None):
        yield _by_rows(table, naming, segment, lookups, paths)
    if (found_fields := names()) is not None:
        yield _by_names(*found_fields, lookups)
    yield _by_folders(paths)
    endings = endings_of(paths)
    commonest = max(endings.value_counts().to_pylist(), key=lambda each: (each["counts"], each["values"]))
    yield _by_folders(paths.filter(pc.equal(endings, commonest["values"])))


def _without_repeats(tables: Sequence[Table], clip: Template, why: dict[str, str]) -> list[Table]:
    """Return the tables but those with clips of a larger one, as Common Voice's train.tsv has of validated.tsv."""
    kept: list[Table] = []
    named = pa.array([], pa.string())
    for table in sorted(tables, key=lambda each: -each.rows):
        clips = clip.fill(table.columns).drop_null()
        is_list = len(clips) <= _PIECES * len(clips.unique())  # of clips, not of pieces
        repeated = pc.mean(pc.is_in(clips, named)).as_py()
        if is_list and repeated > _REPEATED:
            why[table.paths[0]] = f"larger tables name {repeated:.0%} of its clips as well"
        else:
            kept.append(table)
            named = pa.concat_arrays([named, clips])
    return kept


def _by_names(pattern: str, columns: list[Column], left_out: pa.StringArray, lookups: Sequence[Table]) -> Layout:
    """Return the layout in which the names of clips say all, but for what lookups add."""
    layout = Layout({"audio": pattern}, columns)
    if len(left_out):
        layout.notes.append(f"left out: {amount(len(left_out), 'clip')} of other names, such as {left_out[0]}")
    values = {column.name: column.values for column in columns}
    texts = templates_in(pattern) if lookups else []
    return _with_lookups(layout, lookups, {text: Template(text).fill(values) for text in texts})


def _by_rows(
    table: Table, naming: Naming, segment: Segment | None, lookups: Sequence[Table], paths: pa.StringArray
) -> Layout:
    """Return the layout in which each row of a table that names a clip is the clip, or a piece of it."""
    cells = {name: values.filter(naming.found) for name, values in table.columns.items()}
    left_out = {segment.start, segment.end} if segment else {naming.column}
    columns: list[Column] = []
    _add_columns(columns, "table", cells, table, left_out)
    keys = {"audio": _audio_of(table, naming, paths), **_keys_of(table), "clip": naming.template}
    if segment:
        keys["segment"] = segment.as_dict()
    texts = {f"{{{name}}}": values for name, values in cells.items() if not set("{}|") & set(name)}
    return _with_lookups(Layout(keys, columns), lookups, texts)


def _audio_of(table: Table, naming: Naming, paths: pa.StringArray) -> str:
    """Return the pattern for the clips that rows name: where names repeat, in the folder that has one for each row."""
    name = "{name}" + extension_of(naming.near)
    if len(stem_of(naming.near).unique()) == len(naming.near):
        return name
    counts = _folders_of(naming.near).value_counts().to_pylist()
    folder = min(counts, key=lambda each: (-each["counts"], each["values"].count("/"), each["values"]))["values"]
    is_enough = pc.sum(pc.equal(_folders_of(paths), folder)).as_py() >= _FOUND * table.rows * naming.share
    return f"/{folder}{name}" if is_enough else name


def _folders_of(paths: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(paths, "[^/]*$", "")


def _by_folders(paths: pa.StringArray) -> Layout:
    """Return the layout in which the whole path of a clip tells it from others, however deep it lies."""
    depths = sorted(pc.count_substring(paths, "/").unique().to_pylist())
    name = "{name}" + extension_of(paths)
    patterns = ["/" + "/".join([*(f"{{folder_{number + 1}}}" for number in range(depth)), name]) for depth in depths]
    fields = first_match(map(Pattern, patterns), paths).fields
    columns = [Column(name, name, "", "path", fields[name], is_folder=True) for name in fields if name != "name"]
    return Layout({"audio": patterns}, columns)


def _add_columns(
    columns: list[Column], origin: str, cells: Mapping[str, pa.StringArray], table: Table, left_out: set[str]
) -> None:
    """Add the columns of a table but some; those of one without a header have no name to go by."""
    for name, values in cells.items():
        if name and name not in left_out:
            hint = "" if table.dialect.header else name
            columns.append(Column(our_name(name, columns), name, hint, origin, values))


def _keys_of(table: Table) -> dict[str, Any]:
    """Return what a description says of a table: where it is, and how it is written where that is not CSV."""
    default = Dialect().as_dict()
    dialect = {key: value for key, value in table.dialect.as_dict().items() if value != default[key]}
    return {"tables": [f"/{path}" for path in table.paths], **({"dialect": dialect} if dialect else {})}


def _with_lookups(layout: Layout, tables: Sequence[Table], cells: Mapping[str, pa.StringArray]) -> Layout:
    """Add the tables that have a row for each value of `cells`, by the template that makes these."""
    for table in tables:
        found = _key_of(table, cells)
        if found is None:
            continue
        theirs, ours = found
        keys = _keys_of(table)
        layout.lookups.append({**keys, "on": {theirs: ours}})
        for column in layout.columns:
            column.is_key |= Template(ours).names == (column.source,)
        rows = pc.index_in(cells[ours], table.columns[theirs], skip_nulls=True)
        cells_of_rows = {name: values.take(rows) for name, values in table.columns.items()}
        _add_columns(layout.columns, keys["tables"][0], cells_of_rows, table, {theirs})
    return layout


def _key_of(table: Table, cells: Mapping[str, pa.StringArray]) -> tuple[str, str] | None:
    """Return a column of a table that has each value once, and the template of rows whose values it has."""
    for column, values in table.columns.items():
        keys = values.drop_null()
        if not column or len(keys) < 2 or len(first_of_each(keys)) != len(keys.unique()) or set("{}|") & set(column):
            continue
        for name, cell in cells.items():
            distinct = cell.drop_null().unique()
            if len(distinct) < 2 or pc.mean(pc.is_in(distinct, keys)).as_py() < _FOUND:
                continue
            are_numbers = pc.all(pc.match_substring_regex(distinct, "^[0-9]+$")).as_py()
            if not are_numbers or pc.mean(pc.is_in(keys, distinct)).as_py() >= _USED:
                return column, name
    return None
