"""A shard that is remembered as whole is not read again; one that may have changed is, whatever happened to it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.fs
import pytest

from pipeline.__main__ import STAGES
from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.shards import memory
from pipeline.shards.folder import shard_name
from pipeline.shards.sealed import Seal, Shard
from tests.support.seals import write_numbers

pytestmark = pytest.mark.skipif(not memory._BOOT.exists(), reason="nothing is remembered here")

FOLDER = Path("data/numbers")
SHARDS = [FOLDER / shard_name(number) for number in range(3)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to a folder of DVC's, in which a run that ended well left three shards."""
    monkeypatch.chdir(tmp_path)
    memory.FOLDER.mkdir(parents=True)
    with memory.kept(str(FOLDER)):
        for number, path in enumerate(SHARDS):
            write_numbers(path, [number, 2, 3])


def remembered(*paths: Path) -> list[bool]:
    """Tell of each shard whether it is known to be whole."""
    with memory.kept(None):
        return [memory.is_whole(path, Shard(path, Seal).seal.content_sha256) for path in paths]


def flip(path: Path, at: int = 10) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_what_a_run_made_or_verified_is_not_read_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remembered(*SHARDS) == [True] * 3
    with memory.kept(str(FOLDER)):
        write_numbers(SHARDS[2], [7, 8, 9])  # another file in its place
    assert remembered(*SHARDS) == [True] * 3
    shards = [Shard(path, Seal) for path in SHARDS]
    monkeypatch.setattr("pipeline.shards.footer.Footer.content_sha256", lambda *_: "read")
    with memory.kept(None):
        for shard in shards:
            shard.verify()
    with pytest.raises(ShardError, match="not byte for byte"):
        shards[0].verify()  # nothing is known outside


def in_place(path: Path) -> None:
    flip(path)


def by_another_file_of_that_time(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    shutil.copy2(path, other)
    flip(other)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def by_a_longer_one_of_that_time(path: Path) -> None:
    before = path.stat()
    data = path.read_bytes()
    path.write_bytes(data[:10] + b"more" + data[10:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [in_place, by_another_file_of_that_time, by_a_longer_one_of_that_time])
def test_whatever_was_changed_is_read_again(change: Callable[[Path], None]) -> None:
    shard, other = Shard(SHARDS[0], Seal), Shard(SHARDS[1], Seal)
    change(SHARDS[0])
    with memory.kept(None):
        with pytest.raises(ShardError, match="not byte for byte"):
            shard.verify()
        assert memory.is_whole(other.path, other.seal.content_sha256)
        assert not memory.is_whole(other.path, shard.seal.content_sha256)


def test_what_somebody_wrote_to_while_a_run_was_at_work_is_read_by_the_next() -> None:
    with memory.kept(str(FOLDER)):
        flip(SHARDS[0])
        SHARDS[1].replace(FOLDER / "kept")
        write_numbers(SHARDS[1], [7])
    assert remembered(*SHARDS) == [False, True, True]


def test_a_run_that_failed_leaves_what_was_known() -> None:
    def failed() -> None:
        with memory.kept(str(FOLDER)):
            write_numbers(SHARDS[0], [7])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failed()
    assert remembered(*SHARDS) == [False, True, True]


def test_what_has_the_time_of_a_coarse_clock_or_of_this_moment_is_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    os.utime(SHARDS[0], ns=(0, 1_000_000_000))
    with memory.kept(str(FOLDER)):
        pass
    assert remembered(*SHARDS) == [False, True, True]
    with monkeypatch.context() as patch:
        patch.setattr("time.time_ns", lambda: SHARDS[1].stat().st_mtime_ns + 1_000_000)
        with memory.kept(str(FOLDER)):
            write_numbers(SHARDS[1], [7])
    assert remembered(*SHARDS) == [False, False, True]


def test_nothing_is_remembered_without_dvc_or_beyond_a_start_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot"
    for text in ("another", None):
        if text:
            boot.write_text(text)
        else:
            boot.unlink()
        with monkeypatch.context() as patch:
            patch.setattr(memory, "_BOOT", boot)
            assert remembered(*SHARDS) == [False] * 3
    assert remembered(*SHARDS) == [True] * 3
    shutil.rmtree(".dvc")
    with memory.kept(str(FOLDER)):
        pass
    assert not Path(".dvc").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"boot": 1, "shards": 1}', "[" * 100_000, "\0", '{"boot": BOOT, "shards": [1, 2]}']
)
def test_a_memory_that_is_damaged_is_none(text: str) -> None:
    (file,) = memory.FOLDER.iterdir()
    whole = json.loads(file.read_bytes())
    file.write_text(text.replace("BOOT", json.dumps(whole["boot"])))
    assert remembered(*SHARDS) == [False] * 3
    strange: list[object] = [[], {}, 7, None, [1, 2], ["a", "b", "c", "d"]]
    for known in strange:
        file.write_text(json.dumps({**whole, "shards": {str(SHARDS[0]): known}}))
        assert remembered(*SHARDS) == [False] * 3


def test_a_run_ends_well_where_nothing_can_be_remembered() -> None:
    (file,) = memory.FOLDER.iterdir()
    file.unlink()
    file.mkdir()
    with memory.kept(str(FOLDER)):
        (FOLDER / shard_name(3)).write_bytes(b"no shard")
    assert remembered(*SHARDS) == [False] * 3


@pytest.mark.parametrize("target", ["nowhere", SHARDS[1].name])
def test_a_link_that_leads_nowhere_is_left_to_the_stage(target: str) -> None:
    SHARDS[1].unlink()
    SHARDS[1].symlink_to(target)
    with memory.kept(str(FOLDER)):
        SHARDS[1].unlink()
        write_numbers(SHARDS[1], [7])
    assert remembered(*SHARDS) == [True] * 3


def test_a_shard_of_that_name_on_another_file_system_is_read(tmp_path: Path) -> None:
    elsewhere = pyarrow.fs.SubTreeFileSystem(str(tmp_path / "elsewhere"), pyarrow.fs.LocalFileSystem())
    shutil.copytree("data", "elsewhere/data")
    shard = Shard(str(SHARDS[0]), Seal, elsewhere)
    flip(tmp_path / "elsewhere" / SHARDS[0])
    with memory.kept(None), pytest.raises(ShardError, match="not byte for byte"):
        shard.verify()


def test_the_command_line_knows_the_folders_whose_shards_stages_keep() -> None:
    folders = {"subsample": schema.CLIPS, "waveforms": schema.WAVEFORMS, "features": schema.FEATURES}
    assert {name: stage.shards for name, stage in STAGES.items() if stage.shards} == {
        name: folder.as_posix() for name, folder in folders.items()
    }
