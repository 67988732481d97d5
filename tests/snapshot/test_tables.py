"""The tables are read as they are served; what cannot be read is named by file and line."""

from __future__ import annotations

import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import schema
from pipeline.core.errors import ParameterError, SnapshotError, TableError
from pipeline.snapshot import formats, tables
from tests.support.project import REAL_TABLES

HEADER = "filename,text,up_votes,down_votes,age,gender,accent,duration\n"
ROW = "cv-valid-dev/sample-{:06d}.mp3,be careful,1,0,twenties,male,us,\n"


def write(folder: Path, data: str | bytes, table: str = "valid-dev") -> Path:
    data = data.encode() if isinstance(data, str) else data
    (folder / f"cv-{table}.csv").write_bytes(data)
    return folder


def read(folder: Path, *names: str) -> pd.DataFrame:
    return tables.read_clips(names or ("valid-dev",), folder)


def test_missing_values_are_missing_and_words_are_words(tmp_path: Path) -> None:
    rows = "cv-valid-dev/a.mp3,null,3,1,,,,\ncv-valid-dev/b.mp3,NA,0,0,fourties,other,southatlandtic,\n"
    clips = read(write(tmp_path, HEADER + rows))
    assert clips["clip_id"].tolist() == ["valid-dev/a", "valid-dev/b"]
    assert clips["text"].tolist() == ["null", "NA"]
    assert clips[["age", "gender", "accent"]].isna().iloc[0].all()
    assert clips["accent"].tolist()[1] == "southatlandtic"
    assert clips["up_votes"].dtype == clips["down_votes"].dtype == "int32"


def test_quotes_a_mark_in_front_and_carriage_returns_are_understood(tmp_path: Path) -> None:
    rows = '\ufeff"filename",text,up_votes,down_votes,age,gender,accent,duration\r\n'
    rows += 'cv-valid-dev/a.mp3,"one, two",1,0,,,,\r\n'
    assert read(write(tmp_path, rows))["text"].tolist() == ["one, two"]


def test_columns_may_stand_in_another_order_and_beside_others(tmp_path: Path) -> None:
    header = "text,filename,accent,age,gender,duration,more,down_votes,up_votes\n"
    clips = read(write(tmp_path, header + "hello,cv-valid-dev/a.mp3,us,teens,female,,x,1,2\n"))
    expected = {"text": "hello", "age": "teens", "gender": "female", "accent": "us", "up_votes": 2, "down_votes": 1}
    assert clips.drop(columns=["clip_id", "table"]).to_dict("records") == [expected]


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (HEADER.replace("gender,", ""), 1, "has no column gender"),
        (HEADER + ROW.format(0) + "cv-valid-dev/sample-000001.mp3,too,few\n", 3, "expected 8 fields, got 3"),
        (HEADER + ROW.format(0).replace("careful", "so, so"), 2, "expected 8 fields, got 9"),
        (HEADER + ROW.format(0) + "\n" + ROW.format(0), 4, "stands already in line 2"),
        (HEADER + ROW.format(0).replace(",1,", ",many,"), 2, "up_votes: expected a number of votes, got 'many'"),
        (HEADER + ROW.format(0).replace(",0,", ",-1,"), 2, "down_votes"),
        (HEADER + ROW.format(0).replace(",0,", ",٣,"), 2, "down_votes"),
        (HEADER + ROW.format(0).replace("cv-valid-dev", "cv-valid-test"), 2, "expected cv-valid-dev/NAME.mp3"),
        (HEADER + ROW.format(0).replace(".mp3", ".wav"), 2, "expected cv-valid-dev/NAME.mp3"),
        (HEADER.encode() + b"cv-valid-dev/a.mp3,caf\xe9,1,0,,,,\n", 2, "expected UTF-8, got the byte 0xe9"),
        (HEADER + '"' + ROW.format(0), 2, "unexpected end of data"),
        ("", 1, "has no column filename"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(tmp_path: Path, data: str | bytes, line: int, said: str) -> None:
    with pytest.raises(TableError, match=said) as caught:
        read(write(tmp_path, data))
    assert f"cv-valid-dev.csv, line {line}:" in str(caught.value)


def test_a_pipe_in_place_of_a_table_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cv-valid-dev.csv")
    with pytest.raises(SnapshotError, match="no regular file"):
        read(tmp_path)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_cell_as_long_as_a_book_is_refused_in_little_memory(tmp_path: Path, end: str) -> None:
    write(tmp_path, HEADER + ROW.format(0).replace("be careful", "x" * 30_000_000).rstrip() + end)
    tracemalloc.start()
    with pytest.raises(TableError, match=r"line 2: (has more than 1048575 characters|field larger)"):
        read(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000


def test_a_table_that_is_absurdly_long_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, HEADER)
    os.truncate(tmp_path / "cv-valid-dev.csv", formats.LARGEST_TABLE_BYTES + 1)  # a hole takes no room
    with pytest.raises(TableError, match="at most 1 GiB"):
        read(tmp_path)


@pytest.mark.more
@given(st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), st.integers(0, 100), st.booleans())
def test_whatever_a_table_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, odd: bytes, at: int, is_tsv: bool
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    whole = (TSV if is_tsv else HEADER + ROW.format(0) + ROW.format(1)).encode()
    data = whole[:at] + odd + whole[at:]
    if is_tsv:
        (folder / "validated.tsv").write_bytes(data)
        (folder / "clip_durations.tsv").write_bytes(DURATIONS.encode()[:at] + odd + DURATIONS.encode()[at:])
    else:
        write(folder, data)
    try:
        clips = tables.read_clips(
            ["validated" if is_tsv else "valid-dev"], folder, "mozilla-tsv" if is_tsv else "kaggle-v1"
        )
        seconds = tables.estimated_seconds(clips["clip_id"], members([]), "mozilla-tsv", folder)
    except TableError:
        return
    assert clips["clip_id"].is_unique
    assert not (seconds < 0).any()


def test_an_unknown_table_names_those_there_are(tmp_path: Path) -> None:
    write(write(tmp_path, HEADER), HEADER, table="invalid")
    with pytest.raises(ParameterError, match="has no valid-tset; there are: invalid, valid-dev"):
        read(tmp_path, "valid-tset", "invalid")


def test_an_empty_table_has_no_clips(tmp_path: Path) -> None:
    assert len(read(write(tmp_path, HEADER))) == 0


@pytest.mark.parametrize("root", ["", "cv_corpus_v1/"])
@pytest.mark.parametrize("doubled", [True, False])
def test_folders_may_be_doubled_or_not(root: str, doubled: bool) -> None:
    folder = "cv-valid-dev/cv-valid-dev" if doubled else "cv-valid-dev"
    names = [f"{root}cv-valid-dev.csv", f"{root}{folder}/sample-000003.mp3", f"{root}README.txt"]
    assert formats.find_tables(names) == {"valid-dev": f"{root}cv-valid-dev.csv"}
    index = formats.index_clips(members(names))
    assert index["name"].to_pylist() == [names[1]]
    assert index["key"].to_pylist() == formats.clip_keys(["valid-dev/sample-000003"])


def members(names: list[str]) -> pa.Table:
    rows = [{"name": name, "size_bytes": 8000} for name in names]
    return pa.Table.from_pylist(rows, schema=schema.MEMBERS)


def test_a_clip_that_lies_in_both_places_is_an_error() -> None:
    names = ["cv-valid-dev/a.mp3", "cv-valid-dev/cv-valid-dev/a.mp3"]
    with pytest.raises(SnapshotError, match="valid-dev/a more than once"):
        formats.index_clips(members(names))


def test_a_duration_is_estimated_from_the_size() -> None:
    index = formats.index_clips(members(["cv-valid-dev/a.mp3"]))
    seconds = tables.estimated_seconds(["valid-dev/b", "valid-dev/a"], index)
    assert np.isnan(seconds[0])
    assert seconds[1] == 1


TSV = "client_id\tpath\tsentence_id\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\n"
TSV += 'ab12\tcommon_voice_en_1.mp3\t9\tHe said "so\t2\t0\ttwenties\tmale_masculine\tEngland English\ten\n'
TSV += "cd34\tcommon_voice_en_2\t8\tNULL\t2\t1\t\t\t\ten\n"  # old releases have no .mp3


def test_later_releases_have_tabs_speakers_and_one_folder_of_clips(tmp_path: Path) -> None:
    (tmp_path / "validated.tsv").write_text(TSV)
    (tmp_path / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_en_2.mp3\t4512\n")
    clips = tables.read_clips(["validated"], tmp_path, "mozilla-tsv")
    assert clips["clip_id"].tolist() == ["validated/common_voice_en_1", "validated/common_voice_en_2"]
    assert clips["speaker"].tolist() == ["ab12", "cd34"]
    assert clips["text"].tolist() == ['He said "so', "NULL"]
    assert clips["accent"].tolist()[0] == "England English"
    names = [
        f"cv-corpus-17.0/en/{name}" for name in ("validated.tsv", "clip_durations.tsv", "clips/common_voice_en_2.mp3")
    ]
    found = formats.find_tables(names, "mozilla-tsv")
    assert found == {"validated": names[0], "clip_durations": names[1]}
    index = formats.index_clips(members(names), "mozilla-tsv")
    assert index["key"].to_pylist() == formats.clip_keys(clips["clip_id"][1:], "mozilla-tsv")
    seconds = tables.estimated_seconds(clips["clip_id"], index, "mozilla-tsv", tmp_path)
    assert np.isnan(seconds[0])
    assert seconds[1] == 4.512


DURATIONS = "clip\tduration[ms]\ncommon_voice_en_1.mp3\t4512\n"


def durations(folder: Path, data: str | bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    (folder / "clip_durations.tsv").write_bytes(data.encode() if isinstance(data, str) else data)
    return tables.estimated_seconds(["validated/common_voice_en_1"], members([]), "mozilla-tsv", folder)


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        ("", 1, "has no column clip, duration"),
        (DURATIONS.replace("[ms]", ""), 1, "has no column duration"),
        (DURATIONS.replace("4512", "long"), 2, "expected milliseconds, got 'long'"),
        (DURATIONS.replace("4512", "nan"), 2, "expected milliseconds"),
        (DURATIONS.replace("4512", "-1"), 2, "expected milliseconds"),
        (DURATIONS.replace("4512", "9" * 5000), 2, "expected milliseconds"),
        (DURATIONS.replace("\t4512", ""), 2, "expected 2 fields, got 1"),
        (DURATIONS + DURATIONS.splitlines()[1].replace("4512", "1"), 3, "with another duration"),
        (DURATIONS.encode() + b"caf\xe9.mp3\t1\n", 3, "expected UTF-8"),
        (DURATIONS + "x" * 200_000 + "\t1\n", 3, "field larger than field limit"),
    ],
)
def test_durations_that_cannot_be_read_are_named(tmp_path: Path, data: str | bytes, line: int, said: str) -> None:
    with pytest.raises(TableError, match=re.escape(said)) as caught:
        durations(tmp_path, data)
    assert f"clip_durations.tsv, line {line}:" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_duration_that_stands_twice_is_the_same_one(tmp_path: Path) -> None:
    assert durations(tmp_path, DURATIONS + DURATIONS.splitlines()[1]) == [4.512]


def test_tables_that_share_clips_cannot_be_drawn_from_together(tmp_path: Path) -> None:
    for table in ("train", "validated"):
        (tmp_path / f"{table}.tsv").write_text(TSV)
    with pytest.raises(ParameterError, match="train/common_voice_en_1 and validated/common_voice_en_1"):
        tables.read_clips(["train", "validated"], tmp_path, "mozilla-tsv")


def test_no_table_or_one_twice_is_an_error() -> None:
    with pytest.raises(SnapshotError, match="holds no table"):
        formats.find_tables(["README.txt"])
    with pytest.raises(SnapshotError, match="valid-dev more than once"):
        formats.find_tables(["cv-valid-dev.csv", "copy/cv-valid-dev.csv"])


@pytest.mark.skipif(not REAL_TABLES.is_dir(), reason="the real tables are not here")
def test_the_real_tables_have_the_rows_that_they_should() -> None:
    tables = {"valid-dev": 4076, "valid-test": 3995, "other-dev": 3022, "other-test": 2961, "invalid": 25403}
    clips = read(REAL_TABLES, *tables)
    assert clips["table"].value_counts().to_dict() == tables
    assert clips["clip_id"].is_unique
