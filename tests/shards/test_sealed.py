"""Shards are written whole, sealed, recognised, reused and retired."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ShardError
from pipeline.shards import sealed

SCHEMA = pa.schema([("number", pa.int32())])


def write(path: Path, numbers: list[int], **facts: object) -> Path:
    seal = {"fingerprint": sealed.fingerprint(numbers), **facts}
    with sealed.writing(path, SCHEMA, seal, {"title": "beside the seal"}) as writer:
        for number in numbers:
            writer.write_table(pa.table([pa.array([number], pa.int32())], schema=SCHEMA))
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write(tmp_path / "part-00000.parquet", [1, 2, 3])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def right(path: Path) -> bool:
    seal = sealed.read_whole_seals([path]).get(path, {})
    return bool(seal.get("fingerprint") == sealed.fingerprint([1, 2, 3]))


def test_a_shard_is_an_ordinary_parquet_file(shard: Path) -> None:
    assert pd.read_parquet(shard)["number"].tolist() == [1, 2, 3]
    assert pq.read_metadata(shard).num_row_groups == 3
    assert pq.read_metadata(shard).metadata[b"title"] == b"beside the seal"


def test_its_seal_is_the_hash_of_the_file_with_zeros_in_the_hash_s_place(shard: Path) -> None:
    seal = sealed.read_whole_seal(shard)
    digest = seal["content_sha256"]
    blank = shard.read_bytes().replace(digest.encode(), b"0" * 64)
    assert hashlib.sha256(blank).hexdigest() == digest


def test_a_large_file_is_hashed_in_blocks_to_the_same_seal(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal = sealed.read_whole_seal(shard)
    monkeypatch.setattr(sealed, "_BLOCK_BYTES", 7)
    assert sealed.read_whole_seal(shard) == seal
    assert write(shard.with_name("again.parquet"), [1, 2, 3]).read_bytes() == shard.read_bytes()


def test_facts_may_be_added_to_the_seal_until_the_end(tmp_path: Path) -> None:
    seal: dict[str, object] = {"fingerprint": "f"}
    with sealed.writing(tmp_path / "s.parquet", SCHEMA, seal):
        seal["clips"] = 7
    assert sealed.read_whole_seal(tmp_path / "s.parquet")["clips"] == 7


def test_a_fact_that_looks_like_the_seal_s_hash_is_not_taken_for_it(tmp_path: Path) -> None:
    path = write(tmp_path / "s.parquet", [1, 2, 3], zzz='"content_sha256":"' + "1" * 64)
    assert right(path)


def test_whole_seals_are_those_of_undamaged_shards(shard: Path) -> None:
    damaged = shard.with_name("part-00001.parquet")
    damaged.write_bytes(shard.read_bytes()[:-20])
    found = sealed.read_whole_seals([damaged, shard, shard.with_name("absent.parquet")])
    assert {path: seal["fingerprint"] for path, seal in found.items()} == {shard: sealed.fingerprint([1, 2, 3])}


def test_a_change_of_any_byte_is_noticed(shard: Path) -> None:
    data = shard.read_bytes()
    dice = random.Random(2017)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << dice.randrange(8)
        shard.write_bytes(changed)
        assert not right(shard), place
        with pytest.raises(ShardError, match=r"part-00000\.parquet"):
            sealed.read_whole_seal(shard)


def test_a_cut_at_any_place_is_noticed(shard: Path) -> None:
    data = shard.read_bytes()
    for length in range(len(data)):
        shard.write_bytes(data[:length])
        assert not right(shard), length


def test_another_s_parquet_file_is_not_taken_for_ours(shard: Path) -> None:
    pq.write_table(pa.table({"number": [1]}), shard)
    with pytest.raises(ShardError, match="was not written by this pipeline"):
        sealed.read_seal(shard)


def test_a_shard_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with sealed.writing(tmp_path / "folder" / "s.parquet", SCHEMA, {"fingerprint": ""}):
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert list((tmp_path / "folder").iterdir()) == []


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers())))
def test_a_fingerprint_knows_the_facts_and_not_their_order(facts: dict[str, object]) -> None:
    assert sealed.fingerprint(facts) == sealed.fingerprint(dict(reversed(facts.items())))
    assert sealed.fingerprint(facts) != sealed.fingerprint({**facts, "one more": 1})


def test_shards_come_in_their_order(tmp_path: Path) -> None:
    names = [sealed.shard_name(number) for number in (0, 1, 2, 9, 10, 11)]
    assert names == sorted(names)
    for number in (2, 0, 1):
        write(tmp_path / sealed.shard_name(number), [number])
    assert [path.name for path in sealed.shard_paths(tmp_path)] == names[:3]


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no shards there"):
        sealed.shard_paths(tmp_path)
    for number in (0, 2):
        write(tmp_path / sealed.shard_name(number), [number])
    with pytest.raises(ShardError, match=r"part-00001\.parquet is missing"):
        sealed.shard_paths(tmp_path)


def publish(folder: Path, *contents: list[int]) -> None:
    """Do what a run does that makes all shards anew."""
    run = sealed.ShardFolder(folder)
    for number, numbers in enumerate(contents):
        write(run.new(number), numbers)
    run.publish(len(contents))


def contents(folder: Path) -> dict[str, list[int]]:
    return {path.name: pd.read_parquet(path)["number"].tolist() for path in sorted(folder.iterdir())}


def test_nothing_changes_until_all_are_there(folder: Path) -> None:
    publish(folder, [1], [2])
    run = sealed.ShardFolder(folder)
    write(run.new(0), [3])
    assert contents(folder) == {"part-00000.parquet": [1], "part-00001.parquet": [2]}
    run.publish(1)
    assert contents(folder) == {"part-00000.parquet": [3]}
    assert not run.waiting.exists()


def test_what_waits_is_found_before_what_was_there(folder: Path) -> None:
    publish(folder, [1, 2, 3])
    kept = folder / sealed.shard_name(0)
    killed = sealed.ShardFolder(folder)
    assert killed.find(0, lambda path: path if right(path) else None) == kept
    waits = write(killed.new(0), [1, 2, 3])
    run = sealed.ShardFolder(folder)
    assert run.find(0, lambda path: path if right(path) else None) == waits
    assert run.existing() == [waits, kept]
    run.publish(1)
    assert right(kept)
    assert not waits.exists()


def test_what_waits_and_is_not_right_goes(folder: Path) -> None:
    publish(folder, [1, 2, 3])
    write(sealed.ShardFolder(folder).new(0), [4])
    run = sealed.ShardFolder(folder)
    assert run.find(0, right)
    run.publish(1)
    assert contents(folder) == {"part-00000.parquet": [1, 2, 3]}
    assert not run.waiting.exists()


def test_what_a_killed_run_left_is_swept(folder: Path) -> None:
    publish(folder, [1])
    leftovers = [place / ".part-00001.parquet.4711.tmp" for place in (folder, sealed.ShardFolder(folder).waiting)]
    for leftover in leftovers:
        leftover.parent.mkdir(exist_ok=True)
        leftover.write_bytes(b"half")
    sealed.ShardFolder(folder)
    assert not any(leftover.exists() for leftover in leftovers)


@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_a_file_that_is_linked_elsewhere_is_replaced_not_written_to(folder: Path, tmp_path: Path, link: str) -> None:
    cached = write(tmp_path / "cached", [1, 2, 3])
    before = cached.read_bytes()
    folder.mkdir()
    for number in (0, 1):
        getattr(folder / sealed.shard_name(number), link)(cached)
    publish(folder, [4])
    assert contents(folder) == {"part-00000.parquet": [4]}
    assert cached.read_bytes() == before
