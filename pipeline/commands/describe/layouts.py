"""Layouts that an archive may have: each guess of which rows there are, and how they name clips. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.draft import Layout, dialect_of, our_name
from pipeline.commands.describe.guesses import Known
from pipeline.commands.describe.names import Field, Part, extension_of, level, shapes_of
from pipeline.commands.describe.tables import ClipColumn, Head, clip_column
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.members import first_match
from pipeline.snapshot.patterns import Pattern, without_extension
from pipeline.snapshot.tables import first_of_each

_FOUND = 0.8  # of the values of a column that a lookup has
_COVERED = 0.2  # of the clips, by the rows of a table


@dataclass(frozen=True)
class Joined:
    """Tables of equal columns whose rows name clips in the same way."""

    heads: list[Head]
    clip: ClipColumn

    @property
    def rows(self) -> int:
        """How many of their rows find a clip, estimated."""
        return math.floor(sum(head.rows for head in self.heads) * self.clip.share)


def joined(heads: Sequence[Head], paths: pa.StringArray) -> list[Joined]:
    """Return the tables whose rows name clips, those with the most rows first."""
    groups: dict[tuple[Any, ...], Joined] = {}
    for head in heads:
        clip = clip_column(head.columns, paths)
        if clip is None:
            continue
        key = (*head.columns, clip.template, clip.folder, str(head.dialect))
        groups.setdefault(key, Joined([], clip)).heads.append(head)
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
    named = group.heads[0].dialect.header is None
    known = [
        Known(our_name(name, taken), name, name if named else "", "table", column, is_named=named)
        for name, column in cells.items()
        if name != group.clip.column
    ]
    keys: dict[str, Any] = {"audio": _audio_of(group, cells, paths)}
    keys["tables"] = _pattern_of([head.path for head in group.heads], all_tables)
    keys["dialect"] = dialect_of(group.heads[0].dialect)
    keys["clip"] = group.clip.template
    layout = Layout({key: value for key, value in keys.items() if value is not None}, known)
    return _with_lookups(layout, others, cells, taken, all_tables)


def by_names(paths: pa.StringArray, others: Sequence[Head], all_tables: Sequence[str]) -> Layout:
    """Return the layout in which each clip is a row, and its path says all."""
    shapes, left_out = shapes_of(paths)
    patterns = [Pattern(shape.text) for shape in shapes]
    left_out = pc.and_(left_out, first_match(patterns, paths).matched.is_null())
    kept = paths.filter(pc.invert(left_out))
    notes = []
    if pc.sum(left_out).as_py():
        folders = pc.replace_substring_regex(paths.filter(left_out), "/?[^/]*$", "").unique().to_pylist()
        notes.append(
            f"left out: {amount(pc.sum(left_out).as_py(), 'clip')} of other names, in {listed(folders, most=3)}"
        )
    names = _names_of_fields(shapes)
    shapes = [shape.renamed(names) for shape in shapes]
    cells = first_match([Pattern(shape.text) for shape in shapes], kept).fields
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


def _names(part: Part) -> list[str]:
    return [token.name for token in part if isinstance(token, Field)]


def _names_of_fields(shapes: Sequence[Any]) -> dict[str, str]:
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


def _audio_of(group: Joined, cells: dict[str, pa.StringArray], paths: pa.StringArray) -> str:
    """Return the pattern for the clips that rows name: their folder, what is in between, and their names."""
    stems = without_extension(level(paths, 0))
    if group.clip.folder:
        inside = paths.filter(pc.equal(pc.replace_substring_regex(paths, "/?[^/]*$", ""), group.clip.folder))
        return "/".join(filter(None, [group.clip.folder.rpartition("/")[2], "{name}" + extension_of(inside)]))
    wanted = pc.replace_substring_regex(cells[group.clip.column].drop_null(), ".*/", "")
    named = pc.is_in(stems, pc.cast(without_extension(wanted), pa.string()))
    inside = paths.filter(named) if pc.any(named).as_py() else paths
    extension = extension_of(paths)
    folders = level(inside, 1).unique()
    if folders.null_count or not len(folders):
        return "{name}" + extension
    if len(folders) == 1:
        return _plain(folders[0].as_py(), "{name}" + extension)
    above = level(inside, 2).unique()
    if not above.null_count and len(above) == 1:
        return _plain(above[0].as_py(), "{folder}/{name}" + extension)
    return "{folder}/{name}" + extension


def _plain(folder: str, rest: str) -> str:
    return rest if set("{}*") & set(folder) else f"{folder}/{rest}"


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
    lookups, known, used = list(layout.lookups), list(layout.known), set[str]()
    for head in heads:
        found = _key_of(head, cells)
        if found is None or head.path.rpartition("/")[2] in used:
            continue
        column, ours = found
        used.add(head.path.rpartition("/")[2])
        tables = _pattern_of(
            [each.path for each in heads if each.path.endswith(head.path.rpartition("/")[2])], all_tables
        )
        origin = tables if isinstance(tables, str) else tables[0]
        lookup = {"tables": origin, "dialect": dialect_of(head.dialect), "on": {column: f"{{{ours}}}"}}
        lookups.append({key: value for key, value in lookup.items() if value is not None})
        index = pc.index_in(cells[ours], head.columns[column], skip_nulls=True)
        for name, values in head.columns.items():
            if name and name != column:
                is_named = head.dialect.header is None
                theirs = values.take(index)
                known.append(
                    Known(our_name(name, taken), name, name if is_named else "", origin, theirs, is_named=is_named)
                )
        known = [
            replace(each, is_key=each.is_key or (each.source == ours and each.origin in ("path", "table")))
            for each in known
        ]
    return replace(layout, lookups=lookups, known=known)


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


def pieces(group: Joined) -> str | None:
    """Say that several rows name one clip, if so: then they are pieces of it."""
    cells = pa.concat_arrays([head.columns[group.clip.column] for head in group.heads]).drop_null()
    rows = len(cells) / max(1, len(cells.unique()))
    return f"{listed(head.path for head in group.heads)}: {rows:.1f} rows for each clip" if rows > 1.2 else None


def covers(group: Joined, clips: int) -> bool:
    """Tell whether the rows of tables name more than a few of the clips."""
    return group.rows >= _COVERED * clips
