"""`stratify.where` draws from the listed values, counts what it took, and answers with the values there are."""

from __future__ import annotations

import re
import shlex

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.commands import estimate
from pipeline.core.errors import ParameterError, SampleError
from pipeline.sampling.eligibility import eligible, unknown_values
from tests.sampling.test_ranking import clip_tables
from tests.support.project import ROOT, Project

COLUMNS = ("accent", "age", "up_votes")


@given(clips=clip_tables(), data=st.data())
def test_where_keeps_the_rows_with_a_listed_value_and_counts_the_others(
    clips: pd.DataFrame, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(COLUMNS), unique=True).map(sorted))
    objects = {column: [None if pd.isna(value) else value for value in clips[column]] for column in COLUMNS}
    where = {
        column: data.draw(st.lists(st.sampled_from([*objects[column], None]), min_size=1, unique=True))
        for column in chosen
    }
    rows, taken = eligible(clips, where=where)
    right = [all(objects[column][place] in where[column] for column in chosen) for place in range(len(clips))]
    assert rows["clip_id"].tolist() == clips["clip_id"][right].tolist()
    assert list(taken) == [f"where.{column}" for column in chosen]
    assert sum(taken.values()) + len(rows) == len(clips)


@pytest.mark.more
@given(clips=clip_tables(), data=st.data())
def test_where_has_an_unknown_value_if_and_only_if_no_row_has_it(clips: pd.DataFrame, data: st.DataObject) -> None:
    values = [None if pd.isna(value) else value for value in clips["age"]]
    listed = data.draw(st.lists(st.sampled_from([*values, None, "martian"]), min_size=1, unique=True))
    problems = unknown_values(clips, {"age": listed})
    assert len(problems) == len([value for value in listed if value not in values])


def test_where_with_an_unknown_value_is_answered_with_those_that_are_and_their_counts() -> None:
    clips = pd.DataFrame({"age": pd.Series(["teens"] * 3 + ["fourties"] * 2 + [None], dtype="str"), "up_votes": 2})
    first, second = unknown_values(clips, {"age": ["teens", "forties"], "up_votes": [3, 2]})
    assert first == (
        "stratify.where.age: no row has forties (did you mean fourties?); there are teens (3), fourties (2), null (1)"
    )
    assert second == "stratify.where.up_votes: no row has 3; there are 2 (6)"
    (many,) = unknown_values(pd.DataFrame({"text": [f"text {number:04}" for number in range(1500)]}), {"text": ["?"]})
    assert many.endswith("(1) and 1,480 more")


def test_stratify_and_estimate_draw_from_the_same_rows(
    staged: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(staged.root)
    staged.set(stratify__where={"accent": ["us", None], "gender": ["female"]}, subsample__clips=5)
    staged.stage("stratify")
    ranking = pd.read_parquet("data/ranking.parquet")
    assert set(ranking["gender"]) == {"female"}
    assert set(ranking["accent"].dropna()) <= {"us"}
    assert re.match(rf"eligible +{len(ranking)} of ", estimate.report())
    staged.stage("subsample")
    assert set(pd.read_parquet("data/sample.parquet")["gender"]) == {"female"}
    assert capsys.readouterr().out == ""


def test_where_with_values_that_no_row_has_are_one_error_and_change_nothing(
    staged: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(staged.root)
    before = staged.outputs()
    staged.set(stratify__where={"accent": ["mars"], "age": ["teens", "forties"]})
    with pytest.raises(ParameterError) as caught:
        staged.stage("stratify")
    accent, age = caught.value.problems
    assert re.match(r"stratify\.where\.accent: no row has mars; there are .*us \(\d+\)", accent)
    assert "no row has forties (did you mean fourties?)" in age
    with pytest.raises(ParameterError):
        estimate.report()
    assert staged.outputs() == before


def test_where_with_values_that_no_row_has_together_name_the_filters(staged: Project) -> None:
    staged.set(stratify__where={"gender": [None]})
    with pytest.raises(SampleError, match=r"require\.gender \d+, .*where\.gender \d+"):
        staged.stage("stratify")


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
