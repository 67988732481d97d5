"""A folder of shards changes all at once: found, published, retired."""

from __future__ import annotations

from pathlib import Path

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


def test_shards_come_in_their_order(tmp_path: Path) -> None:
    names = [shard_name(number) for number in (0, 1, 2, 9, 10, 11)]
    assert names == sorted(names)
    for number in (2, 0, 1):
        write_numbers(tmp_path / shard_name(number), [number])
    assert [path.name for path in shard_paths(tmp_path)] == names[:3]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no shards there"):
        shard_paths(tmp_path)
    for number in (0, 2):
        write_numbers(tmp_path / shard_name(number), [number])
    with pytest.raises(ShardError, match=r"part-00001\.parquet is missing"):
        shard_paths(tmp_path)


def test_shards_on_another_file_system_are_found_likewise(tmp_path: Path) -> None:
    local = pyarrow.fs.LocalFileSystem()
    with pytest.raises(ShardError, match="no shards there"):
        remote_shard_paths(str(tmp_path / "nowhere"), local)
    for number in (1, 0):
        write_numbers(tmp_path / shard_name(number), [number])
    (tmp_path / "README.md").touch()
    assert remote_shard_paths(str(tmp_path), local) == [str(path) for path in shard_paths(tmp_path)]
    (tmp_path / shard_name(0)).unlink()
    with pytest.raises(ShardError, match=r"part-00000\.parquet is missing"):
        remote_shard_paths(str(tmp_path), local)


def test_nothing_is_retired_before_there_is_something_to_put_in_its_place(folder: Path) -> None:
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


def test_nothing_changes_until_all_are_there(folder: Path) -> None:
    publish(folder, [1], [2])
    run = ShardFolder(folder)
    write_numbers(run.new(0), [3])
    assert contents(folder) == {"part-00000.parquet": [1], "part-00001.parquet": [2]}
    run.publish(1)
    assert contents(folder) == {"part-00000.parquet": [3]}
    assert not run.waiting.exists()


def test_what_waits_is_found_before_what_was_there(folder: Path) -> None:
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


def test_what_waits_and_is_not_right_goes(folder: Path) -> None:
    publish(folder, [1, 2, 3])
    write_numbers(ShardFolder(folder).new(0), [4])
    run = ShardFolder(folder)
    assert run.find(0, right)
    run.publish(1)
    assert contents(folder) == {"part-00000.parquet": [1, 2, 3]}
    assert not run.waiting.exists()


def test_what_a_killed_run_left_is_swept(folder: Path) -> None:
    publish(folder, [1])
    leftovers = [place / ".part-00001.parquet.4711.tmp" for place in (folder, ShardFolder(folder).waiting)]
    for leftover in leftovers:
        leftover.parent.mkdir(exist_ok=True)
        leftover.write_bytes(b"half")
    ShardFolder(folder)
    assert not any(leftover.exists() for leftover in leftovers)


@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_a_file_that_is_linked_elsewhere_is_replaced_not_written_to(folder: Path, tmp_path: Path, link: str) -> None:
    cached = write_numbers(tmp_path / "cached", [1, 2, 3])
    before = cached.read_bytes()
    folder.mkdir()
    for number in (0, 1):
        getattr(folder / shard_name(number), link)(cached)
    publish(folder, [4])
    assert contents(folder) == {"part-00000.parquet": [4]}
    assert cached.read_bytes() == before
