"""Which text files are tables, and how each is written.

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

from pipeline.commands.describe.names import level, stem_of
from pipeline.core.errors import Rejected, TableError
from pipeline.snapshot.layout import Dialect
from pipeline.snapshot.tables import Cells, read_rows

HEAD_BYTES = 1 << 16
_IS_TABLE = r"(?i)(\.(csv|tsv|txt|tab|psv|lst|list|trn|trl)|(^|/)[^/.]+)$"
_IS_PROSE = r"(?i)(^|/)[^/]*(readme|licen[cs]e|changelog|requirements|copying)[^/]*$"
_MOST_TABLES = 40
_SEPARATORS = ("\t", "|", ";", ",", " ")
_FIT = 0.9  # of the lines have the number of cells of a table
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
    named = stem_of(pa.array([cell.strip() for cell in first], pa.string()))
    if pc.any(pc.is_in(stems, named)).as_py():
        return False
    return not any(cell == record[at] for at, cell in enumerate(first) for record in rest)
