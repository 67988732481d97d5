"""A shard is written whole, sealed, and found out wherever a byte of it has changed."""

from __future__ import annotations

import hashlib
import os
import pickle
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ShardError
from pipeline.shards import sealed
from pipeline.shards.folder import open_shards, whole_shards
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.table import read_table, write_table
from tests.support.seals import NUMBERS, seal, write_numbers


@dataclass(frozen=True, kw_only=True)
class OtherSeal(Seal):
    more: int


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_numbers(tmp_path / "part-00000.parquet", [1, 2, 3])


def is_whole(path: Path) -> bool:
    return path in whole_shards(open_shards([path], Seal))


def test_a_shard_is_an_ordinary_parquet_file(shard: Path) -> None:
    assert pd.read_parquet(shard)["number"].tolist() == [1, 2, 3]
    assert pq.read_metadata(shard).num_row_groups == 3
    assert pq.read_metadata(shard).metadata[b"title"] == b"beside the seal"


def test_its_hashes_are_those_of_file_and_footer_with_zeros_in_their_places(shard: Path) -> None:
    made = Shard(shard, Seal).seal
    data = shard.read_bytes()
    data = data.replace(made.footer_sha256.encode(), b"0" * 64)
    footer_bytes = int.from_bytes(data[-8:-4], "little") + 8
    assert hashlib.sha256(data[-footer_bytes:]).hexdigest() == made.footer_sha256
    data = data.replace(made.content_sha256.encode(), b"0" * 64)
    assert hashlib.sha256(data).hexdigest() == made.content_sha256
    assert replace(made, content_sha256="0" * 64, footer_sha256="0" * 64) == seal(sealed.fingerprint([1, 2, 3]))


@pytest.mark.parametrize("name", ["_BLOCK_BYTES", "_TAIL_BYTES"])
def test_what_is_read_in_pieces_has_the_same_seal(shard: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Shard(shard, Seal).seal
    monkeypatch.setattr(sealed, name, 13)
    Shard(shard, Seal).verify()
    assert Shard(shard, Seal).seal == before
    assert write_numbers(shard.with_name("again.parquet"), [1, 2, 3]).read_bytes() == shard.read_bytes()


def test_a_fact_that_looks_like_a_hash_is_not_taken_for_it(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    with sealed.writing(path, NUMBERS, {"a": '"content_sha256":"' + "1" * 64}) as writer:
        writer.seal(replace(seal(), title='","content_sha256":"' + "1" * 64, version='"footer_sha256":"'))
    Shard(path, Seal).verify()


def test_whole_shards_are_told_from_damaged_and_absent_ones(shard: Path) -> None:
    truncated = shard.with_name("part-00001.parquet")
    truncated.write_bytes(shard.read_bytes()[:-20])
    found = whole_shards(open_shards([truncated, shard, shard.with_name("absent.parquet")], Seal))
    assert {path: each.seal.fingerprint for path, each in found.items()} == {shard: sealed.fingerprint([1, 2, 3])}


@pytest.mark.more
def test_a_change_of_any_byte_is_noticed(shard: Path) -> None:
    data = shard.read_bytes()
    dice = random.Random(2017)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << dice.randrange(8)
        shard.write_bytes(changed)
        assert not is_whole(shard), place
        with pytest.raises(ShardError, match=r"part-00000\.parquet.*dvc pull|was not written by this"):
            Shard(shard, Seal).verify()


@pytest.mark.more
def test_a_change_of_any_byte_of_the_footer_is_noticed_on_opening(shard: Path) -> None:
    data = shard.read_bytes()
    footer = len(data) - int.from_bytes(data[-8:-4], "little") - 8
    for place in range(footer, len(data)):
        changed = bytearray(data)
        changed[place] ^= 4
        shard.write_bytes(changed)
        with pytest.raises(ShardError):
            Shard(shard, Seal)


@pytest.mark.more
def test_a_changed_page_is_not_handed_out(shard: Path) -> None:
    """A page's header has no checksum: a change there that reads as the same rows does no harm."""
    data = shard.read_bytes()
    footer = len(data) - int.from_bytes(data[-8:-4], "little") - 8
    for place in range(4, footer):
        changed = bytearray(data)
        changed[place] ^= 1
        shard.write_bytes(changed)
        opened = Shard(shard, Seal)
        try:
            rows = opened.read_all()
        except ShardError:
            continue
        assert rows["number"].to_pylist() == [1, 2, 3], place


@pytest.mark.more
def test_a_cut_at_any_place_is_noticed(shard: Path) -> None:
    data = shard.read_bytes()
    for length in range(len(data)):
        shard.write_bytes(data[:length])
        assert not is_whole(shard), length


def test_another_s_parquet_file_is_not_taken_for_ours(shard: Path) -> None:
    pq.write_table(pa.table({"number": [1]}), shard)
    with pytest.raises(ShardError, match="was not written by this version of the pipeline"):
        Shard(shard, Seal)


@pytest.mark.parametrize("facts", ['{"version":1}', "null", '"' + "x" * 99])
def test_another_s_seal_is_not_taken_for_ours(tmp_path: Path, facts: str) -> None:
    pq.write_table(pa.table({"number": [1]}).replace_schema_metadata({"pipeline": facts}), tmp_path / "s.parquet")
    with pytest.raises(ShardError, match="was not written by this version of the pipeline"):
        Shard(tmp_path / "s.parquet", Seal)


def test_a_seal_of_another_kind_is_not_taken_for_this_one(shard: Path) -> None:
    with pytest.raises(ShardError, match="was not written by this version of the pipeline"):
        Shard(shard, OtherSeal)
    with sealed.writing(shard, NUMBERS) as writer:
        writer.seal(OtherSeal(**asdict(seal()), more=1))
    assert Shard(shard, OtherSeal).seal.more == 1
    assert Shard(shard, Seal).seal.snapshot == "demo"


def test_a_shard_is_read_by_row_groups_and_columns(shard: Path) -> None:
    opened = pickle.loads(pickle.dumps(Shard(shard, Seal)))
    assert opened.num_rows == 3
    assert opened.rows_of_groups == [1, 1, 1]
    assert opened.columns == NUMBERS
    assert [opened.read(group, ["number"])["number"].to_pylist() for group in opened.groups] == [[1], [2], [3]]


def test_a_shard_is_read_from_another_file_system(shard: Path) -> None:
    elsewhere = pyarrow.fs.SubTreeFileSystem(str(shard.parent), pyarrow.fs.LocalFileSystem())
    assert Shard(shard.name, Seal, elsewhere).read_all()["number"].to_pylist() == [1, 2, 3]


def test_a_shard_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with sealed.writing(tmp_path / "folder" / "s.parquet", NUMBERS):
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert list((tmp_path / "folder").iterdir()) == []


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers())))
def test_a_fingerprint_knows_the_facts_and_not_their_order(facts: dict[str, object]) -> None:
    assert sealed.fingerprint(facts) == sealed.fingerprint(dict(reversed(facts.items())))
    assert sealed.fingerprint(facts) != sealed.fingerprint({**facts, "one more": 1})


# What lies in the place of a shard


def test_a_pipe_in_the_place_of_a_shard_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "part-00000.parquet")
    with pytest.raises(ShardError, match="no regular file"):
        Shard(tmp_path / "part-00000.parquet", Seal)


def test_a_shard_in_the_place_of_another_is_noticed(tmp_path: Path) -> None:
    ranked = pa.schema([("rank", pa.int64())])
    for name, rank in (("a", 0), ("b", 8)):
        with sealed.writing(tmp_path / name, ranked) as writer:
            writer.write(pa.table({"rank": [rank, rank + 1]}, schema=ranked))
            writer.seal(seal())
    first, second = (Shard(tmp_path / name, Seal) for name in "ab")
    sealed.require_in_order([first, second])
    for wrong in ([second, first], [first, first]):
        with pytest.raises(ShardError, match="has earlier clips than"):
            sealed.require_in_order(wrong)


# Single tables


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = pa.table({"number": [1, 2], "text": ["a", None]})
    write_table(tmp_path / "table.parquet", table)
    assert read_table(tmp_path / "table.parquet", table.schema).equals(table)
    assert read_table(tmp_path / "table.parquet", table.schema, ["text"]).equals(table.select(["text"]))


@pytest.mark.more
def test_no_changed_byte_of_a_table_is_handed_out(tmp_path: Path) -> None:
    """A page's header has no checksum: a change there that reads as the same rows does no harm."""
    path = tmp_path / "table.parquet"
    table = pa.table({"number": [1, 2], "text": ["a", None]})
    write_table(path, table)
    data = path.read_bytes()
    noticed = 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        try:
            assert read_table(path, table.schema).equals(table), place
        except ShardError:
            noticed += 1
    assert noticed > len(data) // 2


def test_a_table_that_is_another_one_or_not_there_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "table.parquet", pa.table({"number": [1]}))
    for path, said in (("table.parquet", "is another table, with the columns number"), ("nothing", "no such file")):
        with pytest.raises(ShardError, match=f"{path}: {said}"):
            read_table(tmp_path / path, pa.schema([("pitch", pa.int64())]))
