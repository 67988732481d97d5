"""A shard is written whole and sealed; a change of any byte is noticed."""

from __future__ import annotations

import hashlib
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

from pipeline.core.columns import Column, fields
from pipeline.core.errors import ShardError
from pipeline.core.schema import ranking_schema
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


def test_shard_is_an_ordinary_parquet_file(shard: Path) -> None:
    assert pd.read_parquet(shard)["number"].tolist() == [1, 2, 3]
    assert pq.read_metadata(shard).num_row_groups == 3
    assert pq.read_metadata(shard).metadata[b"title"] == b"beside the seal"


def test_seal_has_the_digests_of_file_and_footer_with_zeros_in_their_places(shard: Path) -> None:
    made = Shard(shard, Seal).seal
    data = shard.read_bytes()
    data = data.replace(made.footer_sha256.encode(), b"0" * 64)
    footer_bytes = int.from_bytes(data[-8:-4], "little") + 8
    assert hashlib.sha256(data[-footer_bytes:]).hexdigest() == made.footer_sha256
    data = data.replace(made.content_sha256.encode(), b"0" * 64)
    assert hashlib.sha256(data).hexdigest() == made.content_sha256
    assert replace(made, content_sha256="0" * 64, footer_sha256="0" * 64) == seal(sealed.fingerprint([1, 2, 3]))


@pytest.mark.parametrize("name", ["_BLOCK_BYTES", "_TAIL_BYTES"])
def test_seal_is_the_same_read_in_pieces(shard: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Shard(shard, Seal).seal
    monkeypatch.setattr(sealed, name, 13)
    Shard(shard, Seal).verify()
    assert Shard(shard, Seal).seal == before
    assert write_numbers(shard.with_name("again.parquet"), [1, 2, 3]).read_bytes() == shard.read_bytes()


def test_seal_takes_no_fact_for_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    with sealed.writing(path, NUMBERS, {"a": '"content_sha256":"' + "1" * 64}) as writer:
        writer.seal(replace(seal(), title='","content_sha256":"' + "1" * 64, version='"footer_sha256":"'))
    Shard(path, Seal).verify()


def test_whole_shards_are_told_from_damaged_and_absent_ones(shard: Path) -> None:
    truncated = shard.with_name("part-00001.parquet")
    truncated.write_bytes(shard.read_bytes()[:-20])
    found = whole_shards(open_shards([truncated, shard, shard.with_name("absent.parquet")], Seal))
    assert {path: each.seal.fingerprint for path, each in found.items()} == {shard: sealed.fingerprint([1, 2, 3])}


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.more), 29])
def test_shard_with_a_flipped_bit_is_not_whole_and_hands_out_no_other_rows(shard: Path, step: int) -> None:
    """A page's header has no checksum: a change there that reads as the same rows does no harm."""
    data = shard.read_bytes()
    footer = len(data) - int.from_bytes(data[-8:-4], "little") - 8
    dice = random.Random(2017)
    for place in range(0, len(data), step):
        changed = bytearray(data)
        changed[place] ^= 1 << dice.randrange(8)
        shard.write_bytes(changed)
        assert not is_whole(shard), place
        try:
            rows = Shard(shard, Seal).read_all()
        except ShardError:
            continue
        assert place < footer
        assert rows["number"].to_pylist() == [1, 2, 3], place


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.more), 29])
def test_shard_that_is_truncated_is_not_whole(shard: Path, step: int) -> None:
    data = shard.read_bytes()
    for length in range(0, len(data), step):
        shard.write_bytes(data[:length])
        assert not is_whole(shard), length


def test_shard_that_stands_twice_in_its_file_is_refused(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes() * 2)
    with pytest.raises(ShardError, match="longer or shorter than what was written"):
        Shard(shard, Seal)


@pytest.mark.parametrize(
    "metadata", [{}, *({"pipeline": facts} for facts in ('{"version":1}', "null", '"' + "x" * 99))]
)
def test_shard_is_no_other_parquet_file(shard: Path, metadata: dict[str, str]) -> None:
    pq.write_table(pa.table({"number": [1]}).replace_schema_metadata(metadata), shard)
    with pytest.raises(ShardError, match="was not written by this version of the pipeline"):
        Shard(shard, Seal)


def test_seal_of_another_kind_is_refused(shard: Path) -> None:
    with pytest.raises(ShardError):
        Shard(shard, OtherSeal)
    with sealed.writing(shard, NUMBERS) as writer:
        writer.seal(OtherSeal(**asdict(seal()), more=1))
    assert Shard(shard, OtherSeal).seal.more == 1
    assert Shard(shard, Seal).seal.snapshot == "demo"


def test_shard_is_read_by_row_groups_and_columns(shard: Path) -> None:
    opened = pickle.loads(pickle.dumps(Shard(shard, Seal)))
    assert opened.num_rows == 3
    assert opened.rows_of_groups == [1, 1, 1]
    assert opened.columns == NUMBERS
    assert [opened.read(group, ["number"])["number"].to_pylist() for group in opened.groups] == [[1], [2], [3]]


def test_shard_is_read_from_another_file_system(shard: Path) -> None:
    elsewhere = pyarrow.fs.SubTreeFileSystem(str(shard.parent), pyarrow.fs.LocalFileSystem())
    assert Shard(shard.name, Seal, elsewhere).read_all()["number"].to_pylist() == [1, 2, 3]


def test_writing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with sealed.writing(tmp_path / "folder" / "s.parquet", NUMBERS):
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert list((tmp_path / "folder").iterdir()) == []


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.integers())))
def test_fingerprint_depends_on_the_facts_and_not_their_order(facts: dict[str, object]) -> None:
    assert sealed.fingerprint(facts) == sealed.fingerprint(dict(reversed(facts.items())))
    assert sealed.fingerprint(facts) != sealed.fingerprint({**facts, "one more": 1})


def test_shards_in_each_others_places_are_noticed(tmp_path: Path) -> None:
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


def test_table_is_read_as_it_was_written_with_what_is_declared_of_its_columns(tmp_path: Path) -> None:
    schema = ranking_schema([Column("bird", roles=("label",), description="who sings").field])
    table = pa.Table.from_pylist([{"rank": 0, "bird": "wren"}, {"rank": 1}], schema=schema)
    write_table(tmp_path / "table.parquet", table)
    read = read_table(tmp_path / "table.parquet", ranking_schema)
    assert (read, fields(read.schema)[0].metadata) == (table, schema.field("bird").metadata)
    assert read_table(tmp_path / "table.parquet", ranking_schema, ["bird"]) == table.select(["bird"])


def test_table_that_is_another_or_missing_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "table.parquet", pa.table({"number": [1]}))
    for path, said in (("table.parquet", "is another table, with the columns number"), ("nothing", "no such file")):
        with pytest.raises(ShardError, match=f"{path}: {said}"):
            read_table(tmp_path / path, ranking_schema)
