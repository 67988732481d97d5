"""Which text files are tables, and how each is written. Rows are read as `download` reads them."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.contents import values_shown
from pipeline.commands.describe.fields_of_paths import stem_of
from pipeline.core.errors import TableError
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.layout import Dialect
from pipeline.snapshot.tables import Cells, read_rows

_IS_TABLE = re.compile(r"(?i).*\.(csv|tsv|txt|tab|psv|lst|list|trn|trl)|(.*/)?[^/.]+")
_IS_PROSE = re.compile(r"(?i)(.*/)?[^/]*(readme|licen[cs]e|changelog|requirements|copying)[^/]*")
_MOST_TABLES = 40
_SEPARATORS = {"\t": "tabs", "|": "|", ";": ";", ",": "commas", " ": "blanks"}
_FIT = 0.9  # of the lines have the number of cells of a table
_LINES = 400  # that tell how a table is written
_LONGEST_NAME = 60  # characters of a column's name
_MOST_VALUES = 12  # that are named
_CELL = 40  # characters
_LINE = 110  # characters


@dataclass(frozen=True)
class Table:
    """Files of equal columns."""

    paths: list[str]
    dialect: Dialect
    columns: Cells  # of the heads of the files, one after the other
    rows: int  # of all of the files, estimated from their sizes

    def lines(self) -> Iterator[str]:
        """Yield how it is written, its first rows, and the values of columns of few, for a person."""
        header = "without a header" if self.dialect.header else "with a header"
        how = f"{_SEPARATORS[self.dialect.separator]}, {header}"
        yield f"{listed(self.paths, most=2)}: about {amount(self.rows, 'row')}, {how}"
        for cells in list(zip(*self.columns.values(), strict=True))[:3]:
            line = " | ".join(_shown(cell.as_py() or "") for cell in cells)
            yield f"  {line if len(line) <= _LINE else f'{line[:_LINE]}…'}"
        for name, column in self.columns.items():
            distinct = sorted(column.drop_null().unique().to_pylist())
            if 1 < len(distinct) <= _MOST_VALUES and len(distinct) < len(column) / 2:
                yield f"  {name}: {values_shown([_shown(each) for each in distinct])}"


def likely_tables(paths: Sequence[str]) -> list[str]:
    """Return the paths of files that may be tables: text, no prose, and not one of many in a folder."""
    likely = [path for path in paths if _IS_TABLE.fullmatch(path) and not _IS_PROSE.fullmatch(path)]
    in_folder = Counter(path.rpartition("/")[0] for path in likely)
    few = [path for path in likely if in_folder[path.rpartition("/")[0]] <= _MOST_TABLES]
    return sorted(few, key=lambda each: (each.count("/"), each))[:_MOST_TABLES]


def tables_of(
    heads: Mapping[str, bytes], sizes: Mapping[str, int], stems: pa.StringArray, seen: list[str]
) -> list[Table]:
    """Return the tables among files, by their first lines, their sizes in bytes, and the names of clips.

    `seen` takes which files are called like tables, and cannot be read.
    """
    tables = []
    for at, (path, head) in enumerate(heads.items()):
        if head in list(heads.values())[:at]:  # equal files count once
            continue
        dialect = _dialect(head, stems)
        if dialect is None:
            if path.lower().endswith((".csv", ".tsv")):
                seen.append(f"{path}: no table: no separator cuts its first lines alike")
            continue
        try:
            rows = read_rows(path, head, dialect, {})
        except TableError as error:
            seen.append(f"no table: {error}")
            continue
        if len(rows.lines):
            count = math.ceil(len(rows.lines) * sizes[path] / len(head))
            tables.append(Table([path], dialect, rows.columns, count))
    return tables


def joined(tables: Sequence[Table]) -> Table:
    """Return tables of equal columns as one."""
    names = tables[0].columns
    columns = {name: pa.concat_arrays([table.columns[name] for table in tables]) for name in names}
    paths = [path for table in tables for path in table.paths]
    return Table(paths, tables[0].dialect, columns, sum(table.rows for table in tables))


def _shown(cell: str) -> str:
    return " ".join(cell[: 2 * _CELL].split())[:_CELL]


def _dialect(data: bytes, stems: pa.StringArray) -> Dialect | None:
    """Tell how a table is written: by the first separator that cuts its lines alike. None where there is none."""
    try:
        text, encoding = data.removeprefix(b"\xef\xbb\xbf").decode(), "utf-8"
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "latin-1"
    comment = text[:1] if text[:1] in (";", "#") else None
    lines = [line for line in text.splitlines() if line.strip() and not (comment and line.startswith(comment))]
    for separator in _SEPARATORS if "\0" not in text else ():
        is_quoted = separator in ",;" or text.startswith('"')
        quoting: dict[str, Any] = {} if is_quoted else {"quoting": csv.QUOTE_NONE}
        cut = [re.sub("[ \t]+", " ", line).strip() for line in lines[:_LINES]] if separator == " " else lines[:_LINES]
        records = list(csv.reader(cut, delimiter=separator, **quoting))
        width, count = Counter(map(len, records)).most_common(1)[0] if records else (0, 0)
        if width < 2 or count < max(2, _FIT * len(records)):
            continue
        records = [record for record in records if len(record) == width]
        return Dialect(
            separator=separator,
            quote='"' if is_quoted else None,
            header=None if _has_header(records, stems) else tuple(f"column_{number + 1}" for number in range(width)),
            encoding=encoding,
            comment=comment,
            trim=sum(cell != cell.strip() for record in records for cell in record) > len(records) / 2,
        )
    return None


def _has_header(records: list[list[str]], stems: pa.StringArray) -> bool:
    """Tell whether the first record names the columns: no number, no clip, nothing that occurs again below it."""
    first = [cell.strip() for cell in records[0]]
    while first and not first[-1]:  # spreadsheets leave empty columns at the end
        first.pop()
    if not all(first[1:]) or len(set(first)) < len(first) or len(max(first, key=len)) > _LONGEST_NAME:
        return False
    if any(re.fullmatch(r"[-+]?[0-9.]+", cell) for cell in first):
        return False
    if pc.any(pc.is_in(stems, stem_of(pa.array(first)))).as_py():
        return False
    return not any(cell == record[at] for record in records[1:] for at, cell in enumerate(first))
