"""How the rows of a table name clips: a template `clip`, found by what stands in the names of clips. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.fields_of_paths import extension_of, level, stem_of
from pipeline.snapshot.members import comparable
from pipeline.snapshot.patterns import Template, with_lower_extension
from pipeline.snapshot.tables import Cells

_JOINS = 0.5  # of the rows find a clip
_MARGIN = 0.05  # of the rows, by which a template has to be better than one that is plainer


@dataclass(frozen=True)
class Naming:
    """How rows name clips."""

    template: str  # clip
    column: str  # the one in it that tells clips apart
    share: float  # of the rows that find a clip
    near: pa.StringArray  # the paths of the clips that rows name


def naming_of(columns: Cells, paths: pa.StringArray, stems: pa.StringArray) -> Naming | None:
    """Return how rows name clips, by the column whose cells do so best; None where fewer than half of them do.

    `paths` are those of all clips, `stems` their names without folders and extension.
    """
    columns = {name: column for name, column in columns.items() if name and not set("{}|:") & set(name)}
    namings = [naming for name in columns for naming in _by_column(name, columns, paths, stems)]
    most = max((naming.share for naming in namings), default=0)
    if most < _JOINS:
        return None
    return _in_folder(next(naming for naming in namings if naming.share >= most - _MARGIN), columns)


def _by_column(name: str, columns: Cells, paths: pa.StringArray, stems: pa.StringArray) -> list[Naming]:
    """Return the templates of one column, the plainest first."""
    cells = columns[name].drop_null()
    near = paths.filter(pc.is_in(stems, stem_of(cells)))
    extension = extension_of(paths)
    templates = [f"{{{name}}}", f"{{{name}}}{extension}", f"{{{name}|stem}}{extension}"]
    if not len(near) and len(cells) and pc.all(pc.match_substring_regex(cells, "^[0-9]+$")).as_py():
        width = min(99, pc.max(pc.utf8_length(stems)).as_py())
        near = paths.filter(pc.is_in(stems, pc.utf8_lpad(cells, width=width, padding="0")))
        templates = [f"{{{name}|pad:{width}}}{extension}"]
    return [Naming(text, name, _share(text, {name: cells}, near), near) for text in templates if len(near)]


def _share(template: str, columns: Cells, near: pa.StringArray) -> float:
    """Return the share of rows whose clip is there: the path that they make is the end of a clip's."""
    made = comparable(pc.replace_substring_regex(Template(template).fill(columns), r"^(\.?[/\\])+", ""))
    made, ends = with_lower_extension(made), [with_lower_extension(near)]
    if template.endswith(".*"):
        made, ends = stem_of(made), [stem_of(near)]
    while pc.any(pc.match_substring(ends[-1], "/")).as_py():
        ends.append(pc.replace_substring_regex(ends[-1], "^[^/]*/", ""))
    return float(pc.mean(pc.is_in(made, pa.concat_arrays(ends))).as_py() or 0)


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
