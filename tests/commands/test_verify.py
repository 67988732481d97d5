"""`verify`: any single flipped byte of any output is found, and whatever two outputs say differently of one clip."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.__main__ import main
from pipeline.commands.verify import agreement, audit, recorded
from pipeline.commands.verify.outputs import Problem
from pipeline.core import schema
from pipeline.core.errors import ParameterError
from pipeline.shards import sealed
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.shards.table import write_table
from pipeline.snapshot.receipt import write_members
from tests.support.project import Project

FLIPS = 500


def problems(folder: Path) -> dict[str, str]:
    """Return what `verify` finds, by the path below the folder."""
    return {str(each.path.relative_to(folder)): each.what for each in audit.verify(folder).problems}


def flip(path: Path, dice: random.Random) -> None:
    """Change one byte of a file, which may be linked into DVC's cache."""
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= dice.randrange(1, 256)
    path.unlink()
    path.write_bytes(data)


def remove(path: Path) -> None:
    """Remove an output."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def rewrite(path: Path, **columns: Any) -> None:
    """Write a Parquet file again, with other values in some columns."""
    table = pq.read_table(path)
    for name, change in columns.items():
        values = table[name].to_pylist()
        table = table.set_column(
            table.column_names.index(name),
            table.schema.field(name),
            pa.array(change(values), table.schema.field(name).type),
        )
    if path.name == schema.MEMBERS_FILE.name:
        write_members(path, table)
    else:
        write_table(path, table.replace_schema_metadata(None))


def reseal(path: Path, change: dict[str, Any], **settings: Any) -> None:
    """Write a shard of waveforms again with one row changed, and a right seal: what only its rows can tell."""
    shard = Shard(path, DerivedSeal)
    tables = [shard.read(group) for group in shard.groups]
    for name, value in change.items():
        place = tables[0].column_names.index(name)
        column = pa.array([value, *tables[0][name].to_pylist()[1:]], tables[0].schema.field(name).type)
        tables[0] = tables[0].set_column(place, tables[0].schema.field(name), column)
    with sealed.writing(path, shard.columns, **settings) as writer:
        for table in tables:
            writer.write(table)
        writer.seal(replace(shard.seal, content_sha256="0" * 64, footer_sha256="0" * 64))


def test_what_dvc_made_is_whole(made_once: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made_once.root)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("verify: ")
    assert said.out.endswith("whole and consistent\n")
    assert said.err == ""


def test_each_of_500_flipped_bytes_is_found(made: Project) -> None:
    whole = made.outputs()
    dice = random.Random(14)
    left = FLIPS
    while left:
        flipped = dice.sample(sorted(whole), k=min(left, len(whole)))
        for name in flipped:
            flip(made.root / name, dice)
        found = problems(made.root)
        assert set(flipped) <= set(found), sorted(set(flipped) - set(found))
        for name in flipped:
            (made.root / name).write_bytes(whole[name])
        left -= len(flipped)
    assert problems(made.root) == {}


@pytest.mark.parametrize("folder", ["data/waveforms", "data/clips", "data/snapshot", "reports", "data"])
def test_a_flip_is_found_when_only_its_folder_is_verified(made: Project, folder: str) -> None:
    dice = random.Random(folder)
    path = dice.choice(
        [path for path in sorted((made.root / folder).rglob("*")) if path.is_file() and "demo" not in path.parts]
    )
    flip(path, dice)
    assert list(problems(made.root / folder)) == [str(path.relative_to(made.root / folder))]


def test_without_the_cache_the_folder_of_the_flip_is_named(made: Project) -> None:
    shutil.rmtree(made.root / ".dvc/cache")
    flip(made.root / "data/snapshot/receipt.json", random.Random(1))
    assert "data/snapshot" in {name[: len("data/snapshot")] for name in problems(made.root)}


def test_the_manifest_of_a_folder_is_the_one_of_dvc(made_once: Project) -> None:
    lock = recorded.Lock.above(made_once.root)
    assert lock is not None
    folders = {path: md5 for path, md5 in lock.outs.items() if path.is_dir()}
    assert len(folders) >= 3
    for path, md5 in folders.items():
        manifest = json.loads((made_once.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).read_bytes())
        assert recorded.manifest_md5({each["relpath"]: each["md5"] for each in manifest}) + ".dir" == md5, path


def test_a_file_too_few_or_too_many_is_named(made: Project) -> None:
    (made.root / "data/snapshot/tables/cv-invalid.csv").unlink()
    (made.root / "data/waveforms/notes.txt").write_text("mine")
    found = problems(made.root)
    assert "is missing" in found["data/snapshot/tables/cv-invalid.csv"]
    assert "is not among the files" in found["data/waveforms/notes.txt"]


def test_a_lock_file_that_cannot_be_read_is_a_problem(made: Project) -> None:
    (made.root / "dvc.lock").write_text("stages: [")
    assert "cannot be read" in problems(made.root)["dvc.lock"]


@pytest.mark.parametrize(
    ("here", "folder"),
    [
        (".", "."),
        (".", "data"),
        (".", "data/waveforms"),
        ("data", "."),
        ("data", "waveforms"),
        ("data/clips", "../waveforms"),
        ("data/clips", "../.."),
    ],
)
def test_a_relative_folder_gets_the_verdict_of_the_absolute_one(made: Project, here: str, folder: str) -> None:
    flip(made.root / "data/waveforms/part-00000.parquet", random.Random(3))
    (made.root / "data/waveforms/notes.txt").write_text("mine")
    with contextlib.chdir(made.root / here):
        resolved = Path(folder).resolve()
        absolute, relative = audit.verify(resolved), audit.verify(Path(folder))
    expected = [Problem(Path(folder) / each.path.relative_to(resolved), each.what) for each in absolute.problems]
    assert relative == replace(absolute, problems=tuple(expected))
    assert len(expected) == 2
    assert relative.unguarded == ()


@pytest.mark.parametrize(
    ("here", "folder", "named"),
    [(".", ".", "dvc.lock"), (".", "data/waveforms", "dvc.lock"), ("data", "waveforms", "../dvc.lock")],
)
def test_the_lock_file_is_named_from_where_the_user_is(staged: Project, here: str, folder: str, named: str) -> None:
    (staged.root / "dvc.lock").write_text("stages: [")
    with contextlib.chdir(staged.root / here):
        (problem,) = audit.verify(Path(folder)).problems
    assert str(problem.path) == named


MISSING = ("data/clips", "data/ranking.parquet", "data/snapshot", "data/waveforms", "reports/report.html")


@pytest.mark.parametrize("gone", [*((name,) for name in MISSING), MISSING])
def test_what_is_recorded_and_not_here_is_named_and_no_problem(
    made: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gone: tuple[str, ...]
) -> None:
    monkeypatch.chdir(made.root)
    for name in gone:
        remove(made.root / name)
    assert main(["verify"]) == 0
    said = capsys.readouterr()
    assert f"not here, though dvc.lock records it: {', '.join(gone)} (" in said.err
    assert said.err.count("\n") == 1
    assert said.out.endswith("whole and consistent\n")


def test_only_what_is_recorded_within_the_folder_is_missed(made: Project) -> None:
    remove(made.root / "data/clips")
    assert audit.verify(made.root / "data/waveforms").missing == ()
    assert audit.verify(made.root / "data").missing == (made.root / "data/clips",)


def test_of_a_clone_without_data_nothing_is_said_to_be_whole(
    made: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.run("git", "clone", "--quiet", ".", "clone")
    monkeypatch.chdir(made.root / "clone")
    shutil.copy(made.root / "dvc.lock", "dvc.lock")
    shutil.copy(made.root / "reports/metrics.json", "reports/metrics.json")
    assert main(["verify"]) == 0
    said = capsys.readouterr()
    assert "whole" not in said.out
    assert all(name in said.err for name in MISSING)


def test_of_a_folder_only_what_has_no_checksum_is_named(made: Project) -> None:
    for name in ("reports/clips/a.png", "reports/clips/more/b.png", "reports/notes.txt"):
        (made.root / name).parent.mkdir(exist_ok=True)
        (made.root / name).write_bytes(b"mine")
    assert audit.verify(made.root).unguarded == (made.root / "reports/clips", made.root / "reports/notes.txt")


def test_of_a_snapshot_only_what_is_not_listed_is_named(unlocked: Project) -> None:
    data = unlocked.root / "data"
    sha256 = hashlib.sha256((data / "snapshot/receipt.json").read_bytes()).hexdigest()
    (data / "SHA256SUMS").write_text(f"{sha256}  snapshot/receipt.json\n")
    unguarded = [path for path in audit.verify(data).unguarded if path.is_relative_to(data / "snapshot")]
    assert unguarded == [data / "snapshot/members.parquet", data / "snapshot/tables"]


@pytest.mark.parametrize("output", ["waveforms", "clips"])
def test_shards_alone_in_any_folder_are_enough(staged: Project, tmp_path: Path, output: str) -> None:
    shutil.copytree(staged.root / "data" / output, tmp_path / "elsewhere")
    assert audit.verify(tmp_path / "elsewhere") == replace(
        audit.verify(tmp_path / "elsewhere"), problems=(), unguarded=()
    )
    for path in sorted((tmp_path / "elsewhere").iterdir()):
        before = path.read_bytes()
        flip(path, random.Random(path.name))
        assert list(problems(tmp_path / "elsewhere")) == [path.name]
        path.write_bytes(before)


def test_a_folder_that_has_waveforms_in_it_is_enough(staged: Project, tmp_path: Path) -> None:
    shutil.copytree(staged.root / "data/waveforms", tmp_path / "copy/waveforms")
    assert problems(tmp_path / "copy") == {}
    (tmp_path / "copy/waveforms/part-00001.parquet").unlink()
    assert "a shard is missing" in problems(tmp_path / "copy")["waveforms"]


def test_without_checksums_it_says_which_files_have_none(staged: Project, capsys: pytest.CaptureFixture[str]) -> None:
    (staged.root / "dvc.lock").unlink()
    assert main(["verify", str(staged.root)]) == 0
    said = capsys.readouterr().err
    assert "data/sample.parquet" in said
    assert "only the content was compared" in said
    assert "data/waveforms" not in said


@pytest.fixture
def unlocked(staged: Project) -> Project:
    """A project without a dvc.lock: only what the outputs say of each other can tell."""
    (staged.root / "dvc.lock").unlink()
    return staged


def test_without_checksums_what_stages_made_is_whole(unlocked: Project) -> None:
    assert problems(unlocked.root) == {}


CLAIMS: list[tuple[str, dict[str, Any], str]] = [
    ("data/sample.parquet", {"text": lambda values: ["Other words.", *values[1:]]}, "text is not what"),
    ("data/sample.parquet", {"weight": lambda values: [values[0] + 1, *values[1:]]}, "weight is not what"),
    ("data/sample.parquet", {"rank": lambda values: [*values[:-1], values[-1] + 1]}, "its ranks and those of"),
    (
        "data/sample.parquet",
        {"split": lambda values: ["dev" if values[0] == "train" else "train", *values[1:]]},
        "split is",
    ),
    ("data/ranking.parquet", {"rank": lambda values: [1, 0, *values[2:]]}, "its ranks"),
    ("data/ranking.parquet", {"age": lambda values: [None, *values[1:]]}, "age is not what"),
    ("data/ranking.parquet", {"clip_id": lambda values: [values[1], *values[1:]]}, "more than once"),
    (
        "data/snapshot/members.parquet",
        {"crc32": lambda values: [value and value ^ 1 for value in values]},
        "the index of the snapshot",
    ),
]


@pytest.mark.more
@pytest.mark.parametrize(("file", "change", "said"), CLAIMS)
def test_a_table_that_claims_something_else_is_found_by_what_it_says(
    unlocked: Project, file: str, change: dict[str, Any], said: str
) -> None:
    rewrite(unlocked.root / file, **change)
    found = [each.what for each in audit.verify(unlocked.root).problems]
    assert any(said in what for what in found), found


def test_a_rejected_clip_that_is_listed_otherwise_is_found(unlocked: Project) -> None:
    path = unlocked.root / "data/rejected.csv"
    path.write_bytes(path.read_bytes().replace(b"checksum", b"missing", 1))
    assert "the seals in clips" in problems(unlocked.root)["data/rejected.csv"]


def test_a_table_of_the_snapshot_that_changed_is_found_by_its_crc(unlocked: Project) -> None:
    flip(unlocked.root / "data/snapshot/tables/cv-invalid.csv", random.Random(2))
    assert "index" in problems(unlocked.root)["data/snapshot/tables/cv-invalid.csv"]


@pytest.mark.more
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_samples": 5}, "num_samples is not how many"),
        ({"sample_rate": 8000}, "sample_rate is not the 16000 Hz"),
        ({"duration_seconds": 9.0}, "duration_seconds is not num_samples / sample_rate"),
        ({"rank": 10**6}, "not in the order of their ranks"),
        ({"split": None}, "split is missing in 1 rows"),
        ({"mp3_sha256": "0" * 64}, "mp3_sha256 is not what"),
        ({"text": "Other words."}, "text is not what"),
    ],
)
def test_a_row_that_contradicts_its_waveform_or_its_mp3_is_found(
    unlocked: Project, change: dict[str, Any], said: str
) -> None:
    path = unlocked.root / "data/waveforms/part-00001.parquet"
    reseal(path, change)
    found = audit.verify(unlocked.root).problems
    assert [each for each in found if each.path == path and said in each.what], found
    assert any("features" in str(each.path) and "was not made of" in each.what for each in found)


def test_features_of_other_waveforms_are_found(unlocked: Project) -> None:
    shards = sorted((unlocked.root / "data/features").iterdir())
    shards[0].write_bytes(shards[1].read_bytes())
    found = problems(unlocked.root)
    assert "was not made of" in found["data/features/part-00000.parquet"] or "has clips that" in str(found)


def test_fewer_shards_than_the_sample_has_clips_are_found(unlocked: Project) -> None:
    for output in ("clips", "waveforms", "features"):
        max((unlocked.root / "data" / output).iterdir()).unlink()
    found = problems(unlocked.root)
    assert "clips, and" in found["data/waveforms"]


def test_a_sentence_or_a_speaker_in_two_splits_is_found() -> None:
    rows = pd.DataFrame(
        {
            "clip_id": ["a", "b", "c"],
            "rank": [0, 1, 2],
            "split": ["train", "dev", "dev"],
            "text": ["Yes.", "yes. ", None],
        }
    )
    (leak,) = agreement.of_rows(Path("sample"), rows)
    assert leak.what == "1 sentences are in more than one split, such as 'yes.'"
    (leak,) = agreement.of_rows(Path("sample"), rows.assign(text=None, speaker=["x", "x", "X"]))
    assert leak.what == "1 speakers are in more than one split, such as 'x'"


def test_what_is_no_folder_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ParameterError, match="is no folder"):
        audit.verify(tmp_path / "nothing")
    assert main(["verify", str(tmp_path / "nothing")]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_empty_folder_is_a_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("\n") == 1


def test_the_list_of_a_published_folder_is_compared(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "SHA256SUMS").write_text(
        f"{'0' * 64}  README.md\n{'0' * 64}  gone\nnonsense\n{'0' * 64}  ../README.md\n"
    )
    found = [str(each) for each in audit.verify(tmp_path).problems]
    assert len(found) == 4
    assert any("is not what SHA256SUMS lists" in each for each in found)


def test_splits_and_ids_are_compared_across_shards(unlocked: Project) -> None:
    """The same shard twice: whole, and every one of its clips in two places."""
    shards = sorted((unlocked.root / "data/waveforms").iterdir())
    shards[1].write_bytes(shards[0].read_bytes())
    found = [each.what for each in audit.verify(unlocked.root / "data/waveforms").problems]
    assert any("more than once" in what for what in found)
    assert pc.count_distinct(pq.read_table(shards[0])["clip_id"]).as_py() == 32
