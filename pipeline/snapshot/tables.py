"""One reader for all tables: the cells of each row as texts, and what a declared column makes of them.

A row that cannot be read is counted and named by its line. A quote that is never closed, or that swallowed whole rows,
is an error at the line where it was opened.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

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
_ROWS = 1 << 10  # that are objects of Python at a time: with more, its garbage collector takes as long again
BETWEEN = "\x1f"  # the columns of a key

Cells = Mapping[str, pa.StringArray]


@dataclass
class Rows:
    """The rows of a table."""

    name: str  # of its file
    columns: dict[str, pa.StringArray]  # the cells of each column, null where one is empty
    lines: npt.NDArray[np.int64]  # in which each row begins, from 1; negative where the rows are those of no file
    bad: list[tuple[int, str]]  # rows that cannot be read: line, and what is wrong

    def where(self, mask: pa.BooleanArray) -> Rows:
        """Return the rows of a mask; those that are called bad later are counted here as well."""
        columns = {name: column.filter(mask) for name, column in self.columns.items()}
        return replace(self, columns=columns, lines=self.lines[mask.to_numpy(zero_copy_only=False)])

    def error(self, line: int, problem: str) -> TableError:
        """Return the error for the row in a line."""
        return TableError(self.name, line if line > 0 else None, problem)

    def call_bad(self, mask: pa.BooleanArray, expected: str, cells: pa.StringArray) -> None:
        """Count the rows of a mask, one of whose `cells` is not what was expected, as ones that cannot be read."""
        for row in np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).tolist():
            self.bad.append((int(self.lines[row]), f"{expected}, got {_shown(cells[row].as_py() or '')}"))

    def bad_rows(self) -> list[str]:
        """Name the first rows that cannot be read: file, line and problem."""
        return [str(self.error(line, problem)) for line, problem in sorted(self.bad)[:NAMED]]

    def require_few_bad(self) -> None:
        """Raise `TableError` if more than 1 % of the rows, and more than one, cannot be read."""
        total = len({*self.lines.tolist(), *(line for line, _ in self.bad)}) if self.bad else 0
        if len(self.bad) > max(1, _MOST_BAD * total):
            named = "\n  ".join(["", *self.bad_rows()])
            raise TableError(self.name, None, f"{len(self.bad)} of {total} rows cannot be read, such as{named}")


def first_of_each(keys: pa.StringArray) -> npt.NDArray[np.int64]:
    """Return for each key the first row that has it; a row without one is the first of its own."""
    rows = pa.array(np.arange(len(keys)), pa.int32())
    first: npt.NDArray[np.int64] = (
        pc.coalesce(pc.index_in(keys, keys, skip_nulls=True), rows).to_numpy().astype(np.int64)
    )
    return first


def require_one_value(tables: Sequence[Rows], keys: pa.StringArray, columns: Cells) -> npt.NDArray[np.int64]:
    """Return the first row of each key, over tables one after the other, where all rows of a key are equal.

    Raises TableError, with file and line, if two rows of one key differ in one of the columns.
    """
    first = first_of_each(keys)
    again = np.flatnonzero(first != np.arange(len(first)))
    for name, column in columns.items():
        one, other = column.take(pa.array(again)), column.take(pa.array(first[again]))
        same = pc.or_(pc.fill_null(pc.equal(one, other), False), pc.and_(one.is_null(), other.is_null()))
        for at in np.flatnonzero(pc.invert(same))[:1].tolist():
            key = keys[again[at]].as_py().replace(BETWEEN, ", ")
            problem = f"{name} of {key!r} is {other[at].as_py()!r} before, and now {one[at].as_py()!r}"
            line = np.concatenate([rows.lines for rows in tables])[again[at]]
            table = np.repeat(np.arange(len(tables)), [len(rows.lines) for rows in tables])[again[at]]
            raise tables[table].error(int(line), problem)
    return first


def require_column(rows: Rows, key: str, names: Sequence[str], cells: Cells) -> str:
    """Return the first of `names` that is there; or raise `TableError` with those that are."""
    for name in names:
        if name in cells:
            return name
    there = listed(filter(None, dict.fromkeys([*rows.columns, *cells])), most=40)
    raise TableError(rows.name, None, f"has no column {' or '.join(names)} ({key}); there are: {there}")


def read_rows(name: str, data: bytes, dialect: Dialect, fields: Mapping[str, str]) -> Rows:
    """Read a table; the `fields` of its path are columns of one value, where it has none of that name.

    Raises TableError, with file and line, if it is empty or of another encoding, or a quote is not closed where it
    should be.
    """
    records = _records(name, _prepared(name, data, dialect), dialect)
    header = list(dialect.header or next(records, (1, []))[1])
    if not header:
        raise TableError(name, 1, "is empty")
    rows, lines = Rows(name, {}, np.zeros(0, np.int64), []), list[int]()
    parts = [[pa.nulls(0, pa.string())] * len(header)]
    while some := list(islice(records, _ROWS)):
        good = [(line, record) for line, record in some if len(record) == len(header)]
        lines += [line for line, _ in good]
        if good:
            parts.append([pa.array(cells, pa.string()) for cells in zip(*(record for _, record in good), strict=True)])
        for line, record in some:
            if len(record) != len(header):
                text = _shown(dialect.separator.join(record))
                rows.bad.append((line, f"expected {len(header)} fields, got {len(record)}: {text}"))
    rows.lines = np.array(lines, np.int64)
    for column, chunks in zip(header, zip(*parts, strict=True), strict=True):
        cells = pa.concat_arrays(chunks)
        trimmed = pc.utf8_trim_whitespace(cells) if dialect.trim else cells
        name = column.strip() if dialect.trim else column
        rows.columns.setdefault(name, pc.if_else(pc.equal(trimmed, ""), None, trimmed))  # of two of one name the first
    for column, value in fields.items():
        rows.columns.setdefault(column, pa.repeat(value, len(lines)))
    return rows


def typed(source: ColumnSource, cells: pa.StringArray) -> tuple[pa.Array, pa.BooleanArray]:
    """Return the values of a declared column, and which cells are not a value of its type.

    Raises ValueError if a code has no value in its ``map``: which, and how often.
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


def _prepared(name: str, data: bytes, dialect: Dialect) -> str:
    """Return the text of a table without what its dialect passes over; each line stays the line that it was."""
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
    return f"{text}\n"  # a cell whose quote is never closed now ends with a line end


def _records(name: str, text: str, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the records of a table, each with the line in which it begins.

    Raises TableError, with file and line, if a quote is never closed, or a cell has a line in it that is a row by
    itself.
    """
    quoting: dict[str, Any] = {"quoting": csv.QUOTE_NONE} if dialect.quote is None else {"quotechar": dialect.quote}
    read = partial(csv.reader, delimiter=dialect.separator, **quoting)
    last_line = text.count("\n") + text.count("\r") - text.count("\r\n")
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    reader = read(io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline=""))
    width, line = len(dialect.header or ()), 1
    for record in reader:
        width = width or len(record)
        # Only a cell with a line end makes a record of several lines.
        for at, cell in enumerate(record if reader.line_num > line else ()):
            is_open = at == len(record) - 1 and reader.line_num == last_line and cell.endswith("\n")
            is_open = is_open and not text.rstrip("\r\n").endswith(dialect.quote or "")
            swallowed = read(_LINE_END.split(cell)[1:-1])
            if is_open or (width > 1 and any(len(row) == width for row in swallowed)):
                opened = line + sum(len(_LINE_END.findall(each)) for each in record[:at])
                raise TableError(name, opened, f"the quote that opens here {_NOT_CLOSED if is_open else _SWALLOWED}")
        if any(record):  # spreadsheets leave rows of empty cells behind
            yield line, record
        line = reader.line_num + 1


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
