"""Which text files are tables, how each is written, and which of its columns name clips. Pure but for `heads_of`.

Rows are read as `download` reads them, from the first bytes of each table.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.names import extension_of, level
from pipeline.core.errors import Rejected, TableError
from pipeline.snapshot.layout import Dialect
from pipeline.snapshot.members import comparable
from pipeline.snapshot.patterns import Template, with_lower_extension, without_extension
from pipeline.snapshot.tables import Cells, read_rows

HEAD_BYTES = 1 << 16
_IS_TABLE = r"(?i)(\.(csv|tsv|txt|tab|psv|lst|list|trn|trl)|(^|/)[^/.]+)$"
_IS_PROSE = r"(?i)(^|/)[^/]*(readme|licen[cs]e|changelog|requirements|copying)[^/]*$"
_MOST_TABLES = 40
_SEPARATORS = ("\t", "|", ";", ",", " ")
_FIT = 0.9  # of the lines have the number of cells of a table
_JOINS = 0.5  # of the rows find a clip
_LINES = 400  # that tell how a table is written


@dataclass(frozen=True)
class Head:
    """The beginning of a table.

    Attributes
    ----------
    is_whole
        Whether that is all of it.
    rows
        Estimated from its size.
    """

    path: str
    data: bytes
    dialect: Dialect
    columns: Cells
    rows: int
    is_whole: bool

    @property
    def shown(self) -> str:
        """How it is written, for a person."""
        names = {",": "commas", "\t": "tabs", " ": "blanks"}
        header = "without a header" if self.dialect.header else "with a header"
        return f"{names.get(self.dialect.separator, self.dialect.separator)}, {header}"


@dataclass(frozen=True)
class ClipColumn:
    """How the rows of a table name clips: the template `clip`, by a column, and the share of rows that find one."""

    template: str
    column: str
    share: float
    folder: str  # whose clips the rows name, where names repeat in several


def heads_of(paths: Sequence[str], sizes: Sequence[int], stems: pa.Array, read: Callable[[str], bytes]) -> list[Head]:
    """Read the head of each file that may be a table: text, not beside each clip, no prose.

    Parameters
    ----------
    stems
        The names of clips, without extension.
    read
        A path → its first `HEAD_BYTES`.
    """
    array = pa.array(paths, pa.string())
    likely = pc.and_not(pc.match_substring_regex(array, _IS_TABLE), pc.match_substring_regex(array, _IS_PROSE))
    beside = pc.is_in(pc.replace_substring_regex(level(array, 0), r"\.[^.]*$", ""), stems)
    chosen = array.filter(pc.and_not(likely, beside)).to_pylist()
    by_folder = Counter(path.rpartition("/")[0] for path in chosen)
    chosen = [path for path in chosen if by_folder[path.rpartition("/")[0]] <= _MOST_TABLES]
    size_of = dict(zip(paths, sizes, strict=True))
    heads = []
    for path in sorted(chosen, key=lambda each: (each.count("/"), each))[:_MOST_TABLES]:
        try:
            head = _head(path, read(path), size_of[path], stems)
        except (TableError, Rejected):
            continue
        if head is not None:
            heads.append(head)
    return heads


def _head(path: str, data: bytes, size_bytes: int, stems: pa.Array) -> Head | None:
    is_whole = len(data) >= size_bytes
    if not is_whole:
        data = data[: data.rfind(b"\n") + 1]
    dialect = _dialect(data, stems)
    if dialect is None:
        return None
    name = path.rpartition("/")[2]
    rows = read_rows(name, data, dialect, {})
    count = len(rows.lines)
    estimated = count if is_whole else math.ceil(count * size_bytes / max(1, len(data)))
    return Head(path, data, dialect, rows.columns, estimated, is_whole) if count else None


def _dialect(data: bytes, stems: pa.Array) -> Dialect | None:
    """Tell how a table is written; None where it is none."""
    try:
        text, encoding = data.removeprefix(b"\xef\xbb\xbf").decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "latin-1"
    if "\0" in text:
        return None
    lines = [line for line in text.splitlines() if line.strip()][:_LINES]
    comment = next((mark for mark in (";", "#") if lines and lines[0].startswith(mark)), None)
    lines = [line for line in lines if not (comment and line.startswith(comment))]
    found = [(separator, *_records(lines, separator)) for separator in _SEPARATORS]
    fit = [each for each in found if each[2]]
    if not fit:
        return None
    separator, quote, records = fit[0]
    has_blanks = sum(cell != cell.strip() for record in records for cell in record) > len(records) / 2
    known: dict[str, Any] = {"separator": separator, "quote": quote, "encoding": encoding, "comment": comment}
    known["trim"] = has_blanks and separator != " "
    if not _has_header(records, stems):
        known["header"] = tuple(f"column_{number + 1}" for number in range(len(records[0])))
    return Dialect(**known)


def _records(lines: list[str], separator: str) -> tuple[str | None, list[list[str]]]:
    """Return the quote of lines that are cut at a separator, and the records, if they are a table's; else none."""
    if separator == " ":
        lines = [re.sub("[ \t]+", " ", line).strip() for line in lines]
    quoted = any(re.search(rf'(^|{re.escape(separator)})"[^"]*"({re.escape(separator)}|$)', line) for line in lines)
    is_plain = separator in ("\t", "|", " ") and not quoted
    quote = None if is_plain else '"'
    quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if is_plain else {"quotechar": '"'}
    records = [record for record in csv.reader(lines, delimiter=separator, **quoting) if record]
    widths = Counter(map(len, records))
    if not widths:
        return quote, []
    width, count = widths.most_common(1)[0]
    is_table = width > 1 and count >= _FIT * len(records) and (len(records) > 1)
    return quote, [record for record in records if len(record) == width] if is_table else []


def _has_header(records: list[list[str]], stems: pa.Array) -> bool:
    """Tell whether the first record names the columns: no number, no clip, nothing that occurs again below it."""
    first, rest = records[0], records[1:]
    if any(re.fullmatch(r"\s*[-+]?[0-9.]+\s*", cell) for cell in first) or len(set(first)) < len(first):
        return False
    if not all(cell.strip() for cell in first[1:]) or len(max(first, key=len)) > 60:
        return False
    named = pa.array([_stem(cell) for cell in first], pa.string())
    if pc.any(pc.is_in(named, stems)).as_py():
        return False
    return not any(cell == record[at] for at, cell in enumerate(first) for record in rest)


def _stem(cell: str) -> str:
    return str(without_extension(pa.array([cell.strip().rpartition("/")[2]], pa.string()))[0])


def clip_column(columns: Cells, paths: pa.StringArray) -> ClipColumn | None:
    """Return how rows name clips, by the column whose cells do so best; None where fewer than half of them do.

    Parameters
    ----------
    paths
        The clips'.
    """
    names = with_lower_extension(level(paths, 0))
    stems = without_extension(names)
    extension = extension_of(paths)
    best: ClipColumn | None = None
    columns = {name: column for name, column in columns.items() if name and not set("{}|:") & set(name)}
    for name, column in columns.items():
        cells = comparable(pc.replace_substring_regex(column.drop_null(), r"^(\.?[/\\])+", ""))
        if not len(cells):
            continue
        for template, keys, known in _spellings(name, cells, names, stems, extension):
            share = pc.sum(pc.is_in(keys, known)).as_py() / len(cells)
            if share >= _JOINS and (best is None or share > best.share + 0.01):
                best = ClipColumn(template, name, share, "")
    if best is None:
        return _made_of_columns(columns, stems, extension)
    return _in_folder(best, columns, paths)


def _spellings(
    name: str, cells: pa.StringArray, names: pa.StringArray, stems: pa.StringArray, extension: str
) -> list[tuple[str, pa.StringArray, pa.StringArray]]:
    """Return templates of a column, what each makes of its cells, and what that is compared with."""
    bare = with_lower_extension(pc.replace_substring_regex(cells, ".*/", ""))
    stem = without_extension(bare)
    spellings = [(f"{{{name}}}", bare, names)]
    if extension != ".*" or not pc.any(pc.equal(stem, bare)).as_py():
        spellings.append((f"{{{name}}}{extension}", pc.binary_join_element_wise(bare, extension, ""), names))
    spellings.append((f"{{{name}|stem}}{extension}", stem, stems))
    widths = pc.utf8_length(stems).unique()
    if len(widths) == 1 and pc.all(pc.match_substring_regex(bare, "^[0-9]+$")).as_py():
        width = widths[0].as_py()
        padded = pc.utf8_lpad(bare, width=width, padding="0")
        spellings.append((f"{{{name}|pad:{width}}}{extension}", padded, stems))
    return spellings


def _in_folder(found: ClipColumn, columns: Cells, paths: pa.StringArray) -> ClipColumn:
    """Add what is needed where names repeat: the folder that a column names, or the one whose clips rows name."""
    stems = without_extension(level(paths, 0))
    cells = columns[found.column]
    if pc.any(pc.match_substring(cells, "/")).as_py() and "|stem" not in found.template:
        return _with_folders(found, cells, paths)
    wanted = without_extension(pc.replace_substring_regex(cells, ".*/", ""))
    if "|pad" in found.template:
        wanted = pc.utf8_lpad(wanted, width=len(stems[0].as_py()), padding="0")
    named = pc.is_in(stems, wanted.drop_null())
    hits, folders = stems.filter(named), level(paths, 1).filter(named)
    if len(hits.unique()) == len(hits):
        return found
    for name, column in columns.items():
        frame = _frame(column, folders) if name != found.column else None
        if frame is not None:
            return ClipColumn(f"{frame[0]}{{{name}}}{frame[1]}/{found.template}", found.column, found.share, "")
    # Every clip lies in several folders: the shallowest that has the most of them.
    whole = pc.replace_substring_regex(paths.filter(named), "/?[^/]*$", "")
    counts = sorted(
        whole.value_counts().to_pylist(), key=lambda each: (-each["counts"], each["values"].count("/"), each["values"])
    )
    return ClipColumn(found.template, found.column, found.share, counts[0]["values"])


def _with_folders(found: ClipColumn, cells: pa.StringArray, paths: pa.StringArray) -> ClipColumn:
    """Return a template by paths if these end as the clips' do; else by their last part."""
    extension = found.template.rpartition("}")[2]
    made = comparable(pc.replace_substring_regex(cells.drop_null(), r"^(\.?[/\\])+", ""))
    [depth] = pc.mode(pc.count_substring(made, "/")).field("mode").to_pylist()
    ends = pc.extract_regex(paths, f"(?:^|/)(?P<end>(?:[^/]*/){{{depth}}}[^/]*)$").field("end")
    share = pc.mean(pc.is_in(pc.binary_join_element_wise(made, extension, ""), ends)).as_py()
    if share >= found.share - 0.01:
        return found
    stem = extension or extension_of(paths)
    return _in_folder(
        ClipColumn(f"{{{found.column}|stem}}{stem}", found.column, found.share, ""), {found.column: cells}, paths
    )


def _frame(values: pa.StringArray, names: pa.StringArray) -> tuple[str, str] | None:
    """Return the texts before and behind a column's values that make them names, such as those of folders."""
    distinct, wanted = values.drop_null().unique(), names.drop_null().unique()
    if not len(distinct) or len(distinct) > len(values) / 2 + 1 or not len(wanted):
        return None
    value = max(distinct.to_pylist(), key=len)
    for name in wanted.to_pylist():
        before, found, behind = name.partition(value)
        if found and set("{}*|") & set(before + behind) == set():
            made = pc.binary_join_element_wise(before, distinct, behind, "")
            if pc.all(pc.is_in(made, wanted)).as_py():
                return before, behind
    return None


def _made_of_columns(columns: Cells, stems: pa.StringArray, extension: str) -> ClipColumn | None:
    """Return a template over several columns whose cells stand in names of clips, with the same text between them."""
    table = pa.table(dict(columns))
    for name, column in columns.items():
        first = column.drop_null()
        if not len(first) or len(first.unique()) < len(first) or pc.min(pc.utf8_length(first)).as_py() < 4:
            continue
        row = table.slice(0, 1).to_pylist()[0]
        for stem in stems.filter(pc.match_substring(stems, first[0].as_py())).to_pylist()[:1]:
            template = _template(row, name, stem)
            share = pc.mean(pc.is_in(Template(template).fill(columns), stems)).as_py()
            if share >= _JOINS:
                return ClipColumn(f"{template}{extension}", name, share, "")
    return None


def _template(row: dict[str, str | None], key: str, stem: str) -> str:
    """Return the name of a clip with the cells of its row in braces: the key's first, then others from the longest."""
    text = stem.replace(row[key] or "", f"\0{key}\0")
    others = sorted(
        (name for name, cell in row.items() if cell and name != key), key=lambda each: -len(row[each] or "")
    )
    for name in others:
        cell = re.escape(row[name] or "")
        text = re.sub(rf"(?<![^\W_\0]){cell}(?![^\W_\0])(?=(?:[^\0]*\0[^\0]*\0)*[^\0]*$)", f"\0{name}\0", text, count=1)
    return re.sub("\0([^\0]*)\0", r"{\1}", text)
