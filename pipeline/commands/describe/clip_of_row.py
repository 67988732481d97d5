"""How the rows of a table name clips: a template `clip`, found by what stands in the names of clips. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.fields_of_paths import extension_of, level, pieces_of, stem_of
from pipeline.commands.describe.roles import Column
from pipeline.snapshot.members import comparable
from pipeline.snapshot.patterns import Template, with_lower_extension
from pipeline.snapshot.segments import Segment, pieces
from pipeline.snapshot.tables import Cells

JOINS = 0.5  # of the rows find a clip
_LEAST = 0.2  # of the rows, of a table that lists other files as well
_AMONG = 0.8  # of the values of a column, in one place of the names of clips
_MARGIN = 0.05  # of the rows, by which a template has to be better than one that is plainer
_TIMES = {"start": "end|stop", "begin": "end", "onset": "offset|end", "from": "to", "t_min": "t_max", "tmin": "tmax"}
_UNITS: tuple[Literal["s", "clock"], ...] = ("s", "clock")
_FIT = 0.99  # of the rows have a start, and an end after it
_MOST_SECONDS = 600  # of a piece, on average; what seems to be longer is not in seconds


@dataclass(frozen=True)
class Naming:
    """How rows name clips."""

    template: str  # clip
    column: str  # the one in it that tells clips apart
    found: pa.BooleanArray  # the rows that find a clip
    near: pa.StringArray  # the paths of the clips that rows name

    @property
    def share(self) -> float:
        """Of the rows that find a clip."""
        return float(pc.mean(self.found).as_py() or 0)


def naming_of(columns: Cells, paths: pa.StringArray, stems: pa.StringArray) -> Naming | None:
    """Return how rows name clips, by the column whose cells do so best; None where nearly none do.

    `paths` are those of all clips, `stems` their names without folders and extension.
    """
    columns = _usable(columns)
    namings = [naming for name in columns for naming in _by_column(name, columns, paths, stems)]
    namings.sort(key=lambda naming: "|pad:" in naming.template)  # what stands there as it is says more
    most = max((naming.share for naming in namings), default=0)
    if most < _LEAST:
        return None
    return _in_folder(next(naming for naming in namings if naming.share >= most - _MARGIN), columns)


def naming_by_parts(columns: Cells, pattern: str, fields: Sequence[Column], paths: pa.StringArray) -> Naming | None:
    """Return how rows name clips, by a column for each field in the pattern of their names; None where they do not."""
    columns, cells = _usable(columns), {field.name: field.values for field in fields}
    template, used = "", list[str]()
    for piece in pieces_of(pattern.rpartition("/")[2]):
        if "{" in piece:
            values = Template(piece).fill(cells).unique()
            shares = {name: pc.mean(pc.is_in(columns[name].drop_null().unique(), values)).as_py() for name in columns}
            used += [name for name, share in shares.items() if name not in used and (share or 0) >= _AMONG][:1] or [""]
        template += f"{{{used[-1]}}}" if "{" in piece else piece
    if not used or "" in used:
        return None
    column = max(used, key=lambda name: len(columns[name].unique()))
    naming = Naming(template, column, _found(template, columns, paths), paths)
    return naming if naming.share >= JOINS else None


def segment_of(columns: Cells) -> Segment | None:
    """Return the columns with the start and the end of a piece; None where there are none."""
    ends = {name.lower(): name for name in columns}
    for start, (first, lasts) in product(columns, _TIMES.items()):
        for last, unit in product(lasts.split("|"), _UNITS):
            end = ends.get(re.sub(f"(?<![a-z]){first}", last, start.lower()), start)
            if end == start:
                continue
            seconds = pieces(Segment(start, end, unit), columns[start], columns[end])["seconds"]
            if seconds.null_count <= (1 - _FIT) * len(seconds) and pc.mean(seconds).as_py() <= _MOST_SECONDS:
                return Segment(start, end, unit)
    return None


def _usable(columns: Cells) -> Cells:
    return {name: column for name, column in columns.items() if name and not set("{}|:") & set(name)}


def _by_column(name: str, columns: Cells, paths: pa.StringArray, stems: pa.StringArray) -> list[Naming]:
    """Return the templates of one column, the plainest first; a few numbers, filled up with zeros, name no clips."""
    cells = columns[name].drop_null()
    near = paths.filter(pc.is_in(stems, stem_of(cells)))
    extension = extension_of(paths)
    templates = [f"{{{name}}}", f"{{{name}}}{extension}", f"{{{name}|stem}}{extension}"]
    if not len(near) and len(cells) and pc.all(pc.match_substring_regex(cells, "^[0-9]+$")).as_py():
        width = min(99, pc.max(pc.utf8_length(stems)).as_py())
        near = paths.filter(pc.is_in(stems, pc.utf8_lpad(cells, width=width, padding="0")))
        templates = [f"{{{name}|pad:{width}}}{extension}"] if len(cells.unique()) >= len(near) / 2 else []
    return [Naming(text, name, _found(text, columns, near), near) for text in templates if len(near)]


def _found(template: str, columns: Cells, near: pa.StringArray) -> pa.BooleanArray:
    """Return which rows make a path that is the end of a clip's; null where they make none."""
    made = comparable(pc.replace_substring_regex(Template(template).fill(columns), r"^(\.?[/\\])+", ""))
    made, ends = with_lower_extension(made), [with_lower_extension(near)]
    if template.endswith(".*"):
        made, ends = stem_of(made), [stem_of(near)]
    while pc.any(pc.match_substring(ends[-1], "/")).as_py():
        ends.append(pc.replace_substring_regex(ends[-1], "^[^/]*/", ""))
    return pc.if_else(made.is_valid(), pc.is_in(made, pa.concat_arrays(ends)), None)


def _in_folder(found: Naming, columns: Cells) -> Naming:
    """Add the folder that a column names, where names of clips repeat."""
    stems, first = stem_of(found.near), columns[found.column].drop_null()[0].as_py()
    if len(stems.unique()) == len(stems) or "/" in first:
        return found
    for name, column in columns.items():
        frame = _frame(column, level(found.near, 1)) if name != found.column else None
        if frame is not None:
            return replace(found, template=f"{frame[0]}{{{name}}}{frame[1]}/{found.template}")
    return found


def _frame(values: pa.StringArray, names: pa.StringArray) -> tuple[str, str] | None:
    """Return the texts before and behind a column's values that make them names of folders."""
    distinct, wanted = values.drop_null().unique(), names.drop_null().unique()
    value = max(distinct.to_pylist(), key=len, default="")
    for name in wanted.to_pylist() if value and len(distinct) < len(values) else []:
        before, found, behind = name.partition(value)
        made = pc.binary_join_element_wise(before, distinct, behind, "")
        if found and not set("{}*|") & set(before + behind) and pc.all(pc.is_in(made, wanted)).as_py():
            return before, behind
    return None
