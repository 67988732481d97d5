"""The table of clips has what the classes of the old formats read: ids, columns, values, places."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.core import schema
from pipeline.snapshot import formats, tables
from pipeline.snapshot.archive import LocalFile, Member, read_index, read_member
from pipeline.snapshot.description import describe
from pipeline.snapshot.join import Join
from tests.support.project import DEMO, REAL_CLIPS, REAL_TABLES

TSV = "client_id\tpath\tsentence_id\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\n"
TSV += 'ab12\tcommon_voice_en_1.mp3\t9\tHe said "so\t2\t0\ttwenties\tmale_masculine\tEngland English\ten\n'
TSV += "cd34\tcommon_voice_en_2\t8\tNULL\t2\t1\t\t\t\ten\n"


def compare(joined: list[pa.Table], folder: Path, members: pa.Table, layout: str) -> None:
    index = formats.index_clips(members, layout)
    for table in joined:
        [name] = table["table"].unique().to_pylist()
        old = tables.read_clips([name], folder, layout)
        assert table.column_names[: len(old.columns)] == list(old.columns)
        for column in old.columns:
            assert table[column].to_pylist() == pa.array(old[column], from_pandas=True).to_pylist(), column
        keys = pa.array(formats.clip_keys(old["clip_id"], layout))
        places = dict(zip(index["key"].to_pylist(), index["name"].to_pylist(), strict=True))
        assert table["path"].to_pylist() == [places.get(key) for key in keys.to_pylist()]
        if layout == "mozilla-tsv":
            seconds = tables.estimated_seconds(old["clip_id"], index, layout, folder)
            assert table["seconds"].to_pylist() == pa.array(seconds, from_pandas=True).to_pylist()


@pytest.mark.parametrize("path", [DEMO, REAL_CLIPS], ids=["demo", "real"])
def test_table_of_clips_is_what_the_old_reader_reads_of_an_archive(path: Path, tmp_path: Path) -> None:
    file = LocalFile(path)
    members = read_index(file).members
    for row in members.to_pylist():
        if row["name"].endswith(".csv"):
            (tmp_path / row["name"]).write_bytes(read_member(file, Member(**row)))
    join = Join(members, describe("demo"), lambda row: read_member(file, Member(**row)))
    compare(list(join.tables()), tmp_path, members, "kaggle-v1")


def test_table_of_clips_is_what_the_old_reader_reads_of_the_real_tables() -> None:
    rows = [{"name": path.name, "size_bytes": path.stat().st_size} for path in REAL_TABLES.iterdir()]
    rows += [{"name": f"cv-{t}/cv-{t}/sample-000000.mp3", "size_bytes": 1} for t in ("invalid", "valid-dev")]
    members = pa.Table.from_pylist(rows, schema=schema.MEMBERS)
    join = Join(members, describe("demo"), lambda row: (REAL_TABLES / row["name"]).read_bytes())
    joined = list(join.tables())
    assert sum(table.num_rows for table in joined) == 39457
    compare(joined, REAL_TABLES, members, "kaggle-v1")


def test_table_of_clips_is_what_the_old_reader_reads_of_a_later_release(tmp_path: Path) -> None:
    (tmp_path / "validated.tsv").write_text(TSV)
    (tmp_path / "clip_durations.tsv").write_text("clip\tduration[ms]\ncommon_voice_en_2.mp3\t4512\n")
    (tmp_path / "mine.yaml").write_text(
        "{title: t, license: l, citation: c, format: mozilla-tsv, source: {kind: directory, path: x}}"
    )
    names = ["validated.tsv", "clip_durations.tsv", "clips/common_voice_en_2.mp3", "clips/common_voice_en_1.mp3"]
    members = pa.Table.from_pylist([{"name": f"cv/en/{n}", "size_bytes": 9} for n in names], schema=schema.MEMBERS)
    join = Join(members, describe("mine", tmp_path), lambda row: (tmp_path / Path(row["name"]).name).read_bytes())
    compare(list(join.tables()), tmp_path, members, "mozilla-tsv")
