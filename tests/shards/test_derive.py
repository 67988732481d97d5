"""A folder of shards is derived from another by a recipe: the same bytes after any history."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import ShardError
from pipeline.core.progress import Progress
from pipeline.engines.dask import DaskCluster
from pipeline.engines.local import LocalProcesses
from pipeline.shards import sealed
from pipeline.shards.derive import derive
from pipeline.shards.folder import ShardFolder, shard_name
from pipeline.shards.recipe import DerivedSeal, Recipe, expected_seal, row_digests
from pipeline.shards.sealed import Shard
from tests.support.seals import seal, write_numbers
from tests.support.tarballs import contents, flip

SOURCE = pa.schema([("clip_id", pa.string()), ("value", pa.int32()), ("note", pa.string())])
HERE = LocalProcesses(1)


@dataclass(frozen=True)
class Times(Recipe):
    """Multiply; what is not asked for again is not computed again."""

    factor: int = 2

    NAME: ClassVar[str] = "times"
    REVISION: ClassVar[int] = 1
    inputs = ("clip_id", "value")
    copied = ("clip_id", "note")
    ROW_GROUP_ROWS: ClassVar[int] = 4

    @property
    def columns(self) -> pa.Schema:
        return pa.schema([("clip_id", pa.string()), ("product", pa.int64()), ("note", pa.string())])

    def settings(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def versions(self) -> dict[str, str]:
        return {"multiplication": "1"}

    def rows(self, source: pa.Table) -> pa.Table:
        assert source.column_names == ["clip_id", "value"]
        products = [value * self.factor for value in source["value"].to_pylist()]
        if -1 in products:
            raise ShardError("no product may be -1")
        return pa.table({"product": pa.array(products, pa.int64())})


@dataclass(frozen=True)
class Revised(Times):
    REVISION: ClassVar[int] = 2


class WithSign(Times):
    """Of another data set, which has a column more."""

    @property
    def columns(self) -> pa.Schema:
        return super().columns.append(pa.field("is_negative", pa.bool_()))

    def rows(self, source: pa.Table) -> pa.Table:
        made = super().rows(source)
        return made.append_column("is_negative", pc.less(made["product"], 0))


def write_source(folder: Path, shards: Sequence[Sequence[int]], note: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number, values in enumerate(shards):
        rows = [{"clip_id": f"clip {place}", "value": value, "note": note} for place, value in enumerate(values)]
        with sealed.writing(folder / shard_name(number), SOURCE) as writer:
            for start in range(0, len(rows), 3):
                writer.write(pa.Table.from_pylist(rows[start : start + 3], schema=SOURCE))
            writer.seal(seal(sealed.fingerprint([number, *values])))
    return folder


def products(folder: Path) -> list[list[int]]:
    paths = sorted(folder.glob("part-*.parquet"))
    return [Shard(path, DerivedSeal).read_all()["product"].to_pylist() for path in paths]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(tmp_path / "source", [range(10), range(7)])


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_derive_makes_a_row_of_each_row_of_the_source(source: Path, target: Path) -> None:
    done = derive(Times(), source, target, HERE)
    assert (done.rows, done.shards, done.computed) == (17, 2, 17)
    assert products(target) == [[2 * value for value in range(10)], [2 * value for value in range(7)]]
    assert Shard(target / shard_name(0), DerivedSeal).rows_of_groups == [4, 4, 2]
    assert not list(target.parent.glob(".*"))


def test_derive_leaves_right_shards_alone_and_seals_how_they_were_made(source: Path, target: Path) -> None:
    derive(Times(), source, target, HERE)
    before = {path.name: path.stat().st_ino for path in target.iterdir()}
    assert derive(Times(), source, target, HERE).computed == 0
    assert {path.name: path.stat().st_ino for path in target.iterdir()} == before
    made = Shard(target / shard_name(0), DerivedSeal).seal
    assert (made.recipe, made.revision, made.settings) == ("times", 1, {"factor": 2})
    assert made.snapshot == "demo"
    assert made.decoder["machine"] == f"{platform.system()} {platform.machine()}"
    assert made.decoder["pyarrow"] == pa.__version__


def test_derive_counts_progress_by_shard(source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[float] = []
    monkeypatch.setattr(Progress, "update", lambda _, count: counted.append(count))
    derive(Times(), source, target, HERE)
    assert counted == [1, 1]


def test_derive_with_nothing_to_do_needs_no_cluster(source: Path, target: Path) -> None:
    derive(Times(), source, target, HERE)
    assert derive(Times(), source, target, DaskCluster("nowhere:1", 1, 1, dict)).rows == 17


@pytest.mark.parametrize("other", [Times(3), Revised()])
def test_derive_makes_all_again_for_another_setting_or_revision(source: Path, target: Path, other: Times) -> None:
    derive(Times(), source, target, HERE)
    assert derive(other, source, target, HERE).computed == 17
    fresh = target.with_name("fresh")
    derive(other, source, fresh, HERE)
    assert contents(target) == contents(fresh)


def test_derive_makes_all_of_another_kind_of_machine_again_and_says_so(
    source: Path, target: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(platform, "machine", lambda: "arm9000")
        derive(Times(), source, target, HERE)
    assert derive(Times(), source, target, HERE).computed == 17
    (said,) = caplog.messages
    assert "arm9000" in said
    assert "dvc pull" in said
    assert Shard(target / shard_name(0), DerivedSeal).seal.decoder["machine"].endswith(platform.machine())


def test_derive_of_another_data_set_takes_nothing_of_shards_with_other_columns(tmp_path: Path, target: Path) -> None:
    derive(Times(), write_source(tmp_path / "source", [range(10)]), target, HERE)
    derive(WithSign(), write_source(tmp_path / "source", [range(20, 25)]), target, HERE)
    [path] = target.glob("part-*.parquet")
    assert Shard(path, DerivedSeal).read_all()["is_negative"].to_pylist() == [False] * 5


def test_derive_computes_only_rows_whose_inputs_changed(tmp_path: Path, target: Path) -> None:
    source = write_source(tmp_path / "source", [range(10)])
    derive(Times(), source, target, HERE)
    write_source(source, [[*range(10), 77, 78]])
    assert derive(Times(), source, target, HERE).computed == 2
    write_source(source, [[*range(9), 50, 77, 78]])
    assert derive(Times(), source, target, HERE).computed == 3  # row groups begin at 0, 4 and 8
    write_source(source, [[*range(9), 50, 77, 78]], note="another")
    assert derive(Times(), source, target, HERE).computed == 0
    assert Shard(target / shard_name(0), DerivedSeal).read_all()["note"].to_pylist() == ["another"] * 12


shards = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=11), min_size=1, max_size=3)


@pytest.mark.more
@given(histories=st.lists(st.tuples(shards, st.sampled_from([Times(), Times(3), Revised()])), max_size=3), last=shards)
def test_derive_gives_the_same_bytes_after_any_history(
    tmp_path_factory: pytest.TempPathFactory, histories: list[tuple[list[list[int]], Times]], last: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    for values, recipe in histories:
        derive(recipe, write_source(folder / "source", values), folder / "used", HERE)
    derive(Times(), write_source(folder / "source", last), folder / "used", HERE)
    derive(Times(), folder / "source", folder / "fresh", HERE)
    assert contents(folder / "used") == contents(folder / "fresh")


def test_derive_makes_damaged_and_swapped_shards_again(source: Path, target: Path) -> None:
    derive(Times(), source, target, HERE)
    whole = contents(target)
    flip(target / shard_name(0), 0)  # a byte that no page has: only the digest of the whole file finds it
    assert derive(Times(), source, target, HERE).computed == 10
    assert contents(target) == whole
    for name, other in zip(whole, reversed(whole.values()), strict=True):
        (target / name).write_bytes(other)
    derive(Times(), source, target, HERE)
    assert contents(target) == whole


def test_derive_makes_a_damaged_shard_of_a_killed_run_again(source: Path, target: Path) -> None:
    derive(Times(), source, target, HERE)
    whole = contents(target)
    waiting = ShardFolder(target).waiting
    target.rename(waiting)
    flip(waiting / shard_name(1), 0)
    assert derive(Times(), source, target, HERE).computed == 7
    assert contents(target) == whole
    assert not waiting.exists()


def test_derive_from_a_damaged_source_changes_nothing(source: Path, target: Path) -> None:
    derive(Times(), source, target, HERE)
    before = contents(target)
    flip(source / shard_name(1), 0)
    with pytest.raises(ShardError, match=r"part-00001\.parquet: is damaged"):
        derive(Times(5), source, target, HERE)
    assert contents(target) == before


def test_derive_from_a_source_without_a_column_names_it(source: Path, target: Path) -> None:
    write_numbers(source / shard_name(0), [1])
    with pytest.raises(ShardError, match=r"part-00000\.parquet: has no column clip_id, note, value; .*dvc repro"):
        derive(Times(), source, target, HERE)
    assert not target.exists()


def test_derive_reuses_shards_finished_before_an_error(tmp_path: Path, target: Path) -> None:
    source = write_source(tmp_path / "source", [[1, 2], [-1]])
    with pytest.raises(ShardError, match="no product may be -1"):
        derive(Times(1), source, target, HERE)
    assert not target.exists()
    write_source(source, [[1, 2], [3]])
    assert derive(Times(1), source, target, HERE).computed == 1
    assert products(target) == [[1, 2], [3]]


def test_expected_seal_has_a_fingerprint_of_all_inputs() -> None:
    source = seal("a")
    sources = [
        source,
        replace(source, fingerprint="b"),
        replace(source, content_sha256="c"),
        replace(source, title="d"),
    ]
    seals = [expected_seal(Times(), each) for each in sources]
    seals += [expected_seal(recipe, source) for recipe in (Times(3), Revised())]
    assert len({made.fingerprint for made in seals}) == len(seals)
    assert expected_seal(Times(), replace(source, footer_sha256="e")) == seals[0]


def test_row_digests_differ_for_different_rows_of_any_type() -> None:
    rows = pa.table(
        {
            "text": ["a", "a", None, "a", "a"],
            "bytes": pa.array([b"x", b"x", b"x", b"y", b"x"]),
            "samples": pa.array([[1, 2], [1, 2], [1, 2], [1, 2], [1]], pa.list_(pa.int16())),
            "audio": pa.array(
                [{"bytes": b"f", "path": "p"}] * 5, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            ),
        }
    )
    digests = row_digests(rows, {})
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
    assert row_digests(rows.slice(3), {}) == digests[3:]


def test_row_digests_of_rows_that_share_a_file_differ_where_the_file_does() -> None:
    def digests(*files: bytes | None, at_once: int = 9) -> list[str]:
        audio = [{"bytes": data, "path": "p" if data is None else f"{data[:1].decode()}"} for data in files]
        rows = pa.table({"audio": pa.array(audio, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
        known: dict[str, str] = {}
        return [each for at in range(0, len(files), at_once) for each in row_digests(rows.slice(at, at_once), known)]

    whole = digests(b"p1", b"x", None, None)
    assert digests(b"p1", b"x", None, None, at_once=1) == whole
    assert whole[2] == whole[3] != whole[0]
    assert digests(b"p2", b"x", None)[2] != whole[2]
