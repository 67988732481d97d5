"""`describe`: its drafts lead to a sample, the roles that are sure are right, and what is not sure is a comment."""

from __future__ import annotations

import json
import random
import shlex
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.__main__ import main
from pipeline.commands.describe import command
from pipeline.commands.describe.command import HEAD_BYTES
from pipeline.commands.describe.draft import Draft
from pipeline.core import schema
from pipeline.core.errors import ParameterError, SnapshotError
from pipeline.core.params import load_runtime
from pipeline.core.settings import validated
from pipeline.snapshot.archive import LocalFile, Member
from pipeline.snapshot.description import Description
from pipeline.snapshot.join import Join
from pipeline.snapshot.sources import OpenedSnapshot, open_snapshot
from tests.commands.layouts import LAYOUTS, Facts, tone
from tests.support.fake_kaggle import FakeKaggle, FileContent
from tests.support.project import REAL_CLIPS, Project
from tests.support.tarballs import pack

WITNESSES = {"heartbeat", "patients", "coughs", "file_lists"}
# The third column, which has no name, is the speaker; names are made of three columns; names are of two kinds.
NO_SURE_GROUP = {"file_lists", "solos", "two_shapes"}


def opened(path: Path | str) -> OpenedSnapshot:
    about = {"title": "t", "license": "l", "citation": "c", "audio": "{name}.*"}
    return open_snapshot(validated(Description, {**about, "source": command.source_of(str(path))}, "a"), load_runtime())


def drafted(path: Path) -> tuple[Draft, list[str]]:
    return command.drafted(opened(path), command.source_of(str(path)), "tried")


def draft_of(files: Mapping[str, bytes | str], folder: Path) -> Draft:
    return drafted(pack(_encoded(files), folder / "archive.zip"))[0]


def _encoded(files: Mapping[str, bytes | str]) -> dict[str, bytes]:
    return {name: each.encode() if isinstance(each, str) else each for name, each in files.items()}


def rows_of(draft: Draft, path: Path) -> list[dict[str, Any]]:
    """Return the rows that `download` makes of a whole archive by a draft."""
    there = opened(path)
    description = validated(Description, draft.values(), "the draft")
    join = Join(there.members, description, lambda member: there.snapshot.read(Member(**member)))
    rows: list[dict[str, Any]] = pa.concat_tables(join.tables()).to_pylist()
    return rows


def is_the_same(expected: Mapping[str, str | None], found: Mapping[str, str | None]) -> bool:
    """Tell whether clips have the same value by one if and only if they have it by the other."""
    pairs = {(expected[path], found[path]) for path in expected if path in found}
    return bool(pairs) and len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def answers(draft: Draft, rows: list[dict[str, Any]], facts: Mapping[str, Facts]) -> tuple[bool, bool]:
    """Return whether the label, and the group, are right: the ones that clips have, or none where they have none."""
    right = []
    for role, guess in enumerate((draft.roles.label.sure, draft.roles.group.sure)):
        expected = {path: each[role] for path, each in facts.items()}
        column = guess.name if guess else None
        found = {row["path"]: row[column] for row in rows} if column else {}
        right.append(is_the_same(expected, found) if any(expected.values()) else column is None)
    return right[0], right[1]


@pytest.mark.parametrize(
    "name", [name if name in WITNESSES else pytest.param(name, marks=pytest.mark.more) for name in LAYOUTS]
)
def test_describe_finds_rows_label_and_group_of_a_layout_that_nobody_has_described(name: str, tmp_path: Path) -> None:
    layout = LAYOUTS[name]()
    path = pack(layout.files, tmp_path / "archive.zip")
    draft, _ = drafted(path)
    rows = rows_of(draft, path)
    assert sum(row["path"] is not None for row in rows) > len(layout.facts) * 0.7
    label, group = answers(draft, rows, layout.facts)
    assert label == (name != "two_shapes")
    assert group == (name not in NO_SURE_GROUP)
    if name in NO_SURE_GROUP:
        assert draft.roles.group.sure is None
        assert "# No sure group" in draft.text()
    if name == "file_lists":
        assert "# apart: [column_3]" in draft.text()


@pytest.mark.parametrize("name", ["scenes", pytest.param("coughs", marks=pytest.mark.more)])
def test_describe_prints_what_it_tried(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = pack(LAYOUTS[name]().files, tmp_path / f"{name}.zip")
    assert main(["describe", str(path)]) == 0
    printed = capsys.readouterr()
    values = drafted(path)[0].values()
    assert YAML(typ="safe").load(printed.out) == {**values, "title": name.replace("_", "-")}
    assert "the draft was tried on the index and these heads" in printed.err


def test_describe_writes_a_draft_that_leads_to_a_sample(fresh: Project) -> None:
    """A folder of WAVs with tables, as somebody's script leaves it."""
    pack(LAYOUTS["scenes"]().files, fresh.root / "scenes")
    sampled(fresh, "scenes")
    clips = pq.read_table(fresh.root / schema.SAMPLE)
    assert clips.num_rows == 30
    assert set(clips["scene_label"].to_pylist()) == {"airport", "bus", "metro", "park"}
    splits = {(row["identifier"], row["split"]) for row in clips.to_pylist()}
    assert len(splits) == len({group for group, _ in splits})


def sampled(project: Project, path: str) -> Draft:
    """Describe what lies at a path of the project, and draw a sample with the parameters that the draft names."""
    to = f"configs/snapshots/{Path(path).stem.replace('.', '-')}.yaml"
    assert project.main("describe", path, "--to", to) == 0
    text = (project.root / to).read_text()
    try_it = text[text.index("dvc exp run") : text.index("\ntitle:")].replace("\\\n#", "")
    for setting in [word for word in shlex.split(try_it)[3:] if word != "-S"]:
        key, _, value = setting.partition("=")
        if key.startswith("~"):
            splits = YAML(typ="safe").load(project.root / "params.yaml")["stratify"]["splits"]
            project.set(stratify__splits={name: part for name, part in splits.items() if not key.endswith(name)})
        else:
            project.set(**{key.replace(".", "__"): YAML(typ="safe").load(value)})
    project.stage("download", "stratify", "subsample")
    return drafted(project.root / path)[0]


@pytest.mark.more
def test_describe_leads_to_a_sample_of_each_layout(fresh: Project) -> None:
    for name, make in LAYOUTS.items():
        pack(make().files, fresh.root / f"{name}.zip")
        sampled(fresh, f"{name}.zip")
        assert pq.read_table(fresh.root / schema.SAMPLE).num_rows > 20, name


@pytest.mark.more
def test_describe_leads_to_a_sample_of_popular_data_sets(fresh: Project) -> None:
    """All of the catalogue's miniatures whose rows are whole clips; nearly all roles are sure, and right."""
    miniatures = pytest.importorskip("tests.support.miniatures").MINIATURES
    right = []
    for name, miniature in miniatures.items():
        known = YAML(typ="safe").load(fresh.root / f"configs/snapshots/{name}.yaml")
        if "segment" in known or "format" in known:
            continue
        miniature.write(fresh.root / f"{name}-mini.zip")
        draft = sampled(fresh, f"{name}-mini.zip")
        rows = rows_of(draft, fresh.root / f"{name}-mini.zip")
        source = {"kind": "archive", "path": str(fresh.root / f"{name}-mini.zip")}
        there = opened(fresh.root / f"{name}-mini.zip")
        description = validated(Description, {**known, "source": source}, name)
        join = Join(there.members, description, lambda member, there=there: there.snapshot.read(Member(**member)))  # type: ignore[misc]
        theirs = [row for row in pa.concat_tables(join.tables()).to_pylist() if row["path"]]
        expected = {Path(row["path"]).name: row for row in theirs} | {row["path"]: row for row in theirs}
        group = miniature.group if miniature.group != miniature.text else None
        facts: dict[str, Facts] = {}
        for path in filter(None, (row["path"] for row in rows)):
            known_row = expected.get(path) or expected.get(Path(path).name)  # a copy in another folder is as good
            if known_row:
                facts[path] = (
                    known_row[miniature.label] if miniature.label else None,
                    known_row[group] if group else None,
                )
        right.append(answers(draft, rows, facts))
    # EmoDB's label is one letter of a code, and LJSpeech has no groups but chapters.
    assert sum(label for label, _ in right) >= 0.9 * len(right)
    assert sum(group for _, group in right) >= 0.85 * len(right)


@pytest.mark.more
def test_describe_names_a_command_that_dvc_takes(made: Project) -> None:
    pack(LAYOUTS["two_shapes"]().files, made.root / "two.zip")
    made.run("python", "-m", "pipeline", "describe", "two.zip", "--to", "configs/snapshots/two.yaml")
    text = (made.root / "configs/snapshots/two.yaml").read_text()
    lines = [
        line.removeprefix("#").strip().removeprefix("Try it:") for line in text.splitlines()[2:] if line[:1] == "#"
    ]
    made.run(
        "sh", "-c", "\n".join(lines[: next(at for at, line in enumerate(lines) if "subsample.seconds" in line) + 1])
    )
    assert json.loads((made.root / schema.RECEIPT).read_text())["snapshot"] == "two"
    assert pq.read_table(made.root / schema.SAMPLE).num_rows == 42


@pytest.mark.skipif(not REAL_CLIPS.exists(), reason="real data lies beside the checkout of its authors only")
def test_describe_knows_what_is_said_in_real_clips() -> None:
    draft, _ = drafted(REAL_CLIPS)
    assert draft.roles.text.sure is not None
    assert draft.roles.label.sure is None
    assert draft.layout.keys["clip"] == "{filename}"


def test_describe_reads_no_clip_and_of_a_table_its_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{number}.wav,{'dog' if number % 2 else 'cat'},r{number // 3}\n" for number in range(4_000))
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("all.csv", f"file,label,recording\n{rows}")
        for number in range(4_000):
            archive.writestr(f"clips/{number}.wav", f"{number}")
    read: list[tuple[int, int]] = []
    plain = LocalFile.read

    def noted(file: LocalFile, offset: int, length: int) -> bytes:
        read.append((offset, length))
        return plain(file, offset, length)

    monkeypatch.setattr(LocalFile, "read", noted)
    draft, seen = drafted(path)
    begins = index_begins(path)
    assert [offset for offset, _ in read if offset < begins] == [0]
    assert sum(length for offset, length in read if offset < begins) <= HEAD_BYTES + 200
    assert any("about " in line and "rows" in line for line in seen)
    assert draft.roles.label.sure is not None
    assert draft.roles.group.sure is not None


def index_begins(path: Path) -> int:
    """Return where an archive's index begins."""
    with zipfile.ZipFile(path) as archive:
        return archive.start_dir


def test_describe_reads_a_remote_archive_in_few_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    noise = random.Random(1)
    rows = "".join(f"{number}.wav,c{number % 5},{noise.randbytes(2000).hex()}\n" for number in range(60))
    files = {"all.csv": f"file,label,noise\n{rows}".encode(), **{f"{number}.wav": tone(number) for number in range(60)}}
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with FakeKaggle(FileContent(path)).serving() as fake:
        there = opened(fake.url)
        draft, _ = command.drafted(there, command.source_of(fake.url), "tried")
        there.snapshot.close()
    assert len(fake.requests) == 2
    assert fake.sent_bytes < 2 * HEAD_BYTES
    assert draft.roles.label.sure is not None


def test_describe_says_what_is_there(tmp_path: Path) -> None:
    files = {f"fold{fold}/{number}-{fold}.wav": tone(number * 7 + fold) for fold in range(1, 11) for number in range(4)}
    files |= {f"again/{name}": data for name, data in files.items()} | {"__MACOSX/._x": b"", "notes.md": b"# Notes"}
    _, seen = drafted(pack(files, tmp_path / "archive.zip"))
    text = "\n".join(seen)
    assert "80 clips" in text
    assert "  fold…/*.wav  40" in text
    assert "  40 clips are copies of another" in text
    assert "  others: 1 .md" in text


@pytest.mark.parametrize(
    ("table", "key", "template"),
    [
        ("name;kind;said\n" + "".join(f'c{n};k{n % 3};"a; b"\n' for n in range(9)), "separator", "{name}.wav"),
        ("".join(f"c{n}  k{n % 3}   x{n}\n" for n in range(9)), "header", "{column_1}.wav"),
        ("name\tkind\n" + "".join(f'data/c{n}.mp3\t"k{n % 3}\n' for n in range(9)), "quote", "{name|stem}.wav"),
        ("# made by hand\nname,kind\n" + "".join(f"c{n}.wav,k{n % 3}\n" for n in range(9)), "comment", "{name}"),
        ("name | kind\n" + "".join(f"c{n}.wav | k{n % 3}\n" for n in range(9)), "trim", "{name}"),
        ("name,kind,ort\n" + "".join(f"c{n}.wav,k{n % 3},Köln {n}\n" for n in range(9)), "encoding", "{name}"),
    ],
    ids=["semicolons", "blanks", "tabs", "comment", "trim", "encoding"],
)
def test_describe_tells_how_a_table_is_written(table: str, key: str, template: str, tmp_path: Path) -> None:
    clips = {f"clips/c{number}.wav": tone(number) for number in range(9)}
    draft = draft_of({**clips, "list.txt": table.encode("latin-1")}, tmp_path)
    keys = draft.layout.keys
    assert keys["clip"] == template
    assert key in keys["dialect"]
    assert len(rows_of(draft, tmp_path / "archive.zip")) == 9


def test_describe_fills_numbers_with_zeros_and_names_folders_by_columns(tmp_path: Path) -> None:
    clips = {f"audio/{number:06}.wav": tone(number) for number in range(95, 106)}
    table = "track,genre\n" + "".join(f"{number},g{number % 2}\n" for number in range(95, 106))
    draft = draft_of({**clips, "tracks.csv": table}, tmp_path)
    assert draft.layout.keys["clip"] == "{track|pad:6}.wav"
    clips = {f"fold{fold}/{number}.wav": tone(10 * fold + number) for fold in range(1, 4) for number in range(4)}
    table = "file,fold,class\n" + "".join(f"{n}.wav,{fold},c{n}\n" for fold in range(1, 4) for n in range(4))
    draft = draft_of({**clips, "all.csv": table}, tmp_path)
    assert draft.layout.keys["clip"] == "fold{fold}/{file}"


def test_describe_takes_rows_with_a_start_and_an_end_for_pieces(tmp_path: Path) -> None:
    clips = {f"scapes/site{number % 4}_{number:03}.wav": tone(number) for number in range(12)}
    table = "filename,start_time,end_time,f_min,f_max,species\n" + "".join(
        f"{Path(name).name},0:0{second},0:0{second + 3},2,9,b{second % 5}\n" for name in clips for second in (0, 3, 6)
    )
    draft, seen = drafted(pack({**clips, "labels.csv": table.encode()}, tmp_path / "archive.zip"))
    assert draft.values()["segment"] == {"start": "start_time", "end": "end_time", "unit": "clock"}
    assert draft.values()["label"] == "species"
    assert "  3.0 rows for each clip: pieces, from start_time to end_time" in seen
    assert len(rows_of(draft, tmp_path / "archive.zip")) == 36


def test_describe_does_not_take_other_rows_of_a_clip_for_clips(tmp_path: Path) -> None:
    clips = {f"scapes/site{number % 4}_{number:03}.wav": tone(number) for number in range(12)}
    table = "filename,f_min,f_max\n" + "".join(f"{Path(name).name},{at},{at + 5}\n" for name in clips for at in (0, 5))
    draft, seen = drafted(pack({**clips, "labels.csv": table.encode()}, tmp_path / "archive.zip"))
    assert "tables" not in draft.values()
    assert any(line.startswith("labels.csv: not used in the draft: 2.0 rows for each clip") for line in seen)


def test_describe_makes_no_role_of_the_publishers_split(tmp_path: Path) -> None:
    clips = {f"{part}/s{number % 5}_{number}.wav": number for part in ("TRAIN", "Dev_clean") for number in range(20)}
    table = "file,kind,part\n" + "".join(
        f"{name},k{at % 3},{['test', 'validation'][at % 2]}\n" for name, at in clips.items()
    )
    for tables in ({}, {"all.csv": table}):
        draft = draft_of({**{name: tone(at) for at, name in enumerate(clips)}, **tables}, tmp_path)
        assert "# the publisher's split, to keep, and no label or group: " in draft.text()
        of_splits = [column.name for column in draft.layout.columns if column.is_split]
        assert len(of_splits) == 1
        assert not {guess.column.name for role in draft.roles for guess in role} & {*of_splits}


def test_describe_takes_a_table_that_lists_other_files_as_well(tmp_path: Path) -> None:
    clips = {f"data/spk{number % 5}/s{number}.wav": tone(number) for number in range(20)}
    rows = [
        f"{name.removesuffix('wav')}{end},d{at % 3},{end == 'wav'}\n"
        for at, name in enumerate(clips)
        for end in ("wav", "phn", "wrd")
    ]
    draft = draft_of({**clips, "all.csv": "path,dialect,is_audio\n" + "".join(rows)}, tmp_path)
    assert draft.layout.keys["clip"] == "{path}"
    assert draft.values()["label"] == "dialect"
    assert [column.name for column in draft.declared] == ["dialect"]  # of the rows of clips, one value of is_audio
    assert len(rows_of(draft, tmp_path / "archive.zip")) == 20


def test_describe_finds_a_lookup_by_a_field_and_the_text_around_it(tmp_path: Path) -> None:
    clips = {
        f"wav/id{10001 + who}/v{who}{take}/0{take}.wav": tone(5 * who + take) for who in range(6) for take in range(4)
    }
    people = "ID,Nationality,Set\n" + "".join(f"id{10001 + who},{'UI'[who % 2]},dev\n" for who in range(6))
    lists = "".join(f"{at % 3} {name.removeprefix('wav/')}\n" for at, name in enumerate(clips))
    draft = draft_of({**clips, "people.csv": people, "split.txt": lists}, tmp_path)
    assert [lookup["on"] for lookup in draft.layout.lookups] == [{"ID": "id{part_1}"}]
    assert draft.values()["apart"] == ["part_1"], draft.text()


def test_describe_takes_no_few_numbers_for_names(tmp_path: Path) -> None:
    clips = {f"p{who}q/{take:05}.wav": tone(4 * who + take) for who in range(12) for take in range(1, 4)}
    lists = "".join(f"{at % 3 + 1} {name}\n" for at, name in enumerate(clips))
    _, seen = drafted(pack({**clips, "split.txt": lists.encode()}, tmp_path / "archive.zip"))
    assert "split.txt: clip is {column_2}, which finds a clip for 100% of the rows" in seen


def test_describe_finds_clips_that_several_columns_name(tmp_path: Path) -> None:
    noise = random.Random(4)
    names = [(f"t{at % 3}", str(at % 4), str(uuid.UUID(int=noise.getrandbits(128)))) for at in range(24)]
    clips = {f"solos/Solos-DB_{part}-{number}_{code}.wav": tone(at) for at, (part, number, code) in enumerate(names)}
    table = "part,instrument,instrument_id,song_id,uuid4\n"
    table += "".join(f"{part},i{number},{number},{at // 3},{code}\n" for at, (part, number, code) in enumerate(names))
    draft = draft_of({**clips, "all.csv": table}, tmp_path)
    assert draft.layout.keys["clip"] == "Solos-DB_{part}-{instrument_id}_{uuid4}.wav"
    assert draft.values()["apart"] == ["song_id"]
    assert sum(row["path"] is not None for row in rows_of(draft, tmp_path / "archive.zip")) == 24


def test_describe_takes_a_table_once_that_smaller_ones_repeat(tmp_path: Path) -> None:
    clips = [f"clips/c{number}.wav" for number in range(30)]

    def table(*numbers: int) -> str:
        return "path,client_id,words\n" + "".join(f"c{at}.wav,p{at % 7},said {at} times\n" for at in numbers)

    lists = {"all.csv": table(*range(20)), "train.csv": table(*range(12)), "other.csv": table(*range(20, 30))}
    path = pack({**{name: tone(at) for at, name in enumerate(clips)}, **_encoded(lists)}, tmp_path / "archive.zip")
    draft, seen = drafted(path)
    assert draft.layout.keys["tables"] == ["/all.csv", "/other.csv"]
    assert any(
        line.startswith("train.csv: not used in the draft: larger tables name 100% of its clips") for line in seen
    )
    assert len(rows_of(draft, path)) == 30


def test_describe_makes_no_lookup_of_a_few_small_numbers(tmp_path: Path) -> None:
    clips = {f"dia{number}_{take}.wav": tone(8 * number + take) for number in range(5) for take in range(6)}
    said = "number,mood\n" + "".join(f"{number},m{number % 3}\n" for number in range(60))
    draft = draft_of({**clips, "said.csv": said}, tmp_path)
    assert draft.layout.lookups == []


def test_describe_knows_a_header_that_ends_in_empty_cells(tmp_path: Path) -> None:
    clips = {f"c{number}.wav": tone(number) for number in range(12)}
    table = "file,kind,,\n" + "".join(f"c{at}.wav,k{at % 3},,\n" for at in range(12))
    draft = draft_of({**clips, "all.csv": table}, tmp_path)
    assert [column.name for column in draft.declared] == ["kind"]
    assert len(rows_of(draft, tmp_path / "archive.zip")) == 12


def test_describe_names_spreadsheets_and_tables_that_it_does_without(tmp_path: Path) -> None:
    clips = {f"K{number}.WAV": tone(number) for number in range(6)}
    table = b"file,kind\n" + b"".join(b"k%d.wav,%d\n" % (number, number % 2) for number in range(6))
    files = {**clips, "facts.xlsx": b"PK", "list.csv": table, "prose.csv": b"All of this,\nis\nno,t,a,b,l,e"}
    _, seen = drafted(pack(files, tmp_path / "archive.zip"))
    assert [line.split(";")[0] for line in seen if "not " in line or "no " in line] == [
        "not read: facts.xlsx",
        "prose.csv: no table: no separator cuts its first lines alike",
        "list.csv: not used in the draft: no column names clips, nor what is known of them",
    ]


def test_describe_shows_tables_and_folders_in_short_lines(tmp_path: Path) -> None:
    clips = {f"wav/{'abcdefghijklmnopqrstuvwxyz'[at]}x/{at}.wav": tone(at) for at in range(26)}
    lines = "".join(f'{at}.wav,"<p>two\nlines</p>",{"long" * 600},k{at % 12}\n' for at in range(26))
    # Beyond what is read of a table, which ends within a quoted cell.
    text = "file,bio,more,kind\n" + lines + f'99.wav,"{"x" * (HEAD_BYTES - len(lines) - 60)}\n{"y" * 200}",a,b\n'
    _, seen = drafted(pack({**clips, "all.csv": text.encode()}, tmp_path / "archive.zip"))
    assert "  wav/*/*.wav  26" in seen
    assert any(line.startswith("  0.wav | <p>two lines</p> | longlong") for line in seen)
    assert "all.csv: clip is {file}, which finds a clip for 100% of the rows" in seen
    assert max(map(len, seen)) <= 120


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"train.7z": b"7z", "a.csv": b"a,b\n"}, r"no member is audio; .* are 1 7z, 1 csv\. Unpack .*: source\.file\."),
        ({"a/x.m4a": b"m4a", "a/y.m4a": b"m4a"}, r"all 2 clips are m4a, which no decoder here reads"),
    ],
)
def test_describe_says_where_there_is_no_audio(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match=message):
        drafted(pack(files, tmp_path / "archive.zip"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(SnapshotError, match="there is no file in it"):
        drafted(tmp_path / "folder")


def test_describe_takes_sources_and_refuses_what_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.source_of("kaggle:o/n@3") == {"kind": "kaggle", "dataset": "o/n", "version": 3}
    assert command.source_of("kaggle-competition:bird") == {"kind": "kaggle-competition", "competition": "bird"}
    assert command.source_of("https://x.org/a.zip") == {"kind": "archive", "path": "https://x.org/a.zip"}
    assert command.source_of(str(tmp_path)) == {"kind": "directory", "path": str(tmp_path)}
    with pytest.raises(ParameterError, match="is not there"):
        command.source_of(str(tmp_path / "none.zip"))
    (tmp_path / "text.zip").write_text("no zip")
    assert main(["describe", str(tmp_path / "text.zip")]) == 1
    assert main(["describe", "kaggle:nobody"]) == 2
    there = tmp_path / "there.yaml"
    there.write_text("mine")
    assert main(["describe", str(tmp_path), "--to", str(there)]) == 2
    assert there.read_text() == "mine"
    assert "nothing is overwritten" in capsys.readouterr().err
