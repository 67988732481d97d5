"""The table of clips: what the index, the tables and the description say, joined, counted, and refused with reasons."""

from __future__ import annotations

import re
import unicodedata
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.core import schema
from pipeline.core.columns import apart, declared, with_role
from pipeline.core.errors import Rejected, SnapshotError
from pipeline.core.schema import Reason
from pipeline.core.settings import validated
from pipeline.snapshot.clips import are_copies
from pipeline.snapshot.description import Description
from pipeline.snapshot.join import Join
from pipeline.snapshot.receipt import TableCounts

ABOUT = {"title": "t", "license": "CC0-1.0", "citation": "c", "source": {"kind": "directory", "path": "x"}}
Files = dict[str, bytes | str]


class Snapshot:
    """A snapshot in memory, joined: its tables, counts and members."""

    def __init__(
        self, files: Files, keys: dict[str, Any], *, is_folder: bool = False, flags: int | None = None
    ) -> None:
        data = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
        rows = [
            {
                "name": name,
                "flags": None if is_folder else flags or 0,
                "offset": None if is_folder else place,
                "size_bytes": len(each),
                "crc32": None if is_folder else zlib.crc32(each),
            }
            for place, (name, each) in enumerate(data.items())
        ]
        index = pa.Table.from_pylist(rows, schema=schema.MEMBERS)
        description = validated(Description, {**ABOUT, **keys}, "mine.yaml")
        self.join = Join(index, description, lambda member: data[member["name"]])
        self.tables = {table["table"][0].as_py(): table for table in self.join.tables() if table.num_rows}

    @property
    def counts(self) -> TableCounts:
        [counts] = self.join.counts.values()
        return counts

    def column(self, name: str) -> list[Any]:
        return [value for table in self.tables.values() for value in table[name].to_pylist()]

    def rows(self, *names: str) -> list[tuple[Any, ...]]:
        return list(zip(*(self.column(name) for name in names), strict=True))


# A labelled data set: a table whose rows need a template, a lookup by speaker, folds, a group, no text.
SOUNDS = {
    "audio": "fold{fold:d}/{name}.wav",
    "tables": "meta/sounds.csv",
    "clip": "fold{fold}/{file|pad:5}.wav",
    "columns": {
        "label": {"from": "class", "map": {"01": "dog", "02": "rain"}, "values": ["dog", "rain"]},
        "fold": {"type": "integer"},
        "recording": {"from": ["fsID", "id"], "description": "where it was cut from"},
        "snr": {"from": "snr", "type": "number", "unit": "dB", "missing": ["-"]},
    },
    "lookups": [
        {
            "tables": "speakers.txt",
            "dialect": {"separator": "|", "header": ["who", "sex", "age"]},
            "on": {"who": "s{speaker}"},
            "columns": {"sex": {"map": {"M": "male", "else": None}}, "age": {"type": "integer"}},
        }
    ],
    "label": "label",
    "apart": ["recording"],
}
ROWS = "file,fold,class,fsID,snr,speaker\n7,1,01,90,1.5,1\n8,1,02,91,-,2\n9,2.0,02,90,nan,3\n7,2,01,92,,1\n"
SOUND_FILES: Files = {
    "data/audio/fold1/00007.wav": "a",
    "data/audio/fold1/00008.wav": "b",
    "data/audio/fold2/00007.wav": "c",
    "data/audio/fold3/00001.wav": "d",
    "meta/sounds.csv": ROWS.replace("2.0", "2"),
    "speakers.txt": "s1|F|30\ns2|M|40\ns2|M|40\n",
}


def test_clips_have_an_id_their_table_the_declared_columns_and_a_place() -> None:
    found = Snapshot(SOUND_FILES, SOUNDS)
    table = found.tables["sounds"]
    declared_names = ["label", "fold", "recording", "snr", "sex", "age"]
    place = ["path", "size_bytes", "crc32", "method", "flags", "offset", "compressed_bytes", "seconds"]
    assert table.column_names == ["clip_id", "table", *declared_names, *place]
    assert found.rows("clip_id", *declared_names) == [
        ("fold1/00007", "dog", 1, "90", 1.5, None, 30),
        ("fold1/00008", "rain", 1, "91", None, "male", 40),
        ("fold2/00009", "rain", 2, "90", None, None, None),
        ("fold2/00007", "dog", 2, "92", None, None, 30),
    ]
    assert found.rows("path", "size_bytes", "crc32", "offset")[0] == (*list(SOUND_FILES)[:1], 1, zlib.crc32(b"a"), 0)
    assert found.rows("path", "size_bytes", "crc32", "offset")[2] == (None,) * 4
    assert found.counts.without_member == 1
    assert found.join.members.without_row == 1
    assert [column.name for column in declared(table.schema)] == declared_names
    assert with_role(table.schema, "label") == "label"
    assert apart(table.schema) == ("recording",)


# No table at all: each fact is in the name (RAVDESS).
EMOTIONS = {
    "audio": "Actor_{actor}/{emotion}-{take:1}-{actor}.*",
    "id": "{emotion}-{take}-{actor}",
    "columns": {"label": {"from": "emotion", "map": {"01": "neutral", "05": "angry"}}, "actor": None},
    "label": "label",
    "apart": ["actor"],
}


def test_clips_without_tables_are_rows_by_themselves() -> None:
    files: Files = {"x/Actor_02/05-1-02.wav": "b", "x/Actor_01/01-1-01.WAV": "a", "x/Actor_01/01-1-02.wav": "c"}
    lookup = {"tables": "who.csv", "on": {"id": "{actor}"}, "columns": {"sex": None}}
    found = Snapshot(files | {"who.csv": "id,sex\n02,F\n"}, EMOTIONS | {"lookups": [lookup]})
    assert found.rows("clip_id", "table", "label", "actor", "sex") == [
        ("01-1-01", "all", "neutral", "01", None),
        ("05-1-02", "all", "angry", "02", "F"),
    ]
    assert found.join.members.without_row == 0


def test_clips_without_tables_are_in_the_table_that_their_path_names() -> None:
    found = Snapshot({"b/2.wav": "", "a/1.wav": "", "a/2.wav": ""}, {"audio": "{table}/{name}.wav"})
    assert found.rows("table", "clip_id") == [("a", "a/1"), ("a", "a/2"), ("b", "b/2")]


def test_id_left_out_is_never_made_of_the_folders_above() -> None:
    keys = {"audio": "fold{f}/{n}.wav", "tables": "t.csv", "clip": "{file}"}
    found = Snapshot({"x/fold1/a.wav": "", "t.csv": "file\n./fold1/a.wav\n"}, keys)
    assert found.column("clip_id") == ["fold1/a"]
    assert Snapshot({"x/y/fold1/a.wav": ""}, {"audio": "fold{f}/{n}.wav"}).column("clip_id") == ["fold1/a"]


COMMANDS = {"audio": "/data/{word}/{name}.wav", "tables": "t.csv", "clip": "{file}.*", "columns": {"word": None}}


def test_field_of_a_folder_that_the_clip_does_not_name_is_read_in_the_member() -> None:
    files: Files = {"data/yes/a.wav": "", "t.csv": "file\na\nb\n"}
    assert Snapshot(files, COMMANDS).rows("clip_id", "word", "path") == [
        ("a", "yes", "data/yes/a.wav"),
        ("b", None, None),
    ]
    with pytest.raises(SnapshotError, match=r"has no column word \(id\); there are: file, table, name"):
        Snapshot(files, COMMANDS | {"id": "{word}-{name}"})


def test_column_of_the_table_goes_before_a_field_of_the_same_name() -> None:
    files: Files = {"data/yes/a.wav": "", "t.csv": "file,word\na,no\n"}
    assert Snapshot(files, COMMANDS).column("word") == ["no"]


@pytest.mark.parametrize("cell", ["w/a.wav", "./w/a.wav", "/w/a.wav", r".\w\a.wav", "wé/a.wav", "we\u0301/a.wav"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_compared_without_regard_to_their_form(cell: str, form: Any) -> None:
    member = unicodedata.normalize(form, "x/wé/a.wav" if "w/" not in cell and "w\\" not in cell else "x\\w\\a.wav")
    keys = {"audio": "{_}/{name}.wav", "tables": "t.csv", "clip": "{file}"}
    found = Snapshot({member: "", "t.csv": f"file\n{cell}\n"}, keys)
    assert found.column("path") == [member]


@pytest.mark.parametrize(("cell", "member"), [("A.mp3", "A.MP3"), ("A.MP3", "A.mp3"), ("A.mp3", "a.mp3")])
def test_names_are_compared_without_regard_to_the_case_of_their_extension(cell: str, member: str) -> None:
    keys = {"audio": "{name}.mp3", "tables": "t.csv", "clip": "{file}"}
    found = Snapshot({member: "1", "b.mp3": "2", "t.csv": f"file\n{cell}\nb.mp3\n"}, keys)
    assert found.rows("clip_id", "path") == [("A", member if member[0] == "A" else None), ("b", "b.mp3")]


def test_name_in_utf8_that_a_zip_does_not_call_so_is_found() -> None:
    member = "é.wav".encode().decode("cp437")
    keys = {"audio": "{name}.wav", "tables": "t.csv", "clip": "{file}"}
    assert Snapshot({member: "", "t.csv": "file\né.wav\n"}, keys).column("path") == [member]


def test_what_systems_leave_behind_is_no_member() -> None:
    left = ["__MACOSX/x/a.wav", "x/._a.wav", "x/.DS_Store", "Thumbs.db", "x/desktop.ini"]
    found = Snapshot({"x/a.wav": "", **dict.fromkeys(left, "")}, {"audio": ["{name}.wav", "{_}/{name}", "{name}"]})
    assert found.column("path") == ["x/a.wav"]


def test_copies_of_a_member_are_one_clip_and_others_an_error() -> None:
    files: Files = {"b/Actor_1/05-1-1.wav": "same", "a/Actor_1/05-1-1.wav": "same"}
    table = {"audio": "{n}.wav", "tables": "t.csv", "clip": "{n}.wav"}
    for keys, more in ((EMOTIONS, {}), (table, {"t.csv": "n\n05-1-1\n"})):
        for is_folder in (False, True):
            found = Snapshot({**files, **more}, keys, is_folder=is_folder)
            assert found.column("path") == ["a/Actor_1/05-1-1.wav"]
            assert (found.join.members.copies, found.join.members.without_row) == (1, 0)
            with pytest.raises(SnapshotError, match=r"a/Actor_1/05-1-1\.wav and b/Actor_1/05-1-1\.wav"):
                Snapshot({**files, **more, "a/Actor_1/05-1-1.wav": "else"}, keys, is_folder=is_folder)


def test_copies_under_other_ids_are_told_by_length_and_checksum() -> None:
    found = Snapshot({"b.wav": "x", "a.wav": "x", "c.wav": "y", "d.wav": "x"}, {"audio": "{n}.wav"})
    table = found.tables["all"].take([3, 2, 1, 0])
    assert table["clip_id"].filter(pa.array(are_copies(table))).to_pylist() == ["d", "b"]
    assert found.counts.copies == 2
    folder = Snapshot({"b.wav": "x", "a.wav": "x"}, {"audio": "{n}.wav"}, is_folder=True).tables["all"]
    assert not are_copies(folder).any()
    missing = folder.set_column(folder.column_names.index("size_bytes"), "size_bytes", pa.nulls(2, pa.int64()))
    assert not are_copies(missing).any()


LIST = {"audio": "{n}.wav", "tables": "{table}.csv", "clip": "{n}.wav", "columns": {"a": None}}


def test_files_of_one_name_are_parts_of_one_table_and_equal_ones_count_once() -> None:
    files: Files = {
        "y/t.csv": "n,a\n2,x\n",
        "x/t.csv": "n,a\n1,x\n",
        "z/t.csv": "n,a\n1,x\n",
        "1.wav": "1",
        "2.wav": "2",
    }
    found = Snapshot(files, LIST)
    assert found.column("clip_id") == ["1", "2"]
    assert list(found.counts.files) == ["x/t.csv", "y/t.csv", "z/t.csv"]
    assert found.counts.repeated == 0


def test_rows_equal_in_what_is_used_count_once_and_others_of_one_id_are_an_error() -> None:
    files: Files = {"t.csv": "n,a,b\n1,x,1\n2,,1\n1,x,2\n2,,\n", "1.wav": "1", "2.wav": "2"}
    found = Snapshot(files, LIST)
    assert found.rows("clip_id", "a") == [("1", "x"), ("2", None)]
    assert found.counts.repeated == 2
    with pytest.raises(SnapshotError, match=re.escape("t.csv, line 5: a of '2' is None before, and now 'y'")):
        Snapshot(files | {"t.csv": "n,a\n1,x\n2,\n1,x\n2,y\n"}, LIST)


def test_row_that_cannot_be_read_is_counted_and_one_that_names_no_clip_is_passed_over() -> None:
    keys = LIST | {
        "columns": {"a": {"type": "integer", "map": {"x": 1, "y": 2, "else": None}}, "b": {"type": "number"}},
        "clip": "{n}",
    }
    good = "".join(f"{n}.wav,x,1\n" for n in range(3, 300))
    text = f"n,a,b\n1.wav,x,1\n1.txt,?,?\n2.wav,y,many\n,x,1\n{good}"
    members: Files = {f"{n}.wav": str(n) for n in (1, *range(3, 290))}
    found = Snapshot({"t.csv": text, **members}, keys)
    assert found.column("clip_id")[:2] == ["1", "3"]
    assert (found.counts.elsewhere, found.counts.bad, found.counts.without_member) == (1, 2, 10)
    assert found.counts.bad_rows == [
        "t.csv, line 4: b: expected a value of the type number, got 'many'",
        "t.csv, line 5: expected a value for each of {n}, got ''",
    ]


def test_table_with_a_problem_is_left_out_and_the_others_are_read() -> None:
    files: Files = {
        "t.csv": "n,a\n1,x\n",
        "u.csv": "id,a\n1,x\n",
        "v.csv": 'n,a\n1,"x\n',
        "w.csv": "n,b\n1,x\n",
        "1.wav": "1",
    }
    found = Snapshot(files, LIST)
    assert list(found.tables) == ["t"]
    problems = {name: counts.problem for name, counts in found.join.counts.items()}
    assert problems == {
        "t": None,
        "u": "u.csv: has no column n (clip); there are: id, a, table",
        "v": "v.csv, line 2: the quote that opens here is never closed",
        "w": "w.csv: has no column a (columns.a); there are: n, b, table",
    }
    del files["t.csv"]
    with pytest.raises(SnapshotError, match=r"(?s)no table .* can be used:.*u\.csv.*v\.csv.*w\.csv"):
        Snapshot(files, LIST)


def test_table_that_is_damaged_in_the_archive_is_left_out() -> None:
    def read(member: dict[str, Any]) -> bytes:
        raise Rejected(Reason.CHECKSUM, member["name"])

    index = pa.Table.from_pylist(
        [{"name": name, "size_bytes": 1} for name in ("1.wav", "t.csv")], schema=schema.MEMBERS
    )
    with pytest.raises(SnapshotError, match=r"t\.csv: is damaged: t\.csv"):
        list(Join(index, validated(Description, ABOUT | LIST, ""), read).tables())


def test_values_that_are_not_documented_are_kept_and_counted() -> None:
    keys = LIST | {"columns": {"a": {"values": ["x"]}}}
    found = Snapshot({"t.csv": "n,a\n1,y\n2,x\n3,\n", "1.wav": "1", "2.wav": "2"}, keys)
    assert found.column("a") == ["y", "x", None]
    assert found.counts.undocumented == {"a": 1}


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_seconds_are_those_of_a_column(unit: str) -> None:
    keys = LIST | {"columns": {}, "seconds": {"from": "long", "unit": unit}}
    found = Snapshot({"t.csv": "n,long\n1,1500\n2,\n", "1.wav": "1"}, keys)
    assert found.column("seconds") == [1500 if unit == "s" else 1.5, None]
    with pytest.raises(SnapshotError, match="seconds: expected a duration, got '-1'"):
        Snapshot({"t.csv": "n,long\n1,-1\n2,x\n", "1.wav": "1"}, keys)


DURATIONS = LIST | {
    "lookups": [{"tables": "/long.csv", "on": {"file": "{n}.wav"}}],
    "columns": {},
    "seconds": {"from": "ms", "unit": "ms"},
}


def test_lookup_without_columns_serves_seconds_and_may_be_absent() -> None:
    files: Files = {"x/t.csv": "n\n1\n2\n", "1.wav": "1", "long.csv": "file,ms\n1.wav,1500\n"}
    found = Snapshot(files, DURATIONS)
    assert found.column("seconds") == [1.5, None]
    assert list(found.join.lookup_files) == ["long.csv"]
    del files["long.csv"]
    assert Snapshot(files, DURATIONS).column("seconds") == [None, None]


def test_column_may_be_from_a_lookup() -> None:
    lookup = {"tables": "/more.csv", "on": {"key": "{n}"}, "columns": {"c": "their"}}
    keys = LIST | {"lookups": [lookup], "columns": {"a": {"from": "else", "type": "integer"}, "b": {"from": "their"}}}
    found = Snapshot({"x/t.csv": "n\n1\n", "1.wav": "1", "more.csv": "key,else,their,not\n1,3,x,y\n"}, keys)
    assert found.rows("a", "b", "c") == [(3, "x", "x")]


def test_table_may_be_a_file_of_the_repository(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("n,a\n1,x\n")
    keys = {key: value for key, value in LIST.items() if key != "tables"} | {"tables_file": str(tmp_path / "mine.csv")}
    assert Snapshot({"1.wav": "1"}, keys).rows("table", "clip_id", "a") == [("mine", "1", "x")]
    with pytest.raises(SnapshotError, match="tables_file: No such file"):
        Snapshot({"1.wav": "1"}, keys | {"tables_file": "nowhere.csv"})


@pytest.mark.parametrize(
    ("change", "files", "said"),
    [
        (
            {"audio": "flod{fold:d}/{name}.wav"},
            {},
            "audio: flod{fold:d}/{name}.wav matches 0 of 6 members; the nearest is data/aud",
        ),
        (
            {"tables": "/sounds.csv"},
            {},
            "tables: /sounds.csv matches 0 of 6 members; the nearest is meta/sounds.csv. A ta",
        ),
        ({"tables": "sounds.wav"}, {}, "tables: sounds.wav matches 0 of 6 members; the nearest is meta/sounds.csv"),
        ({"clip": "fold{flod}/{file}.wav"}, {}, "sounds.csv: has no column flod (clip); there are: file, fold, class"),
        (
            {"clip": "fold{fold}/{file}.wav"},
            {},
            "the clips of 4 of 4 rows are not in the snapshot; looked for fold1/7.wav, the nearest is data/audio/fold",
        ),
        (
            {"clip": "flod{fold}/{file}.wav"},
            {},
            "line 2: no row names a clip: this one makes flod1/7.wav, and audio is fold{fold:d}/{name}.",
        ),
        (
            {"columns": {"label": {"from": "class", "map": {"01": "dog"}}}, "apart": []},
            {},
            "columns.label: map has no value for '02' (in 2 rows)",
        ),
        (
            {"columns": {"label": {"from": ["klass", "kind"]}}, "apart": []},
            {},
            "has no column klass or kind (columns.label); there are: file",
        ),
        ({}, {"speakers.txt": "s1|F|30\ns1|F|31\n"}, "speakers.txt, line 2: age of 's1' is '30' before, and now '31'"),
        ({}, {"speakers.txt": "s9|F|30\n"}, "speakers.txt: no row was found; looked for 's1', and there is 's9'"),
        ({}, {"speakers.txt": "s1|F|x\n"}, "age: expected a value of the type integer, got 'x'"),
        (
            {"lookups": [{"tables": "who.csv", "on": {"a": "{file}"}, "columns": {"b": None}}]},
            {},
            "lookups: tables: who.csv matches 0 of 6 members",
        ),
        (
            {"lookups": [{"tables": "speakers.txt", "on": {"a": "{file}"}}]},
            {},
            "speakers.txt: has no column a (on); there are: s1|F|30",
        ),
        ({"audio": "{a}/{a}.wav"}, {}, "audio: {a}/{a}.wav matches 0"),
    ],
)
def test_what_does_not_fit_the_archive_says_what_was_looked_for_and_what_is_there(
    change: dict[str, Any], files: Files, said: str
) -> None:
    with pytest.raises(SnapshotError, match=re.escape(said)):
        Snapshot(SOUND_FILES | files, SOUNDS | change)


def test_join_is_the_same_in_whatever_order_the_archive_has_its_members() -> None:
    forward, backward = (
        Snapshot(dict(files), SOUNDS) for files in (SOUND_FILES.items(), reversed(SOUND_FILES.items()))
    )
    columns = [name for name in forward.tables["sounds"].column_names if name != "offset"]
    assert forward.rows(*columns) == backward.rows(*columns)
    assert np.array_equal(forward.column("clip_id"), backward.column("clip_id"))


def test_join_of_a_table_without_rows_is_a_table_without_rows() -> None:
    files: Files = {"a.csv": "file\n", "b.csv": "file\nx.wav\n", "clips/x.wav": "1"}
    keys = {"audio": "clips/{name}.wav", "tables": "{table}.csv", "clip": "clips/{file}", "id": "{table}/{name}"}
    join = Snapshot(files, {**keys, "columns": {"name": None}}).join
    assert {name: (counts.rows, counts.problem) for name, counts in join.counts.items()} == {
        "a": (0, None),
        "b": (1, None),
    }
