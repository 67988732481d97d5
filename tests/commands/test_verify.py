"""`verify`: a flipped byte of any output is found, an output that was made of another than lies there, and no file."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.__main__ import main
from pipeline.commands.dvc_lock import RWLOCK, writer
from pipeline.commands.verify import audit
from pipeline.commands.verify.outputs import Problem
from pipeline.core import schema
from pipeline.core.errors import ParameterError
from pipeline.shards import sealed
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.shards.table import write_table
from pipeline.snapshot.receipt import read_receipt, write_receipt
from tests.support.project import Project, environment
from tests.support.tarballs import flip

FLIPS = 500
SEALED = ("clips/part-00001", "waveforms/part-00000", "features/part-00003", "ranking", "sample")
MISSING = ("data/clips", "data/ranking.parquet", "data/snapshot", "data/waveforms", "reports/report.html")


@pytest.fixture
def unlocked(staged: Project) -> Project:
    """A project without a dvc.lock: only seals can tell."""
    (staged.root / "dvc.lock").unlink()
    return staged


def problems(folder: Path) -> dict[str, str]:
    """Return what `verify` finds, by the path below the folder; one line for each path."""
    found = audit.verify(folder).problems
    assert len(found) == len({each.path for each in found}), found
    return {str(each.path.relative_to(folder)): each.what for each in found}


def flip_anywhere(path: Path, dice: random.Random) -> None:
    flip(path, dice.randrange(path.stat().st_size))


def remove(path: Path) -> None:
    """Remove an output."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def test_verify_finds_each_of_500_flipped_bytes(made: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made.root)]) == 0
    out, err = capsys.readouterr()
    assert (out.startswith("verify: "), out.endswith("whole and consistent\n"), err) == (True, True, "")
    whole = made.outputs()
    dice = random.Random(14)
    left = FLIPS
    while left:
        flipped = dice.sample(sorted(whole), k=min(left, len(whole)))
        for name in flipped:
            flip_anywhere(made.root / name, dice)
        found = problems(made.root)
        assert set(flipped) <= set(found), sorted(set(flipped) - set(found))
        for name in flipped:
            (made.root / name).write_bytes(whole[name])
        left -= len(flipped)
    assert problems(made.root) == {}


def test_verify_finds_flipped_bytes_without_any_recorded_checksum(unlocked: Project) -> None:
    assert problems(unlocked.root) == {}
    flipped = {f"data/{name}.parquet" for name in SEALED}
    flipped |= {"data/rejected.csv", "data/snapshot/clips.parquet"}
    before = {name: (unlocked.root / name).read_bytes() for name in flipped}
    for seed in range(8):
        for name in flipped:
            flip_anywhere(unlocked.root / name, random.Random(seed))
        found = set(problems(unlocked.root))
        assert found >= flipped - {"data/rejected.csv"}  # which is compared once the seals of the clips are whole
        for name in flipped - {"data/rejected.csv"}:
            (unlocked.root / name).write_bytes(before[name])
        assert set(problems(unlocked.root)) == {"data/rejected.csv"}
        (unlocked.root / "data/rejected.csv").write_bytes(before["data/rejected.csv"])


@pytest.mark.parametrize("output", ["waveforms", "clips"])
def test_verify_needs_no_more_than_a_folder_of_shards(staged: Project, tmp_path: Path, output: str) -> None:
    shutil.copytree(staged.root / "data" / output, tmp_path / "elsewhere")
    verdict = audit.verify(tmp_path / "elsewhere")
    assert (verdict.problems, verdict.unguarded) == ((), ())
    for path in sorted((tmp_path / "elsewhere").iterdir()):
        before = path.read_bytes()
        flip_anywhere(path, random.Random(path.name))
        assert list(problems(tmp_path / "elsewhere")) == [path.name]
        path.write_bytes(before)
    copy_over(tmp_path / "elsewhere", "part-00002.parquet", "part-00001.parquet")
    assert "part-00002.parquet" in problems(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/part-00001.parquet").unlink()
    assert "a shard is missing" in problems(tmp_path / "elsewhere")["."]


@pytest.mark.parametrize("folder", ["data/waveforms", "data/snapshot", "reports", "data"])
def test_verify_finds_a_flip_when_given_only_its_folder(made: Project, folder: str) -> None:
    dice = random.Random(folder)
    files = [path for path in (made.root / folder).rglob("*") if path.is_file() and "demo" not in path.parts]
    path = dice.choice(sorted(files))
    flip_anywhere(path, dice)
    assert list(problems(made.root / folder)) == [str(path.relative_to(made.root / folder))]
    shutil.rmtree(made.root / ".dvc/cache")  # without it, a file of a folder may have no name
    assert problems(made.root / folder)


# What lies in the place of a file

IN_PLACE: dict[str, Callable[[Path], object]] = {
    "dangling link": lambda path: path.symlink_to("gone"),
    "loop": lambda path: path.symlink_to(path.name),
    "folder": lambda path: path.mkdir(),
    "pipe": os.mkfifo,
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)),
}


@pytest.mark.parametrize("kind", IN_PLACE)
@pytest.mark.parametrize("has_lock", [False, pytest.param(True, marks=pytest.mark.more)])
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the socket is only a file here
def test_verify_has_one_line_for_what_is_no_file(
    kind: str, has_lock: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = request.getfixturevalue("made" if has_lock else "unlocked")
    monkeypatch.chdir(project.root)
    places = ["rejected.csv", "ranking.parquet", "waveforms/part-00000.parquet", "snapshot/clips.parquet"]
    places = [f"data/{name}" for name in (places if kind == "folder" else [*places, "features"])]
    for place in places:
        remove(Path(place))
        IN_PLACE[kind](Path(place))
    found = problems(project.root)
    assert set(found) >= set(places)
    assert all("DVC" in what or "dvc" in what or "regular file" in what for what in found.values()), found
    assert main(["verify"]) == 1


# dvc.lock and SHA256SUMS


@pytest.mark.parametrize(("here", "folder"), [(".", "."), ("data", "."), ("data/clips", "../waveforms")])
def test_verify_judges_a_relative_folder_as_the_absolute_one(made: Project, here: str, folder: str) -> None:
    flip(made.root / "data/waveforms/part-00000.parquet")
    (made.root / "data/waveforms/notes.txt").write_text("mine")
    with contextlib.chdir(made.root / here):
        resolved = Path(folder).resolve()
        absolute, relative = audit.verify(resolved), audit.verify(Path(folder))
    expected = [Problem(Path(folder) / each.path.relative_to(resolved), each.what) for each in absolute.problems]
    assert relative == replace(absolute, problems=tuple(expected))
    assert len(expected) == 2
    assert "is not among the files" in str(expected)
    assert relative.unguarded == ()


@pytest.mark.parametrize(("here", "folder", "named"), [(".", ".", "dvc.lock"), ("data", "waveforms", "../dvc.lock")])
def test_verify_names_a_lock_file_that_cannot_be_read(staged: Project, here: str, folder: str, named: str) -> None:
    (staged.root / "dvc.lock").write_text("stages: [")
    with contextlib.chdir(staged.root / here):
        (problem,) = audit.verify(Path(folder)).problems
    assert str(problem.path) == named


@pytest.mark.parametrize("gone", [("data/ranking.parquet",), MISSING])
def test_verify_names_what_is_recorded_and_not_here_and_that_is_no_problem(
    made: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gone: tuple[str, ...]
) -> None:
    monkeypatch.chdir(made.root)
    for name in gone:
        remove(made.root / name)
    assert main(["verify"]) == 0
    out, err = capsys.readouterr()
    assert f"not here, though dvc.lock records it: {', '.join(gone)} (" in err
    assert err.count("\n") == 1
    assert out.endswith("whole and consistent\n")
    assert audit.verify(made.root / "data/features").missing == ()


def test_verify_calls_nothing_whole_in_a_clone_without_data(
    made: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.run("git", "clone", "--quiet", ".", "clone")
    monkeypatch.chdir(made.root / "clone")
    shutil.copy(made.root / "dvc.lock", "dvc.lock")
    shutil.copy(made.root / "reports/metrics.json", "reports/metrics.json")
    assert main(["verify"]) == 0
    out, err = capsys.readouterr()
    assert "whole" not in out
    assert all(name in err for name in MISSING)


def test_verify_names_what_has_no_checksum(unlocked: Project, capsys: pytest.CaptureFixture[str]) -> None:
    data = unlocked.root / "data"
    sha256 = hashlib.sha256((data / "snapshot/receipt.json").read_bytes()).hexdigest()
    (data / "SHA256SUMS").write_text(f"{sha256}  snapshot/receipt.json\n")
    assert audit.verify(data).unguarded == (data / "rejected.csv",)
    assert main(["verify", str(data)]) == 0
    assert "rejected.csv: a changed byte" in capsys.readouterr().err


def test_verify_compares_the_list_of_a_published_folder(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "SHA256SUMS").write_text(
        f"{'0' * 64}  README.md\n{'0' * 64}  gone\nnonsense\n{'0' * 64}  ../README.md\n"
    )
    found = [str(each) for each in audit.verify(tmp_path).problems]
    assert len(found) == 4
    assert any("is not what SHA256SUMS lists" in each for each in found)


def test_verify_takes_a_folder_with_an_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ParameterError, match="is no folder"):
        audit.verify(tmp_path / "nothing")
    assert main(["verify", str(tmp_path / "nothing")]) == 2
    assert main(["verify", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("\n") == 1


# The chain of seals: outputs that are whole, each, and were not made of each other


def rewrite(path: Path, **columns: Callable[[list[Any]], list[Any]]) -> None:
    """Write a Parquet file again, with other values in some columns and a right seal."""
    table = pq.read_table(path)
    for name, change in columns.items():
        field = table.schema.field(name)
        values = pa.array(change(table[name].to_pylist()), field.type)
        table = table.set_column(table.column_names.index(name), field, values)
    if path.name == schema.CLIP_TABLE.name:
        pq.write_table(table, path)
        receipt = read_receipt(path.with_name("receipt.json"))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        write_receipt(path.with_name("receipt.json"), replace(receipt, clips_sha256=digest))
    else:
        write_table(path, table.replace_schema_metadata(None))


def reseal(path: Path, **seal: Any) -> None:
    """Write a derived shard again, sealed otherwise."""
    shard = Shard(path, DerivedSeal)
    tables = [shard.read(group) for group in shard.groups]
    with sealed.writing(path, shard.columns) as writer:
        for table in tables:
            writer.write(table)
        writer.seal(replace(shard.seal, content_sha256="0" * 64, footer_sha256="0" * 64, **seal))


def copy_over(folder: Path, source: str, target: str) -> None:
    (folder / target).write_bytes((folder / source).read_bytes())


BROKEN: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "another sample": (
        lambda data: rewrite(data / "sample.parquet", text=lambda values: ["Other words.", *values[1:]]),
        {"sample.parquet": "was not made of"},
    ),
    "another ranking": (
        lambda data: rewrite(data / "ranking.parquet", age=lambda values: ["nineties", *values[1:]]),
        {"sample.parquet": "was not made of", "clips/part-00000.parquet": "was not made of"},
    ),
    "another archive": (
        lambda data: rewrite(data / "snapshot/clips.parquet", crc32=lambda crcs: [crc and crc ^ 1 for crc in crcs]),
        {"clips/part-00003.parquet": "was not made of"},
    ),
    "another table of clips": (
        lambda data: rewrite(data / "snapshot/clips.parquet", clip_id=lambda ids: [f"{each}-2" for each in ids]),
        {"ranking.parquet": "was not made of"},
    ),
    "another list of rejected clips": (
        lambda data: (data / "rejected.csv").write_text("rank,clip_id,reason,detail\n"),
        {"rejected.csv": "is not the list"},
    ),
    "a resealed shard": (
        lambda data: reseal(data / "waveforms/part-00001.parquet"),
        {"features/part-00001.parquet": "was not made of"},
    ),
    "another revision": (
        lambda data: reseal(data / "waveforms/part-00001.parquet", revision=0),
        {"waveforms/part-00001.parquet": "was made in another way", "waveforms/part-00002.parquet": "in another way"},
    ),
    "a shard of another output": (
        lambda data: copy_over(data, "features/part-00001.parquet", "waveforms/part-00001.parquet"),
        {"waveforms/part-00001.parquet": "is a shard of features"},
    ),
    "a shard twice": (
        lambda data: copy_over(data, "features/part-00000.parquet", "features/part-00001.parquet"),
        {"features/part-00001.parquet": "does not continue"},
    ),
    "a shard of clips twice": (
        lambda data: copy_over(data, "clips/part-00000.parquet", "clips/part-00001.parquet"),
        {"clips/part-00001.parquet": "does not continue", "sample.parquet": "lists other clips"},
    ),
    "fewer shards": (
        lambda data: (data / "waveforms/part-00003.parquet").unlink(),
        {"waveforms": "has 3 shards", "features": "has 4 shards"},
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_verify_finds_where_the_chain_of_seals_breaks(unlocked: Project, case: str) -> None:
    change, expected = BROKEN[case]
    data = unlocked.root / "data"
    change(data)
    found = [(str(each.path.relative_to(data)), each.what) for each in audit.verify(data).problems]
    for path, what in expected.items():
        assert any(path == place and what in text for place, text in found), found


# While DVC is at work


def test_verify_waits_for_the_stage_of_dvc_that_writes(
    unlocked: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(unlocked.root)
    Path(".dvc/tmp").mkdir(parents=True)
    killed = subprocess.Popen([sys.executable, "-c", ""])
    killed.wait()
    for process, status in ((os.getpid(), 1), (killed.pid, 0)):
        used = {"write": {"/x/data/waveforms": {"pid": process, "cmd": "dvc repro"}}, "read": {}}
        RWLOCK.write_text(json.dumps(used))
        assert main(["verify", "data/waveforms"]) == status
        assert (f"at work (DVC, process {process})" in capsys.readouterr().err) == bool(status)


@pytest.mark.more
def test_verify_sees_a_real_stage_of_dvc_at_work(made: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made.root)
    os.mkfifo("begun")
    Path("dvc.yaml").write_text("stages: {slow: {cmd: echo 1 > begun && cat begun, outs: [slow.txt]}}\n")
    with subprocess.Popen([sys.executable, "-m", "dvc", "repro"], env=environment()) as running:
        assert Path("begun").read_text() == "1\n"  # which waits for the stage
        assert writer(Path("data")) == running.pid
        Path("begun").write_text("go on")
    assert writer(Path("data")) is None


def test_verify_leaves_what_show_draws_alone(
    unlocked: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(unlocked.root)
    schema.DRAWN.mkdir(parents=True)
    (schema.DRAWN / "valid-test-sample-000034.png").touch()
    main(["verify"])
    assert str(schema.DRAWN) not in capsys.readouterr().err
