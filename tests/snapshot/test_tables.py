"""Tables are read as they are served; a row that cannot be read is counted and named, a quote left open is an error."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import TableError
from pipeline.core.settings import validated
from pipeline.snapshot.layout import ColumnSource, Dialect
from pipeline.snapshot.tables import Rows, read_rows, typed


def read(text: str | bytes, dialect: Any = "csv") -> Rows:
    data = text.encode() if isinstance(text, str) else text
    return read_rows("t.csv", data, validated(Dialect, dialect, "dialect"), {})


def cells(text: str | bytes, dialect: Any = "csv") -> list[list[str | None]]:
    rows = read(text, dialect)
    return [list(rows.columns), *map(list, zip(*(column.to_pylist() for column in rows.columns.values()), strict=True))]


@pytest.mark.parametrize(
    ("text", "dialect", "expected"),
    [
        ("a,b\n1,2\n", "csv", [["1", "2"]]),
        ("\ufeffa,b\r\n1,2\r\n", "csv", [["1", "2"]]),
        ("a,b\n\nnull,NA\n\n", "csv", [["null", "NA"]]),  # words are words
        ('a,b\n"",2\n', "csv", [[None, "2"]]),  # what is empty is missing
        ('a,b\n1,2\n"",\n,\n', "csv", [["1", "2"]]),  # spreadsheets leave such rows behind
        ('"a",b\n"1, ""x""","2\n3"\n', "csv", [['1, "x"', "2\n3"]]),
        ('a,b\n5" disk,x"y\n', "csv", [['5" disk', 'x"y']]),
        ('a\tb\nHe said "so\t2\n', "tsv", [['He said "so', "2"]]),
        ("1|2", {"separator": "|", "quote": None, "header": ["a", "b"]}, [["1", "2"]]),
        (";x\na,b\n;y\n1,;2\n", {"comment": ";"}, [["1", ";2"]]),
        ("x\n\na,b\n1,2\n", {"skip": 2}, [["1", "2"]]),
        (" a   b\n\t1  2 \n", {"separator": " "}, [["1", "2"]]),
        (" a , b\n 1 ,  \n", {"trim": True}, [["1", None]]),
        ("a,b\n 1 ,  \n", "csv", [[" 1 ", "  "]]),
        ("a,b\nc\xe9,2\n".encode("latin-1"), {"encoding": "latin-1"}, [["cé", "2"]]),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}, [["1", "2"]]),
        ("a,b", "csv", []),
    ],
)
def test_reader_gives_the_cells_of_each_dialect(text: str | bytes, dialect: Any, expected: list[list[str]]) -> None:
    assert cells(text, dialect) == [["a", "b"], *expected]


def test_reader_takes_the_first_of_two_columns_of_one_name() -> None:
    columns = read("a,b,a,,\n1,2,3,,\n").columns
    assert {name: column.to_pylist() for name, column in columns.items()} == {"a": ["1"], "b": ["2"], "": [None]}


CELL = st.text(st.sampled_from('ab," \t|;é'), max_size=4)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_reader_reads_what_was_written(rows: list[list[str]], end: str) -> None:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if set(cell) & {'"', ","} else cell

    table = [["x", "y", "z"], *rows]
    text = end.join(",".join(map(quoted, row)) for row in table) + end
    assert cells(text)[1:] == [[cell or None for cell in row] for row in rows if any(row)]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.binary(max_size=30) | st.text('",\n\r\ta0', max_size=30).map(str.encode), st.integers(0, 20))
def test_reader_counts_every_row_or_refuses_the_table(odd: bytes, at: int) -> None:
    whole = b"a,b\n1,2\n3,4\n5,6\n"
    for dialect in ("csv", "tsv", {"header": ["a", "b"], "trim": True}):
        try:
            rows = read(whole[:at] + odd + whole[at:], dialect)
        except TableError:
            continue
        assert {len(column) for column in rows.columns.values()} == {len(rows.lines)}
        rows.bad_rows()


def test_row_that_cannot_be_read_is_named_by_its_line_and_the_others_are_read() -> None:
    rows = read('a,b\n\n"1\n2",3\n4\n5,6\n7,8,9\n')
    assert rows.columns["b"].to_pylist() == ["3", "6"]
    assert rows.bad_rows() == [
        "t.csv, line 5: expected 2 fields, got 1: '4'",
        "t.csv, line 7: expected 2 fields, got 3: '7,8,9'",
    ]
    assert str(rows.error(6, "no")) == "t.csv, line 6: no"


@pytest.mark.parametrize(("good", "bad", "is_broken"), [(29, 1, False), (198, 2, False), (197, 2, True), (0, 2, True)])
def test_table_with_more_than_one_percent_of_bad_rows_is_broken(good: int, bad: int, is_broken: bool) -> None:
    rows = read("a,b\n" + "1,2\n" * good + "1\n" * bad)
    assert len(rows.bad) == bad
    if is_broken:
        with pytest.raises(TableError, match=rf"{bad} of {good + bad} rows cannot be read"):
            rows.require_few_bad()
    else:
        rows.require_few_bad()


LONG = [f"s{number},text {number},x\n" for number in range(6000)]


@pytest.mark.parametrize(
    ("opened", "closed", "column", "line"),
    [
        (100, None, 1, 102),  # pyarrow makes one bad row of the rest
        (100, None, 2, 102),  # or one good one, where the last cell is open
        (5999, None, 2, 6001),
        (10, 20, 1, 12),
        (10, 12, 1, 12),
    ],
)
def test_quote_that_swallows_rows_is_an_error_where_it_is_opened(
    opened: int, closed: int | None, column: int, line: int
) -> None:
    lines = LONG.copy()
    place = lines[opened].split(",")
    place[column] = '"' + place[column]
    lines[opened] = ",".join(place)
    if closed is not None:
        lines[closed] = lines[closed].replace(",x", '",x')
    with pytest.raises(TableError, match="the quote that opens here") as caught:
        read("id,text,more\n" + "".join(lines))
    assert f"line {line}:" in str(caught.value)


def test_quote_that_is_opened_in_a_later_line_of_a_row_is_named_by_that_line() -> None:
    with pytest.raises(TableError, match="line 4: the quote that opens here is never closed"):
        read('a,b\n1,2\n"x\ny","z\n3,4\n')


def test_cells_of_several_lines_swallow_nothing() -> None:
    text = 'a,b,c\n1,"Dear all,\n\nsee, there\nBye",2\n3,4,"x\n"\n'
    assert cells(text)[1:] == [["1", "Dear all,\n\nsee, there\nBye", "2"], ["3", "4", "x\n"]]


@pytest.mark.parametrize(
    ("text", "dialect", "said"),
    [
        ("", "csv", "line 1: is empty"),
        ("\n\n", "csv", "line 1: is empty"),
        (b"a,b\n1,2\n3,caf\xe9\n", "csv", "line 3: expected utf-8, got the byte 0xe9"),
    ],
)
def test_table_that_cannot_be_read_is_named_by_file_and_line(text: str | bytes, dialect: Any, said: str) -> None:
    with pytest.raises(TableError, match=re.escape(said)):
        read(text, dialect)


def values(given: list[str | None], **source: Any) -> tuple[list[Any], list[int]]:
    """Return the values, and which cells are none."""
    array, bad = typed(validated(ColumnSource, source, "column"), pa.array(given, pa.string()))
    return array.to_pylist(), [at for at, each in enumerate(bad.to_pylist()) if each]


@pytest.mark.parametrize(
    ("source", "given", "expected", "bad"),
    [
        ({}, ["x", None], ["x", None], []),
        ({"missing": ["-", "?"]}, ["-", "x", "?"], [None, "x", None], []),
        ({"type": "integer"}, ["3", "3.0", "-3", "+3.", None], [3, 3, -3, 3, None], []),
        ({"type": "integer"}, ["3.5", "x", "", "2147483648", "9" * 40, "٣", " 3", "nan"], [None] * 8, list(range(8))),
        ({"type": "integer"}, ["2147483647", "-2147483647"], [2147483647, -2147483647], []),
        ({"type": "number"}, ["3", ".5", "1e3", "-2.", "NaN", None], [3.0, 0.5, 1000.0, -2.0, None, None], []),
        ({"type": "number"}, ["x", "inf", "1e999", "1,5", "", "0x1"], [None] * 6, list(range(6))),
        ({"map": {"01": "calm", "else": "x"}}, ["01", "1", None], ["calm", "x", None], []),
        ({"map": {"01": None, "else": None}}, ["01", "1"], [None, None], []),
        ({"map": {"a": 1, "b": 2.0}, "type": "number"}, ["b", "a"], [2.0, 1.0], []),
        ({"missing": ["?"], "map": {"a": "b"}}, ["?", "a"], [None, "b"], []),  # missing comes before the map
        ({"values": ["a"]}, ["b"], ["b"], []),  # a value that is not documented is kept
    ],
)
def test_column_makes_values_of_cells(
    source: Any, given: list[str | None], expected: list[Any], bad: list[int]
) -> None:
    assert values(given, **source) == (expected, bad)


def test_map_that_misses_codes_counts_them() -> None:
    with pytest.raises(ValueError, match=re.escape("map has no value for 'b' (in 2 rows), 'a' (in 1 row)")):
        values(["a", "b", "b", "c"], map={"c": "C"})
