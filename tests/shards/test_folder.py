"""A folder of shards changes all at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.fs
import pytest

from pipeline.core.errors import ShardError
from pipeline.shards import sealed
from pipeline.shards.folder import (
    ShardFolder,
    existing_shards,
    open_shards,
    remote_shard_paths,
    shard_name,
    shard_paths,
    whole_shards,
)
from pipeline.shards.sealed import Seal
from tests.support.seals import write_numbers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def right(path: Path) -> bool:
    found = whole_shards(open_shards([path], Seal)).get(path)
    return found is not None and found.seal.fingerprint == sealed.fingerprint([1, 2, 3])


def test_shard_paths_are_in_order(tmp_path: Path) -> None:
    names = [shard_name(number) for number in (0, 1, 2, 9, 10, 11)]
    assert names == sorted(names)
    for number in (2, 0, 1):
        write_numbers(tmp_path / shard_name(number), [number])
    assert [path.name for path in shard_paths(tmp_path)] == names[:3]


def test_shard_paths_name_a_missing_shard(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"no shards there; .*dvc repro"):
        shard_paths(tmp_path)
    for number in (0, 2):
        write_numbers(tmp_path / shard_name(number), [number])
    with pytest.raises(ShardError, match=r"part-00001\.parquet is missing; get it again"):
        shard_paths(tmp_path)


def test_remote_shard_paths_are_like_local_ones(tmp_path: Path) -> None:
    local = pyarrow.fs.LocalFileSystem()
    with pytest.raises(ShardError, match="no shards there; correct its name"):
        remote_shard_paths(str(tmp_path / "nowhere"), local)
    for number in (1, 0):
        write_numbers(tmp_path / shard_name(number), [number])
    for other in ("README.md", "part-00000.parquet.crc", "other.parquet"):
        (tmp_path / other).touch()
    assert remote_shard_paths(str(tmp_path), local) == [str(path) for path in shard_paths(tmp_path)]
    (tmp_path / shard_name(0)).unlink()
    with pytest.raises(ShardError, match=r"part-00000\.parquet is missing; correct its name"):
        remote_shard_paths(str(tmp_path), local)


def test_publish_refuses_to_replace_shards_with_nothing(folder: Path) -> None:
    publish(folder, [1], [2])
    with pytest.raises(ShardError, match="replace its shards with nothing"):
        ShardFolder(folder).publish(0)
    assert contents(folder) == {"part-00000.parquet": [1], "part-00001.parquet": [2]}


def publish(folder: Path, *contents: list[int]) -> None:
    """Do what a run does that makes all shards anew."""
    run = ShardFolder(folder)
    for number, numbers in enumerate(contents):
        write_numbers(run.new(number), numbers)
    run.publish(len(contents))


def contents(folder: Path) -> dict[str, list[int]]:
    return {path.name: pd.read_parquet(path)["number"].tolist() for path in sorted(folder.iterdir())}


def test_folder_is_unchanged_until_publish(folder: Path) -> None:
    publish(folder, [1], [2])
    run = ShardFolder(folder)
    write_numbers(run.new(0), [3])
    assert contents(folder) == {"part-00000.parquet": [1], "part-00001.parquet": [2]}
    run.publish(1)
    assert contents(folder) == {"part-00000.parquet": [3]}
    assert not run.waiting.exists()


def test_find_prefers_a_new_shard_to_a_published_one(folder: Path) -> None:
    publish(folder, [1, 2, 3])
    kept = folder / shard_name(0)
    killed = ShardFolder(folder)
    assert killed.find(0, lambda path: path if right(path) else None) == kept
    waits = write_numbers(killed.new(0), [1, 2, 3])
    run = ShardFolder(folder)
    assert run.find(0, lambda path: path if right(path) else None) == waits
    assert existing_shards(folder) == [waits, kept]
    run.publish(1)
    assert right(kept)
    assert not waits.exists()


@pytest.mark.parametrize("step", range(5))  # two new shards, two old ones, the hidden folder
def test_publish_that_is_killed_at_any_step_is_done_by_the_next_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    publish(folder, [0], [0], [0], [0])
    run = ShardFolder(folder)
    for number in (0, 1):
        write_numbers(run.new(number), [1, 2, 3])
    steps = iter(range(5))

    def until_killed(change: Callable[..., Any]) -> Callable[..., Any]:
        def change_or_die(*arguments: Any, **options: Any) -> Any:
            if next(steps) == step:
                raise KeyboardInterrupt
            return change(*arguments, **options)

        return change_or_die

    with monkeypatch.context() as patch:
        for owner, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
            patch.setattr(owner, name, until_killed(getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            run.publish(2)
    after = ShardFolder(folder)
    assert all(after.find(number, right) for number in (0, 1))
    after.publish(2)
    assert contents(folder) == {shard_name(number): [1, 2, 3] for number in (0, 1)}
    assert not after.waiting.exists()


def test_publish_removes_new_shards_that_are_not_right(folder: Path) -> None:
    publish(folder, [1, 2, 3])
    write_numbers(ShardFolder(folder).new(0), [4])
    run = ShardFolder(folder)
    assert run.find(0, right)
    run.publish(1)
    assert contents(folder) == {"part-00000.parquet": [1, 2, 3]}
    assert not run.waiting.exists()


def test_folder_sweeps_temporary_files_of_killed_runs(folder: Path) -> None:
    publish(folder, [1])
    leftovers = [place / ".part-00001.parquet.4711.tmp" for place in (folder, ShardFolder(folder).waiting)]
    for leftover in leftovers:
        leftover.parent.mkdir(exist_ok=True)
        leftover.write_bytes(b"half")
    ShardFolder(folder)
    assert not any(leftover.exists() for leftover in leftovers)


@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_publish_replaces_linked_files_and_never_writes_to_them(folder: Path, tmp_path: Path, link: str) -> None:
    cached = write_numbers(tmp_path / "cached", [1, 2, 3])
    before = cached.read_bytes()
    folder.mkdir()
    for number in (0, 1):
        getattr(folder / shard_name(number), link)(cached)
    publish(folder, [4])
    assert contents(folder) == {"part-00000.parquet": [4]}
    assert cached.read_bytes() == before
