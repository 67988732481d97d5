"""`require` and `where`: which rows they keep, what they count, and how they answer what is not there."""

from __future__ import annotations

import re
import shlex

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.params import Bounds
from pipeline.sampling.eligibility import Where, eligible, problems
from tests.sampling.clips import clip_tables, table_of
from tests.support.project import ROOT, Project

CONDITIONED = ("species", "rating", "level")


def where_of(clips: pa.Table) -> st.SearchStrategy[Where]:
    """Draw conditions that rows can meet: lists of values that occur, bounds for columns of numbers."""
    listed = {
        column: st.lists(st.sampled_from(clips[column].to_pylist()), min_size=1, unique=True).map(tuple)
        for column in CONDITIONED
    }
    bounds = st.builds(Bounds, st.none() | st.integers(-1, 2), st.none() | st.floats(-1, 3))
    return st.fixed_dictionaries(
        {}, optional={column: each if column == "species" else each | bounds for column, each in listed.items()}
    )


@given(
    clips=clip_tables(),
    require=st.lists(st.sampled_from(["species", "site", "rating"]), unique=True),
    data=st.data(),
)
def test_eligible_rows_pass_all_filters_and_each_filter_counts_what_it_removed(
    clips: pa.Table, require: list[str], data: st.DataObject
) -> None:
    where = data.draw(where_of(clips))

    def passes(row: dict[str, object]) -> bool:
        for column, condition in where.items():
            value = row[column]
            if not isinstance(condition, Bounds):
                met = value in condition
            else:
                low, high = condition.min, condition.max
                met = (
                    isinstance(value, int | float) and (low is None or value >= low) and (high is None or value <= high)
                )
            if not met:
                return False
        return all(row[column] is not None for column in require)

    is_eligible, removed = eligible(clips, require=require, where=where)
    assert is_eligible.tolist() == [passes(row) for row in clips.to_pylist()]
    assert list(removed) == [f"require.{column}" for column in require] + [f"where.{column}" for column in where]
    assert sum(removed.values()) + is_eligible.sum() == clips.num_rows


def test_where_that_no_row_can_meet_is_answered_with_what_there_is() -> None:
    clips = table_of({"species": ["wren"] * 3 + ["robin"] * 2 + [None], "rating": [2] * 6, "seconds": [1.0] * 6})
    where: Where = {
        "species": ("wren", None, "robins"),
        "rating": (3, 2.0),
        "site": Bounds(1, 2),
        "level": ("loud",),
        "seconds": Bounds(0.5, None),
        "text": (3,),
    }
    assert list(problems(clips, strata=["table"], require=["crc32"], where=where)) == [
        "stratify.require: this snapshot declares no column crc32; there are table, text, species, site, rating, level",
        "stratify.where.species: no clip has robins (did you mean robin?); there are wren (3), robin (2), null (1)",
        "stratify.where.rating: no clip has 3; there are 2 (6)",
        "stratify.where.site: is a column of texts, which have no min and max; list the eligible values",
        "stratify.where.level: should list numbers, such as 3; got 'loud'",
        "stratify.where.text: should list texts, such as '3'; got 3",
    ]
    many = table_of({"species": [f"species {number:04}" for number in range(1500)]})
    (line,) = problems(many, strata=(), require=(), where={"species": ("?",)})
    assert line.endswith("(1) and 1,480 more")


def test_where_of_seconds_needs_a_duration() -> None:
    (line,) = problems(table_of({"species": ["wren"]}), strata=(), require=(), where={"seconds": Bounds(1)})
    assert "no column seconds" in line


def test_stratify_and_estimate_draw_from_the_same_rows(staged: Project, capsys: pytest.CaptureFixture[str]) -> None:
    staged.set(stratify__where={"accent": ["us", None], "gender": ["female"], "up_votes": {"min": 2}})
    staged.set(subsample__clips=5, subsample__max_rejected=1)
    staged.stage("stratify")
    ranking = pd.read_parquet(staged.root / "data/ranking.parquet")
    assert set(ranking["gender"]) == {"female"}
    assert set(ranking["accent"].dropna()) <= {"us"}
    assert ranking["up_votes"].min() >= 2
    assert staged.main("estimate") == 0
    assert re.match(rf"eligible +{len(ranking)} of ", capsys.readouterr().out)
    staged.stage("subsample")
    assert set(pd.read_parquet(staged.root / "data/sample.parquet")["gender"]) == {"female"}


@pytest.mark.more
def test_where_of_the_course_is_the_experiment_that_the_docs_have(made: Project) -> None:
    (command,) = re.findall(r"^dvc exp run (?:.*\\\n)+.*", (ROOT / "docs/sampling.md").read_text(), flags=re.MULTILINE)
    command = command.replace("\\\n", " ").replace("subsample.clips=9000", "subsample.clips=5")
    made.run(*shlex.split(command))
    sample = pd.read_parquet(made.root / "data/sample.parquet")
    assert len(sample) == 5
    assert set(sample["accent"]) == {"us"}
    assert not set(sample["age"]) & {"seventies", "eighties"}
    assert sample["up_votes"].min() >= 3
