"""Layouts that an archive may have: each guess of which rows there are, and how they name clips. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.draft import OWN, Layout, dialect_of, our_name
from pipeline.commands.describe.guesses import Known
from pipeline.commands.describe.names import Field, Part, Shape, extension_of, level, shapes_of, stem_of
from pipeline.commands.describe.naming import Naming, naming_of
from pipeline.commands.describe.tables import Head
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.members import first_match
from pipeline.snapshot.patterns import Pattern, Template
from pipeline.snapshot.tables import first_of_each

_FOUND = 0.8  # of the values of a column that a lookup has


@dataclass(frozen=True)
class Joined:
    """Tables of equal columns whose rows name clips in the same way."""

    heads: list[Head]
    namings: list[Naming]

    @property
    def naming(self) -> Naming:
        """That way."""
        return self.namings[0]

    @property
    def rows(self) -> float:
        """How many of their rows find a clip, estimated."""
        return sum(head.rows * naming.share for head, naming in zip(self.heads, self.namings, strict=True))

    @property
    def rows_for_a_clip(self) -> float:
        """How many rows name one clip, on average: more than one where rows are pieces of it."""
        clip = Template(self.naming.template)
        clips = pa.concat_arrays([clip.fill(head.columns) for head in self.heads]).drop_null()
        return len(clips) / max(1, len(clips.unique()))


def joined(heads: Sequence[Head], paths: pa.StringArray) -> list[Joined]:
    """Return the tables whose rows name clips, those with the most rows first."""
    stems = stem_of(paths)
    groups: dict[tuple[Any, ...], Joined] = {}
    for head in heads:
        naming = naming_of(head.columns, paths, stems)
        if naming is not None:
            group = groups.setdefault((*head.columns, naming.template, str(head.dialect)), Joined([], []))
            group.heads.append(head)
            group.namings.append(naming)
    return sorted(groups.values(), key=lambda each: (-each.rows, -len(each.heads[0].columns)))


def by_tables(group: Joined, others: Sequence[Head], paths: pa.StringArray, all_tables: Sequence[str]) -> Layout:
    """Return the layout in which each row of these tables is a clip.

    Parameters
    ----------
    others
        Tables that may be lookups.
    all_tables
        The paths of all members that are no clips.
    """
    cells = {
        name: pa.concat_arrays([head.columns[name] for head in group.heads]) for name in group.heads[0].columns if name
    }
    taken: set[str] = set()
    known = _columns("table", cells, group.heads[0], group.naming.column, taken)
    keys: dict[str, Any] = {"audio": _audio_of(group, paths)}
    keys["tables"] = _pattern_of([head.path for head in group.heads], all_tables)
    keys["dialect"] = dialect_of(group.heads[0].dialect)
    keys["clip"] = group.naming.template
    layout = Layout({key: value for key, value in keys.items() if value is not None}, known)
    return _with_lookups(layout, others, cells, taken, all_tables)


def _columns(origin: str, cells: Mapping[str, pa.StringArray], head: Head, key: str, taken: set[str]) -> list[Known]:
    """Return the columns of a table but its key; those of one without a header have no name to go by."""
    is_named = head.dialect.header is None
    return [
        Known(our_name(name, taken), name, name if is_named else "", origin, column)
        for name, column in cells.items()
        if name and name != key
    ]


def by_names(paths: pa.StringArray, others: Sequence[Head], all_tables: Sequence[str]) -> Layout:
    """Return the layout in which each clip is a row, and its path says all."""
    shapes, left_out = shapes_of(paths)
    names = _names_of_fields(shapes)
    shapes = [shape.renamed(names) for shape in shapes]
    reading = first_match([Pattern(shape.text) for shape in shapes], paths)
    cells = reading.filter(reading.matched.is_valid()).fields
    left_out = pc.and_(left_out, reading.matched.is_null())
    notes = []
    if pc.sum(left_out).as_py():
        folders = pc.replace_substring_regex(paths.filter(left_out), "/?[^/]*$", "").unique().to_pylist()
        notes.append(
            f"left out: {amount(pc.sum(left_out).as_py(), 'clip')} of other names, in {listed(folders, most=3)}"
        )
    known = []
    for field in {field.name: field for shape in reversed(shapes) for field in shape.fields}.values():
        is_folder = any(
            _names(part) == [field.name] and len(part) == 1 for shape in shapes for part in shape.parts[:-1]
        )
        in_folders = any(field.name in _names(part) for shape in shapes for part in shape.parts[:-1])
        is_last = not in_folders and any(_names(shape.parts[-1])[-1:] == [field.name] for shape in shapes)
        known.append(Known(field.name, field.name, field.before, "path", cells[field.name], is_folder, is_last))
    texts = [shape.text for shape in shapes]
    layout = Layout({"audio": texts[0] if len(texts) == 1 else texts}, known, notes=notes)
    return _with_lookups(layout, others, cells, set(names.values()), all_tables)


def by_paths(paths: pa.StringArray) -> Layout:
    """Return the layout in which the whole path of a clip tells it from others, however deep it lies."""
    depths = sorted(pc.count_substring(paths, "/").unique().to_pylist())
    folders = [[f"{{folder_{number + 1}}}" for number in range(depth)] for depth in depths]
    texts = ["/" + "/".join([*each, "{name}" + extension_of(paths)]) for each in folders]
    cells = first_match(map(Pattern, texts), paths).fields
    known = [Known(name, name, "", "path", cells[name], is_folder=True) for name in cells if name != "name"]
    return Layout({"audio": texts[0] if len(texts) == 1 else texts}, known)


def _names(part: Part) -> list[str]:
    return [token.name for token in part if isinstance(token, Field)]


def _names_of_fields(shapes: Sequence[Shape]) -> dict[str, str]:
    """Return names for fields: the word in front of one, or its place."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for shape in shapes:
        for field in shape.fields:
            if field.name not in names:
                word = "".join(each for each in field.before if each.isalpha() or each in "-_. ").strip("-_. ").lower()
                word = word if len(word) > 2 and word.isidentifier() else f"part_{len(names) + 1}"
                names[field.name] = our_name(word, taken)
    return names


def _audio_of(group: Joined, paths: pa.StringArray) -> str:
    """Return the pattern for the clips that rows name: their folder, where it has as many as there are rows."""
    near = pa.concat_arrays([naming.near for naming in group.namings])
    name = "{name}" + extension_of(paths)
    for depth, rest in ((1, name), (2, f"{{folder}}/{name}")):
        folders = level(near, depth).unique()
        is_one = len(folders) == 1 and folders.null_count == 0 and not set("{}*") & set(folders[0].as_py())
        if is_one and pc.sum(pc.equal(level(paths, depth), folders[0])).as_py() >= _FOUND * group.rows:
            return f"{folders[0]}/{rest}"
    return name if level(near, 1).null_count else f"{{folder}}/{name}"


def _pattern_of(paths: Sequence[str], all_tables: Sequence[str]) -> str | list[str]:
    """Return the pattern that matches just these members: by their names, where these are enough."""
    names = sorted({path.rpartition("/")[2] for path in paths})
    same = [path for path in all_tables if path.rpartition("/")[2] in names]
    if len(same) > len(paths):
        return [f"/{path}" for path in paths] if len(paths) > 1 else f"/{paths[0]}"
    if len(names) == 1:
        return names[0]
    before = _common(names)
    behind = _common([name[len(before) :][::-1] for name in names])[::-1]
    if set("{}*") & set(before + behind):
        return names
    pattern = f"{before}{{table}}{behind}"
    if all(len(name) > len(before) + len(behind) for name in names):
        matched = Pattern(pattern).read(pa.array(list(all_tables), pa.string())).matched
        if len(matched) - matched.null_count == len(same):
            return pattern
    return names


def _common(texts: Sequence[str]) -> str:
    """Return what all texts begin with, up to a separator."""
    shortest = min(texts, key=len)
    length = next(
        (at for at in range(len(shortest)) if len({text[at] for text in texts}) > 1), max(0, len(shortest) - 1)
    )
    while length and shortest[length - 1].isalnum():
        length -= 1
    return shortest[:length]


def _with_lookups(
    layout: Layout, heads: Sequence[Head], cells: dict[str, pa.StringArray], taken: set[str], all_tables: Sequence[str]
) -> Layout:
    """Add the tables that have a row for each value of a column."""
    lookups: dict[str, dict[str, Any]] = {}
    known = list(layout.known)
    for head in heads:
        file = head.path.rpartition("/")[2]
        found = _key_of(head, cells)
        if found is None or file in lookups:
            continue
        column, ours = found
        tables = _pattern_of([each.path for each in heads if each.path.rpartition("/")[2] == file], all_tables)
        lookup = {"tables": tables, "dialect": dialect_of(head.dialect), "on": {column: f"{{{ours}}}"}}
        lookups[file] = {key: value for key, value in lookup.items() if value is not None}
        index = pc.index_in(cells[ours], head.columns[column], skip_nulls=True)
        theirs = {name: values.take(index) for name, values in head.columns.items()}
        known = [replace(each, is_key=True) if each.source == ours and each.origin in OWN else each for each in known]
        known += _columns(str(tables), theirs, head, column, taken)
    return replace(layout, lookups=list(lookups.values()), known=known)


def _key_of(head: Head, cells: dict[str, pa.StringArray]) -> tuple[str, str] | None:
    """Return a column of a table that has each value once, and the column of rows whose values it has."""
    for column, values in head.columns.items():
        keys = values.drop_null()
        if not column or len(keys) < 2 or len(first_of_each(keys)) != len(keys.unique()) or set("{}|") & set(column):
            continue
        for name, cell in cells.items():
            distinct = cell.drop_null().unique()
            if len(distinct) > 1 and pc.mean(pc.is_in(distinct, keys)).as_py() >= _FOUND:
                return column, name
    return None
