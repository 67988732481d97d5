"""Rows that are pieces of recordings: times in three units, ids, bad rows, and recordings that are kept apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.columns import declared
from pipeline.core.errors import ParameterError, SnapshotError
from pipeline.core.schema import PIECE
from pipeline.core.settings import validated
from pipeline.snapshot.clips import are_copies
from pipeline.snapshot.description import Description
from pipeline.snapshot.segments import RECORDING, milliseconds, with_recordings
from tests.snapshot.test_join import ABOUT, Files, Snapshot
from tests.support.segments import clock

SONGS: dict[str, Any] = {
    "audio": "{name}.wav",
    "tables": "songs.csv",
    "clip": "{file}",
    "columns": {"bird": None},
    "segment": {"start": "from", "end": "to"},
}
LINES = "a.wav,1.5,4,wren\na.wav,4.0,65.25,owl\nb.wav,0,0.5,owl\nc.wav,7,8,owl\n"


def songs(lines: str, **keys: Any) -> Snapshot:
    files: Files = {"x/a.wav": "a", "x/b.wav": "b", "songs.csv": f"file,from,to,bird\n{lines}"}
    return Snapshot(files, {**SONGS, **keys})


def cells(*texts: str | None) -> pa.StringArray:
    return pa.array(texts, pa.string())


@pytest.mark.parametrize(
    ("unit", "lines"),
    [
        ("s", LINES),
        ("ms", "a.wav,1500,4000.0,wren\na.wav,4e3,65250,owl\nb.wav,0,500,owl\nc.wav,7000,8000,owl\n"),
        (
            "clock",
            "a.wav,0:01.5,00:00:04,wren\na.wav,0:04,00:01:05.25,owl\nb.wav,0:0,0:0.5,owl\nc.wav,0:07,0:08.000,owl\n",
        ),
    ],
)
def test_segments_are_the_same_rows_in_each_unit(unit: str, lines: str) -> None:
    found = songs(lines, segment={**SONGS["segment"], "unit": unit})
    assert found.rows("clip_id", "bird", *PIECE, "seconds", "path") == [
        ("a@1500-4000", "wren", 1.5, 4.0, 2.5, "x/a.wav"),
        ("a@4000-65250", "owl", 4.0, 65.25, 61.25, "x/a.wav"),
        ("b@0-500", "owl", 0.0, 0.5, 0.5, "x/b.wav"),
        ("c@7000-8000", "owl", 7.0, 8.0, 1.0, None),
    ]
    assert found.counts.without_member == 1
    columns = declared(found.tables["songs"].schema)
    assert [(each.name, each.unit) for each in columns] == [("bird", None), *((name, "s") for name in PIECE)]


@given(st.integers(0, 10**9))
def test_segment_times_are_whole_milliseconds(time: int) -> None:
    for unit, text in (("s", f"{time / 1000}"), ("ms", f"{time}"), ("clock", clock(time))):
        assert milliseconds(cells(text), unit).to_pylist() == [time]


@pytest.mark.parametrize("unit", ["s", "ms", "clock"])
def test_segment_times_that_are_none_are_missing(unit: str) -> None:
    texts = [None, "", "x", "-1", "-0:01", "nan", "inf", "1e99", "1:60", "1:60:00", "1:2:3:4", "0:99999999999:00", "1:"]
    assert milliseconds(cells(*texts), unit).null_count == len(texts)


def test_segment_times_of_a_clock_have_minutes() -> None:
    assert milliseconds(cells("5", "90:00", "1:5:3", "0:59.9996"), "clock").to_pylist() == [
        None,
        5_400_000,
        3_903_000,
        60_000,
    ]


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ("a.wav,4,1.5,owl", "'4 and 1.5'"),
        ("a.wav,4,4,owl", "'4 and 4'"),
        ("a.wav,4,4.0004,owl", "'4 and 4.0004'"),
        ("a.wav,-1,4,owl", "'-1 and 4'"),
        ("a.wav,one,4,owl", "'one and 4'"),
        ("a.wav,1,,owl", "'1 and an empty cell'"),
    ],
)
def test_segment_that_is_none_is_one_bad_row(row: str, got: str) -> None:
    found = songs(f"{LINES}{row}\n")
    assert len(found.column("clip_id")) == 4
    assert found.counts.bad == 1
    assert found.counts.bad_rows == [
        f"songs.csv, line 6: segment: expected a start, and a later end, in seconds, got {got}"
    ]


def test_segments_that_are_bad_in_more_rows_than_one_in_a_hundred_break_the_table() -> None:
    rows = "".join(f"a.wav,{number},{number + 1},owl\n" for number in range(150))
    assert songs(f"{rows}a.wav,3,2,owl\n").counts.problem is None
    with pytest.raises(SnapshotError, match="2 of 152 rows cannot be read"):
        songs(f"{rows}a.wav,3,2,owl\na.wav,x,2,owl\n")


def test_segments_that_stand_twice_count_once_and_other_rows_of_one_piece_are_an_error() -> None:
    assert songs(f"{LINES}a.wav,1.5000,4.0001,wren\n").counts.repeated == 1
    with pytest.raises(SnapshotError, match=r"line 6: bird of 'a@1500-4000' is 'wren' before, and now 'owl'"):
        songs(f"{LINES}a.wav,1.5,4,owl\n")


def test_segment_of_a_column_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SnapshotError, match=r"no column until \(segment\); there are: file, from, to, bird"):
        songs(LINES, segment={"start": "from", "end": "until"})


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"tables": None, "clip": None}, "segment: there are no tables"),
        ({"seconds": {"from": "length"}}, "seconds, segment: should be one of the two"),
        ({"columns": {"end_seconds": None}}, "end_seconds: is the name of a column that the stages write"),
        ({"segment": {"start": "from", "end": "to", "unit": "min"}}, "segment.unit"),
        ({"segment": {"start": "from"}}, "segment"),
    ],
)
def test_segment_that_cannot_be_is_an_error_of_the_description(keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ParameterError, match=problem):
        validated(Description, {**ABOUT, **SONGS, **keys}, "mine.yaml")


# Recordings

PIECES = [  # id, path, length and CRC-32, start and end
    ("b@0-1000", "x/b.wav", 5, 1, 0.0, 1.0),
    ("b@2000-3000", "x/b.wav", 5, 1, 2.0, 3.0),
    ("a@0-1000", "x/a.wav", 5, 1, 0.0, 1.0),
    ("a@5000-6000", "x/a.wav", 5, 1, 5.0, 6.0),
    ("c@0-1000", "x/c.wav", 7, None, 0.0, 1.0),
    ("owl of c@0-1000", "x/c.wav", 7, None, 0.0, 1.0),
    ("d@0-1000", "x/d.wav", 0, 0, 0.0, 1.0),
    ("e@0-1000", "x/e.wav", 0, 0, 0.0, 1.0),
    ("f@0-1000", None, None, None, 0.0, 1.0),
    ("f@1000-2000", None, None, None, 1.0, 2.0),
]


def pieces() -> pa.Table:
    names = ["clip_id", "path", "size_bytes", "crc32", *PIECE]
    return pa.table(dict(zip(names, map(list, zip(*PIECES, strict=True)), strict=True)))


def test_recordings_are_equal_files_or_one_path_called_by_their_first_id() -> None:
    assert with_recordings(pieces())[RECORDING].to_pylist() == [*"aaaacc", *"deff"]
    plain = pieces().drop_columns(list(PIECE))
    assert with_recordings(plain) is plain


def test_copies_are_equal_pieces_of_equal_recordings() -> None:
    assert np.flatnonzero(are_copies(pieces())).tolist() == [0, 7]
