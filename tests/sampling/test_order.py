"""The order of a table of clips: what it is drawn from, what it leaves out, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core.columns import Column
from pipeline.core.errors import ParameterError, SampleError
from pipeline.core.params import Bounds, Stratify
from pipeline.core.schema import PIECE
from pipeline.sampling import order
from pipeline.sampling.order import make_order
from tests.sampling.clips import COLUMNS, TEXT, table_of
from tests.support.project import Project

Draw = Callable[..., order.Order]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch) -> Draw:
    """Return a function that puts a table of clips into an order."""

    def draw(clips: pa.Table, **options: Any) -> order.Order:
        monkeypatch.setattr(order, "read_receipt", lambda: None)
        monkeypatch.setattr(order, "read_clips", lambda *_: clips)
        usual: dict[str, Any] = {"tables": (), "strata": (), "require": (), "allocation": "equal", "seed": 1}
        usual["splits"] = {"one": 0.5, "other": 0.5}
        return make_order(Stratify(**{**usual, **options}))

    return draw


def test_order_leaves_out_copies_and_counts_those_that_are_eligible(draw: Draw) -> None:
    facts: dict[str, list[Any]] = {"size_bytes": [5, 5, 5, 5, 6, 0, 0], "crc32": [1, 1, 1, 1, 1, None, None]}
    clips = table_of({"clip_id": list("dcbaefg"), "species": ["wren"] * 3 + [None] * 4, **facts})
    assert sorted(draw(clips).ranking["clip_id"].to_pylist()) == ["a", "e", "f", "g"]
    assert draw(clips).copies == 3
    # The first of them is eligible or none is: a filter does not bring another one in.
    with pytest.raises(SampleError, match=r"of 7 rows .* require\.species 4, copies 3"):
        draw(clips, require=("species",))


@pytest.mark.parametrize("column", ["clip_id", "path"])
def test_order_of_tables_that_share_clips_names_them(draw: Draw, column: str) -> None:
    shared = {"table": ["a", "a", "b", "c", "d"], column: ["1", "2", "1", "2", "3"]}
    with pytest.raises(ParameterError, match=r"stratify\.tables: a, b and c share clips, such as [12]; name tables"):
        draw(table_of(shared))
    segments = table_of({"path": ["1", "1", None, None], "table": ["a", "a", "a", "b"]})
    assert draw(segments).ranking.num_rows == 4


@pytest.mark.parametrize("column", [TEXT, Column("site", is_apart=True)])
def test_order_moves_no_clip_to_another_split_by_filters_strata_or_allocation(draw: Draw, column: Column) -> None:
    numbers = range(400)
    columns: dict[str, Any] = {column.name: [f"{n % 37}" for n in numbers], "rating": [n % 11 for n in numbers]}
    columns |= {"size_bytes": numbers, "crc32": [n // 2 * 2 for n in numbers]}
    clips = table_of(columns, [column, Column("rating", "integer")])
    splits = {"train": 0.8, "dev": 0.1, "test": 0.1}

    def split_of(**options: Any) -> dict[str, str]:
        rows = draw(clips, splits=splits, **options).ranking.to_pylist()
        return {row["clip_id"]: row["split"] for row in rows}

    every = split_of()
    assert split_of(strata=("rating",), allocation="proportional") == every
    for where in ({"rating": Bounds(3, 4)}, {column.name: ("1", "2", "3", "4", "5")}):
        some = split_of(where=where)
        assert some == {clip_id: every[clip_id] for clip_id in some}


@pytest.mark.parametrize("declared", [[], [TEXT], [Column("site", is_apart=True)]])
def test_order_keeps_recordings_in_one_split_whatever_else_is_apart(draw: Draw, declared: list[Column]) -> None:
    """Also where the recording lies there twice, and where two tables have pieces of it."""
    numbers = range(200)
    recordings = [number % 20 for number in numbers]
    columns: dict[str, Any] = {
        "clip_id": [f"{n}/{recordings[n]}@{n}-{n + 9}" for n in numbers],
        "table": ["a", "b"] * 100,
        "path": [f"{n % 40}.wav" for n in numbers],
        "size_bytes": [5] * 200,
        "crc32": recordings,
        "text": [f"{n % 50}" for n in numbers],
        "site": [f"{recordings[n] // 2}" for n in numbers],
        "start_seconds": numbers,
        "end_seconds": [n + 9 for n in numbers],
    }
    pieces = [Column(name, "number") for name in PIECE]
    clips = table_of(columns, [*declared, *pieces])
    ranking = draw(clips).ranking
    assert ranking.num_rows == 200
    split_of = dict(zip(ranking["clip_id"].to_pylist(), ranking["split"].to_pylist(), strict=True))
    splits = [{split_of[columns["clip_id"][n]] for n in numbers if recordings[n] == each} for each in range(20)]
    assert {len(each) for each in splits} == {1}
    assert len(set.union(*splits)) == 2
    some = draw(clips, where={"start_seconds": Bounds(50, 90)}).ranking.to_pylist()
    assert all(row["split"] == split_of[row["clip_id"]] for row in some)


def test_order_warns_of_strata_that_hold_a_clip_or_two(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    draw(table_of({"site": [f"site {number}" for number in range(1000)]}), strata=("site",))
    assert "site has 1000 levels" in caplog.text


def test_order_says_which_columns_leave_no_clip_in_a_split(draw: Draw) -> None:
    columns = (TEXT, Column("speaker", is_apart=True))
    grid = {"text": [f"text {n % 8}" for n in range(64)], "speaker": [f"speaker {n // 8}" for n in range(64)]}
    made = draw(table_of(grid, columns))
    assert (made.crossed, made.apart) == (64 - made.ranking.num_rows, ("text", "speaker"))
    splits = {f"split {n}": 1 / 64 for n in range(64)}
    with pytest.raises(SampleError, match="none of 4 clips has its text and speaker in the same split"):
        draw(table_of({"text": list("aabb"), "speaker": list("xyxy")}, columns), splits=splits, seed=2)


def test_order_keeps_what_is_declared_of_the_columns(draw: Draw) -> None:
    ranking = draw(table_of({"rating": [1, 2]})).ranking
    assert ranking.column_names == ["rank", "clip_id", "table", "split", "stratum", *[each.name for each in COLUMNS]]
    assert ranking.schema.field("text").equals(TEXT.field, check_metadata=True)


def test_stratify_lists_all_problems_at_once_and_changes_nothing(fresh: Project) -> None:
    fresh.stage("download", "stratify")
    before = fresh.outputs()
    fresh.set(stratify__where={"accent": ["mars"], "acent": ["us"]}, stratify__strata=["sex"])
    with pytest.raises(ParameterError) as caught:
        fresh.stage("stratify")
    assert len(caught.value.problems) == 3
    assert fresh.outputs() == before
