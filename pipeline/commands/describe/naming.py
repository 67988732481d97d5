"""How the rows of a table name clips: a template `clip`, found by what stands in the names of clips. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.names import extension_of, level, stem_of
from pipeline.snapshot.members import comparable
from pipeline.snapshot.patterns import Template, with_lower_extension
from pipeline.snapshot.tables import Cells

_JOINS = 0.5  # of the rows find a clip
_MARGIN = 0.05  # of the rows, by which a template has to be better than one that is plainer
_CHARACTERS = 4  # of a cell that stands in the name of one clip and by chance in no other


@dataclass(frozen=True)
class Naming:
    """How rows name clips.

    Attributes
    ----------
    template, column
        ``clip``, and the column in it that tells clips apart.
    share
        Of the rows that find a clip.
    near
        The clips that rows name.
    """

    template: str
    column: str
    share: float
    near: pa.StringArray


def naming_of(columns: Cells, paths: pa.StringArray, stems: pa.StringArray) -> Naming | None:
    """Return how rows name clips, by the column whose cells do so best; None where fewer than half of them do.

    Parameters
    ----------
    paths, stems
        Of all clips, and their names without folders and extension.
    """
    columns = {name: column for name, column in columns.items() if name and not set("{}|:") & set(name)}
    best: Naming | None = None
    for name, column in columns.items():
        found = _by_column(name, column.drop_null(), paths, stems)
        if found and found.share >= _JOINS and (best is None or found.share > best.share + 0.01):
            best = found
    return _in_folder(best, columns) if best else _by_columns(columns, paths, stems)


def _by_column(name: str, cells: pa.StringArray, paths: pa.StringArray, stems: pa.StringArray) -> Naming | None:
    """Return the plainest template of one column that finds as many clips as any."""
    near = paths.filter(pc.is_in(stems, stem_of(cells)))
    extension = extension_of(paths)
    templates = [f"{{{name}}}", f"{{{name}}}{extension}", f"{{{name}|stem}}{extension}"]
    if not len(near) and len(cells) and pc.all(pc.match_substring_regex(cells, "^[0-9]+$")).as_py():
        width = pc.max(pc.utf8_length(stems)).as_py()
        near = paths.filter(pc.is_in(stems, pc.utf8_lpad(cells, width=width, padding="0")))
        templates = [f"{{{name}|pad:{min(width, 99)}}}{extension}"]
    if not len(near):
        return None
    namings = [Naming(template, name, _share(template, {name: cells}, near), near) for template in templates]
    most = max(naming.share for naming in namings)
    return next(naming for naming in namings if naming.share >= most - _MARGIN)


def _share(template: str, columns: Cells, near: pa.StringArray) -> float:
    """Return the share of rows whose clip is there."""
    made = comparable(pc.replace_substring_regex(Template(template).fill(columns), r"^(\.?[/\\])+", ""))
    if template.endswith(".*"):
        made, near = stem_of(made), stem_of(near)
    made, ends = with_lower_extension(made), [with_lower_extension(near)]
    while not pc.all(found := pc.fill_null(pc.is_in(made, pa.concat_arrays(ends)), False)).as_py():
        shorter = pc.replace_substring_regex(ends[-1], "^[^/]*/", "")
        if shorter.equals(ends[-1]):
            break
        ends.append(shorter)
    return float(pc.mean(found).as_py() or 0)


def _in_folder(found: Naming, columns: Cells) -> Naming:
    """Add what is needed where names repeat: the folder that a column names; or keep the clips of one folder only."""
    stems, folders = stem_of(found.near), level(found.near, 1)
    if len(stems.unique()) == len(stems) or "/" in columns[found.column].drop_null()[0].as_py():
        return found
    for name, column in columns.items():
        frame = _frame(column, folders) if name != found.column else None
        if frame is not None:
            return replace(found, template=f"{frame[0]}{{{name}}}{frame[1]}/{found.template}")
    # Every clip lies in several folders: the shallowest of those that have the most.
    whole = pc.replace_substring_regex(found.near, "/?[^/]*$", "")
    counts = {each["values"]: each["counts"] for each in whole.value_counts().to_pylist()}
    folder = min(counts, key=lambda each: (-counts[each], each.count("/"), each))
    return replace(found, near=found.near.filter(pc.equal(whole, folder)))


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


def _by_columns(columns: Cells, paths: pa.StringArray, stems: pa.StringArray) -> Naming | None:
    """Return a template over several columns whose cells stand in names of clips, with the same text between them."""
    for name, column in columns.items():
        first = column.drop_null()
        if len(first) < 2 or len(first.unique()) < len(first) or pc.min(pc.utf8_length(first)).as_py() < _CHARACTERS:
            continue
        row = {each: cells[0].as_py() for each, cells in columns.items()}
        here = pc.match_substring(stems, first[0].as_py())
        for path in paths.filter(here).to_pylist()[:1]:
            extension = extension_of(paths)
            template = _template(row, name, stem_of(pa.array([path]))[0].as_py()) + extension
            share = _share(template, columns, paths)
            if share >= _JOINS:
                return Naming(template, name, share, paths)
    return None


def _template(row: dict[str, str | None], key: str, stem: str) -> str:
    """Return the name of a clip with the cells of its row in braces: the key's, then the others', the longest first."""
    cells = {name: cell for name, cell in row.items() if cell}
    pieces: list[tuple[str, str | None]] = [(stem, None)]  # text, or a cell and its column
    for name in sorted(cells, key=lambda each: (each != key, -len(cells[each]))):
        for at, (text, column) in enumerate(pieces):
            found = re.search(rf"(?<![^\W_]){re.escape(cells[name])}(?![^\W_])", text) if column is None else None
            if found:
                pieces[at : at + 1] = [(text[: found.start()], None), (found[0], name), (text[found.end() :], None)]
                break
    return "".join(text if column is None else f"{{{column}}}" for text, column in pieces)
