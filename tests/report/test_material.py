"""The input of a report: as the careful reader reads it, and one error that names a damaged file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from pipeline.__main__ import main
from pipeline.core import schema
from pipeline.core.errors import ShardError, TableError
from pipeline.report import material
from pipeline.snapshot import formats, tables
from pipeline.waveforms.reader import open_waveforms
from tests.support.project import REAL_TABLES, Project

COLUMNS = ["text", "age", "gender", "accent", "up_votes", "down_votes", "table"]
KAGGLE = "filename,text,up_votes,down_votes,age,gender,accent,duration"
MOZILLA = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    schema.TABLES.mkdir(parents=True)
    return schema.TABLES


def read_alike(named: list[str], snapshot_format: str) -> pd.DataFrame:
    """Read tables, and check that `read_clips` reads the same."""
    read: pd.DataFrame = material.read_population(named, COLUMNS, snapshot_format).to_pandas()
    careful = tables.read_clips(named, format_name=snapshot_format)
    pd.testing.assert_frame_equal(read[COLUMNS], careful[COLUMNS])
    return read


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["cv-a/x.mp3,one two,1,2,teens,male,us,"],
        ["cv-a/x.mp3,,0,0,,,,", "", "cv-a/y.mp3,null,007,2,NA,nan,None,"],
        ['cv-a/x.mp3,"a, b",1,2,"te""ens",,us,', 'cv-a/y.mp3,"two\nlines",1,2,,,,'],
        ["cv-a/x.mp3,  spaces  ,1,2,\u00e5ge,\u202e,💥,"],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_population_of_kaggle_is_read_as_by_the_careful_reader(
    folder: Path, rows: list[str], end: str, mark: str
) -> None:
    (folder / "cv-a.csv").write_text(mark + end.join([KAGGLE, *rows, ""]), encoding="utf-8", newline="")
    assert len(read_alike(["a"], "kaggle-v1")) == len([row for row in rows if row])


def test_population_with_a_row_too_long_for_arrow_is_read_by_the_careful_reader(folder: Path) -> None:
    cell = 130_000 * "💥"  # five of them are more than two blocks
    row = f"cv-a/x.mp3,{cell},1,2,{cell},,{cell},{cell},{cell}"
    (folder / "cv-a.csv").write_text(f"{KAGGLE},more\n{row}\n", encoding="utf-8")
    with pytest.raises(pa.ArrowInvalid, match="straddl"):
        pa_csv.read_csv(folder / "cv-a.csv")
    assert read_alike(["a"], "kaggle-v1")["text"].tolist() == [cell]
    read = material.read_population(["a"], COLUMNS, "kaggle-v1")
    assert set(read.schema.types) == {pa.string(), pa.int32()}
    assert read["gender"].null_count == 1


@pytest.mark.parametrize("accent", ["accent", "accents"])
def test_population_of_a_later_release_is_read_as_by_the_careful_reader(folder: Path, accent: str) -> None:
    rows = ['s\ta.mp3\tan "unbalanced quote\t1\t2\ttwenties\tmale\t\ten\t', "s\tb\t'x' \"\t1\t2\t\t\tus\ten\t"]
    header = MOZILLA.replace("accents", accent)
    (folder / "validated.tsv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    assert list(read_alike(["validated"], "mozilla-tsv")["text"]) == ['an "unbalanced quote', "'x' \""]


@pytest.mark.more
@pytest.mark.skipif(not REAL_TABLES.is_dir(), reason="the tables of the snapshot are not beside this checkout")
def test_population_of_the_real_tables_is_read_as_by_the_careful_reader(folder: Path) -> None:
    for path in REAL_TABLES.glob("*.csv"):
        shutil.copy(path, folder)
    named = sorted(formats.find_tables(path.name for path in folder.iterdir()))
    assert len(read_alike(named, "kaggle-v1")) > 1000


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"filename,text\n",
        KAGGLE.encode() + b"\ncv-a/x.mp3,one\n",
        KAGGLE.encode() + b"\ncv-a/x.mp3,\xff,1,2,,,,\n",
        KAGGLE.encode() + b"\ncv-a/x.mp3,a,many,2,,,,\n",
    ],
)
def test_population_in_a_damaged_table_is_an_error_that_names_file_and_line(folder: Path, damaged: bytes) -> None:
    (folder / "cv-a.csv").write_bytes(damaged)
    with pytest.raises(TableError, match=r"^cv-a.csv, line [12]: "):
        material.read_population(["a"], COLUMNS, "kaggle-v1")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """Turn bits in the middle of the data."""
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 3 + 40):
        data[place] ^= 0xFF
    path.write_bytes(data)


def swap_letters(path: Path) -> None:
    """Change what a reader of text takes as it is."""
    data = path.read_bytes()
    at = max(data.rfind(letter) for letter in b"aeiou")
    path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: list[Callable[[Path], object]] = [cut, lambda path: path.write_bytes(b""), Path.unlink, swap_letters, pipe]
FILES = [
    *("data/rejected.csv", "data/sample.parquet", "data/ranking.parquet", "data/snapshot/receipt.json"),
    *("data/clips/part-00000.parquet", "data/waveforms/part-00000.parquet", "data/waveforms/part-00003.parquet"),
    *("data/features/part-00000.parquet", "data/features/part-00003.parquet"),
    "data/snapshot/tables/cv-valid-train.csv",
]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(name, damage, marks=[] if (file - kind) % 5 == 0 else pytest.mark.more)
        for file, name in enumerate(FILES)
        for kind, damage in enumerate(DAMAGES)
    ],
)
def test_material_that_is_damaged_ends_in_one_message_and_leaves_the_report_unchanged(
    name: str,
    damage: Callable[[Path], object],
    reported: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(reported.root)
    damage(reported.root / name)
    before = reported.outputs()
    if (status := main(["report"])) == 0:
        pytest.fail(f"{name} was taken as it is")
    assert status in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("report: ")
    assert Path(name).name in said or str(Path(name).parent) in said or "valid-train" in said
    assert "Traceback" not in said
    assert reported.outputs() == before


@pytest.mark.parametrize("name", [f"data/{name}/part-00000.parquet" for name in ("waveforms", "clips", "features")])
def test_material_with_flipped_bits_ends_in_one_message_or_does_not_read_them(
    name: str, reported: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(reported.root)
    flip(reported.root / name)
    before = {path: data for path, data in reported.outputs().items() if path.startswith("reports/")}
    if main(["report"]):
        assert name in capsys.readouterr().err
    assert {path: data for path, data in reported.outputs().items() if path.startswith("reports/")} == before


def test_material_of_another_sample_is_an_error(reported: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reported.root)
    last = max(schema.WAVEFORMS.glob("*.parquet"))
    last.unlink()
    with pytest.raises(ShardError, match=r"waveforms: .*sample\.parquet"):
        material.load(open_waveforms(), ["valid-train"], ["gender"], "kaggle-v1")


def test_material_with_another_table_in_place_of_the_sample_is_an_error(
    reported: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported.root)
    shutil.copy(schema.RANKING, schema.SAMPLE)
    with pytest.raises(ShardError, match=r"sample\.parquet"):
        material.load(open_waveforms(), ["valid-train"], ["gender"], "kaggle-v1")


def test_material_leaves_out_a_damaged_table_that_no_clip_is_drawn_from_with_a_warning(
    staged: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(staged.root)
    drawn = [table for table in material.SHIPPED_SPLITS if table != "valid-dev"]
    whole = material.load(open_waveforms(), drawn, ["gender"], "kaggle-v1").shipped
    with (schema.TABLES / "cv-valid-dev.csv").open("a") as file:
        file.write("too,few\n")
    shipped = material.load(open_waveforms(), drawn, ["gender"], "kaggle-v1").shipped
    assert set(shipped["table"].to_pylist()) == set(drawn) < set(whole["table"].to_pylist())
    assert "cv-valid-dev.csv, line" in caplog.text
    with pytest.raises(TableError, match=r"cv-valid-dev\.csv, line"):
        material.load(open_waveforms(), ["valid-dev"], ["gender"], "kaggle-v1")
