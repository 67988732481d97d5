"""One reader for all tables: the cells of each row as texts, and what a declared column makes of them.

A row that cannot be read is counted and named by its line. A quote that is never closed, or that swallowed whole rows,
is an error at the line where it was opened.
"""

from __future__ import annotations

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.core.columns import TYPES
from pipeline.core.errors import TableError
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.layout import ColumnSource, Dialect

_MOST_BAD = 0.01  # share of the rows; a single one is never too many
NAMED = 5  # bad rows of a table, in messages
_SHOWN = 80  # characters of a row or a cell, in messages
_NOT_CLOSED = "is never closed"
_SWALLOWED = "is closed some rows later: a row lies within one cell"
_LINE_END = re.compile(r"\r\n|\r|\n")
BETWEEN = "\x1f"  # the columns of a key

Cells = Mapping[str, pa.StringArray]


@dataclass
class Rows:
    """The rows of a table.

    Attributes
    ----------
    name
        The table's file name.
    columns
        The cells of each column, by its name in the table; null where one is empty.
    records
        The place of each row among the records of the file, counted from 1.
    text, dialect
        What is read once more for the line of a row; no text where the rows are those of no file.
    bad
        Records that cannot be read, each with what is wrong.
    """

    name: str
    columns: dict[str, pa.StringArray]
    records: npt.NDArray[np.int64]
    bad: list[tuple[int, str]]
    text: bytes
    dialect: Dialect

    def where(self, mask: pa.BooleanArray) -> Rows:
        """Return the rows of a mask; those that are called bad are counted here as well."""
        if pc.all(mask).as_py():
            return self
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return replace(self, columns=columns, records=self.records[mask.to_numpy(zero_copy_only=False)])

    def error(self, row: int, problem: str) -> TableError:
        """Return the error for a row."""
        [line] = self.lines([int(self.records[row])])
        return TableError(self.name, line, problem)

    def call_bad(self, mask: pa.BooleanArray, expected: str, cells: pa.StringArray) -> None:
        """Count the rows of a mask, one of whose `cells` is not what was expected, as ones that cannot be read."""
        rows = np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))
        self.bad += [
            (int(self.records[row]), f"{expected}, got {_shown(cells[row].as_py() or '')}") for row in rows.tolist()
        ]

    def bad_rows(self) -> list[str]:
        """Name the first rows that cannot be read: file, line and problem."""
        first = sorted(self.bad)[:NAMED]
        lines = self.lines([record for record, _ in first])
        return [str(TableError(self.name, line, problem)) for line, (_, problem) in zip(lines, first, strict=True)]

    def require_few_bad(self) -> None:
        """Raise `TableError` if more than 1 % of the rows, and more than one, cannot be read."""
        total = len({*self.records.tolist(), *(record for record, _ in self.bad)}) if self.bad else 0
        if len(self.bad) > max(1, _MOST_BAD * total):
            named = "\n  ".join(["", *self.bad_rows()])
            raise TableError(self.name, None, f"{len(self.bad)} of {total} rows cannot be read, such as{named}")

    def lines(self, records: list[int]) -> list[int | None]:
        """Return the lines in which records begin. It reads the text once more, and slowly: for messages."""
        if not records or not self.text:
            return [None] * len(records)
        lines = [line for line, _ in islice(_records(self.text, self.dialect), max(records))]
        return [lines[record - 1] for record in records]


def first_of_each(keys: pa.StringArray) -> npt.NDArray[np.int64]:
    """Return for each key the first row that has it; a row without one is the first of its own."""
    rows = pa.array(np.arange(len(keys)), pa.int32())
    first: npt.NDArray[np.int64] = (
        pc.coalesce(pc.index_in(keys, keys, skip_nulls=True), rows).to_numpy().astype(np.int64)
    )
    return first


def require_one_value(tables: Sequence[Rows], keys: pa.StringArray, columns: Cells) -> npt.NDArray[np.int64]:
    """Return the first row of each key, over tables one after the other, where all rows of a key are equal.

    Raises
    ------
    TableError
        Two rows of one key differ in one of the columns: file and line.
    """
    first = first_of_each(keys)
    again = np.flatnonzero(first != np.arange(len(first)))
    for name, column in columns.items():
        one, other = column.take(pa.array(again)), column.take(pa.array(first[again]))
        same = pc.or_(pc.fill_null(pc.equal(one, other), False), pc.and_(one.is_null(), other.is_null()))
        for at in np.flatnonzero(pc.invert(same))[:1].tolist():
            key = keys[again[at]].as_py().replace(BETWEEN, ", ")
            problem = f"{name} of {key!r} is {other[at].as_py()!r} before, and now {one[at].as_py()!r}"
            ends = np.cumsum([len(rows.records) for rows in tables]).tolist()
            table = bisect_right(ends, again[at])
            raise tables[table].error(int(again[at]) - (ends[table - 1] if table else 0), problem)
    return first


def require_column(rows: Rows, key: str, names: Sequence[str], cells: Cells) -> str:
    """Return the first of `names` that is there; or raise `TableError` with those that are."""
    for name in names:
        if name in cells:
            return name
    there = listed(filter(None, dict.fromkeys([*rows.columns, *cells])), most=40)
    raise TableError(rows.name, None, f"has no column {' or '.join(names)} ({key}); there are: {there}")


def read_rows(name: str, data: bytes, dialect: Dialect, fields: Mapping[str, str]) -> Rows:
    """Read a table.

    Parameters
    ----------
    fields
        Of its path: columns of one value, where the table has none of that name.

    Raises
    ------
    TableError
        It is empty or of another encoding, or a quote is not closed where it should be: file and line.
    """
    text = _prepared(name, data, dialect)
    _, first = next(_records(text, dialect), (1, []))
    header = list(dialect.header or first)
    if not first:
        raise TableError(name, 1, "is empty, or its first line has no end")
    bad: list[tuple[int, str]] = []
    with_line_ends: list[tuple[int, str]] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        bad.append((row.number, f"expected {len(header)} fields, got {row.actual_columns}: {_shown(row.text)}"))
        if _LINE_END.search(row.text):
            with_line_ends.append((row.number, row.text))
        return "skip"

    numbers = list(map(str, range(len(header))))  # names may stand twice
    cells = pyarrow.csv.read_csv(
        pa.BufferReader(text),
        pyarrow.csv.ReadOptions(use_threads=False, block_size=len(text), column_names=numbers),
        pyarrow.csv.ParseOptions(
            delimiter=dialect.separator,
            quote_char=dialect.quote or False,
            newlines_in_values=True,
            invalid_row_handler=skip,
        ),
        pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(numbers, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    records = np.setdiff1d(np.arange(1, 1 + cells.num_rows + len(bad)), [record for record, _ in bad])
    columns = [column.combine_chunks() for column in cells.columns]
    rows = Rows(name, {}, records, bad, text, dialect)
    if dialect.quote is not None and dialect.quote.encode() in text:
        _require_closed(rows, columns, with_line_ends)
    if dialect.header is None:
        rows.records = records[1:]
        columns = [column.slice(1) for column in columns]
    if dialect.trim:
        header = [cell.strip() for cell in header]
        trimmed = [pc.utf8_trim_whitespace(column) for column in columns]
        columns = [pc.if_else(pc.equal(column, ""), None, column) for column in trimmed]
    for cell, column in zip(header, columns, strict=True):
        rows.columns.setdefault(cell, column)  # of two of one name the first
    for field, value in fields.items():
        rows.columns.setdefault(field, pa.repeat(value, len(rows.records)))
    return rows


def typed(source: ColumnSource, cells: pa.StringArray) -> tuple[pa.Array, pa.BooleanArray]:
    """Return the values of a declared column, and where a cell is none.

    Raises
    ------
    ValueError
        A code has no value in its ``map``: which, and how often.
    """
    cells = pc.if_else(pc.is_in(cells, pa.array(source.missing, pa.string())), None, cells)
    if source.codes is not None:
        cells = _mapped(dict(source.codes), cells)
    kind = TYPES[source.type]
    if source.type == "text":
        return cells, pa.repeat(pa.scalar(False), len(cells))
    if source.type == "integer":
        fit = pc.match_substring_regex(cells, r"^[+-]?[0-9]{1,10}(\.0*)?$")
        digits = pc.replace_substring_regex(pc.if_else(fit, cells, None), r"^\+|\.0*$", "")
        values = digits.cast(pa.int64())
        fit = pc.and_kleene(fit, pc.less_equal(pc.abs(values), 2**31 - 1))
    else:
        cells = pc.if_else(pc.match_substring_regex(cells, "^(?i:nan)$"), None, cells)
        fit = pc.match_substring_regex(cells, r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$")
        values = pc.replace_substring_regex(pc.if_else(fit, cells, None), r"^\+", "").cast(kind)
        fit = pc.and_kleene(fit, pc.is_finite(values))
    return pc.if_else(fit, values, None).cast(kind), pc.fill_null(pc.invert(fit), False)


def _mapped(codes: dict[str, str | int | float | None], cells: pa.StringArray) -> pa.StringArray:
    has_else = "else" in codes
    other = codes.pop("else", None)
    index = pc.index_in(cells, pa.array(codes, pa.string()))
    unknown = pc.and_(cells.is_valid(), index.is_null())
    if not has_else and pc.any(unknown).as_py():
        counts = cells.filter(unknown).value_counts().to_pylist()
        counts.sort(key=lambda each: (-each["counts"], each["values"]))
        shown = listed(f"{_shown(each['values'])} (in {amount(each['counts'], 'row')})" for each in counts)
        raise ValueError(f"map has no value for {shown}")
    texts = pa.array([None if value is None else str(value) for value in codes.values()], pa.string())
    return pc.if_else(unknown, None if other is None else str(other), texts.take(index))


def _prepared(name: str, data: bytes, dialect: Dialect) -> bytes:
    """Return a table in UTF-8, without what its dialect passes over; each line stays the line that it was."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        text = data.decode(dialect.encoding)
    except UnicodeDecodeError as error:
        line = len(_LINE_END.findall(data[: error.start].decode("latin-1"))) + 1
        problem = (
            f"expected {dialect.encoding}, got the byte 0x{data[error.start]:02x}; dialect: encoding names another"
        )
        raise TableError(name, line, problem) from None
    if dialect.skip:
        *passed, rest = _LINE_END.split(text, dialect.skip)
        text = "\n" * len(passed) + rest
    if dialect.comment is not None:
        text = re.sub(rf"(?m)^{re.escape(dialect.comment)}[^\r\n]*", "", text)
    if dialect.separator == " ":
        text = re.sub(r"(?m)^ | (?=\r?$)", "", re.sub(r"[ \t]+", " ", text))
    return f"{text}\n".encode()  # a cell whose quote is never closed now ends with a line end


def _records(text: bytes, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a table, each with the line in which it begins, up to one that is longer than csv takes."""
    reader = csv.reader(io.StringIO(text.decode(), newline=""), **_as_csv(dialect))
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error:
        yield line, []


def _as_csv(dialect: Dialect) -> dict[str, Any]:
    quoting = {"quoting": csv.QUOTE_NONE} if dialect.quote is None else {"quotechar": dialect.quote}
    return {"delimiter": dialect.separator, **quoting}


def _require_closed(rows: Rows, columns: list[pa.StringArray], bad: list[tuple[int, str]]) -> None:
    """Raise `TableError` where a quote is never closed, or a cell has a line in it that is a row by itself.

    Parameters
    ----------
    columns
        The cells of all rows, the header's among them.
    bad
        Records with line ends that have not as many cells: of the first, pyarrow makes one of the rest of the file.
    """
    quote = re.escape(rows.dialect.quote or "")
    cell = re.compile(rf"(?:^|{re.escape(rows.dialect.separator)}){quote}((?:[^{quote}]+|{quote}{quote})*+)({quote}?)")

    def has_swallowed(text: str) -> bool:
        lines = _LINE_END.split(text)[1:-1]
        return len(columns) > 1 and any(len(row) == len(columns) for row in csv.reader(lines, **_as_csv(rows.dialect)))

    def error(record: int, line_ends: int, problem: str) -> TableError:
        return TableError(rows.name, (rows.lines([record])[0] or 1) + line_ends, f"the quote that opens here {problem}")

    for record, text in bad:
        for found in cell.finditer(text):
            if not found[2] or has_swallowed(found[1]):
                line_ends = len(_LINE_END.findall(text, 0, found.start(1)))
                raise error(record, line_ends, _SWALLOWED if found[2] else _NOT_CLOSED)
    for at, column in enumerate(columns):
        for row in np.flatnonzero(pc.match_substring_regex(column, r"[\r\n]").fill_null(False)).tolist():
            text = column[row].as_py()
            is_open = row == len(column) - 1 and text.endswith("\n") and not _ends_with_quote(rows)
            if is_open or has_swallowed(text):
                before = [each[row].as_py() or "" for each in columns[:at]]
                line_ends = sum(len(_LINE_END.findall(each)) for each in before)
                raise error(int(rows.records[row]), line_ends, _NOT_CLOSED if is_open else _SWALLOWED)


def _ends_with_quote(rows: Rows) -> bool:
    return rows.text.rstrip(b"\r\n").endswith((rows.dialect.quote or "").encode())


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
