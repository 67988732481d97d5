"""Every problem of a settings file is named at once, with its path and what is allowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.core.errors import ParameterError
from pipeline.core.params import Bounds, Params, load_params, load_runtime
from tests.support.project import ROOT

GOOD = YAML(typ="safe").load(ROOT / "params.yaml")
NULL = object()


def changed(tmp_path: Path, **values: object) -> Params:
    """Load this project's parameters with some of them replaced; None takes a key away."""
    document = YAML(typ="safe").load(ROOT / "params.yaml")
    for name, value in values.items():
        *sections, key = name.split("__")
        section = document
        for part in sections:
            section = section[part]
        section.pop(key, None)
        if value is not None:
            section[key] = None if value is NULL else value
    path = tmp_path / "params.yaml"
    YAML().dump(document, path)
    return load_params(path)


def test_params_of_this_project_are_valid_and_frozen() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.subsample.clips == GOOD["subsample"]["clips"]
    with pytest.raises(AttributeError, match="immutable"):
        params.subsample.clips = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("snapshot", 5, "should be a text; got 5"),
        ("snapshot", "../demo", "should be a text matching regex"),
        ("stratify__tables", ["valid-dev", "valid-dev"], "names valid-dev more than once"),
        ("stratify__require", "gender", "should be a list; got 'gender'"),
        ("stratify__where", ["us"], "a list of values, or bounds, for each column"),
        ("stratify__where", {"age": "teens"}, "age: should be a list of values, or {min: , max: }"),
        ("stratify__where", {"age": []}, "age: should be a list of values"),
        ("stratify__where", {"age": {"mn": 3}}, "age: should be a list of values, or {min: , max: }"),
        ("stratify__where", {"age": [float("nan")]}, "age: should list texts or numbers, and null"),
        ("stratify__where", {"age": ["teens", "teens"]}, "age: lists a value more than once"),
        ("stratify__where", {"votes": {"min": "3"}}, "votes: min and max should be numbers"),
        ("stratify__where", {"votes": {"min": 3, "max": 2}}, "votes: min should not be larger than max"),
        ("stratify__allocation", 1.01, "a power from 0 to 1"),
        ("stratify__allocation", "even", "proportional, equal or a power"),
        ("stratify__seed", 1.5, "should be a whole number; got 1.5"),
        ("stratify__splits", {"train": 0.8, "test": 0.1}, "add up to 1, not 0.9"),
        ("subsample__clips", "120", "should be a whole number or null; got '120'"),
        ("subsample__hours", 10, "either clips or hours, and not both"),
        ("subsample__seconds", None, r"subsample\.seconds: missing"),
        ("subsample__seconds", [0.5], "should be a list of length 2"),
        ("subsample__seconds", [3, 2], "the smaller one first"),
        ("subsample__seconds", [0.5, float("nan")], r"subsample\.seconds\.1: should be a number >= 0"),
        ("subsample__seconds", [0.5, float("inf")], r"subsample\.seconds\.1: should be a number <= 1000000000"),
        ("subsample__exclude", NULL, r"subsample\.exclude: should be a list; got null"),
        ("waveforms__sample_rate", 4000, "should be a whole number >= 8000"),
        ("waveforms__sample_rat", 8000, "did you mean sample_rate"),
        ("waveforms__excerpt", {"seconds": 0, "at": "start"}, r"excerpt\.seconds: should be a number >= 0.001"),
        ("waveforms__excerpt", {"seconds": float("nan"), "at": "start"}, r"excerpt\.seconds: should be a number"),
        ("waveforms__excerpt", {"seconds": 5, "at": "middle"}, r"excerpt\.at: "),
        ("waveforms__excerpt", {"seconds": 5}, r"excerpt\.at: missing"),
        ("waveforms__excerpt", {"seconds": 5, "at": "start", "from": 3}, r"excerpt\.from: unknown key"),
        ("waveforms__excerpt", 5, "excerpt: should be a section"),
    ],
)
def test_params_name_a_wrong_value_by_its_path(tmp_path: Path, key: str, value: object, said: str) -> None:
    with pytest.raises(ParameterError, match=said) as caught:
        changed(tmp_path, **{key: value})
    assert len(caught.value.problems) == 1
    path = key.replace("__", ".")
    section = path.rpartition(".")[0]
    assert path in str(caught.value) or f"{section}:" in str(caught.value)


def test_params_list_all_problems_in_one_message(tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        changed(tmp_path, snapshot=None, stratify__seed="x", shards__size=3)
    assert len(caught.value.problems) == 3
    assert caught.value.exit_status == 2


@pytest.mark.parametrize("text", ["snapshot: [", "snapshot: demo\nsnapshot: other\n", "- demo\n", "", "snapshot: \x00"])
def test_params_that_are_not_there_no_yaml_or_no_mapping_are_an_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(ParameterError, match="no such file"):
        load_params(path)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ParameterError):
        load_params(path)


def test_params_do_not_wait_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "params.yaml")
    with pytest.raises(ParameterError, match="no regular file"):
        load_params(tmp_path / "params.yaml")


def test_params_ignore_the_order_of_splits(tmp_path: Path) -> None:
    given = changed(tmp_path, stratify__splits={"test": 0.1, "train": 0.8, "dev": 0.1}).stratify.splits
    assert list(given.items()) == [("dev", 0.1), ("test", 0.1), ("train", 0.8)]


def test_runtime_is_from_the_file_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ROOT / "configs/runtime.yaml"
    assert load_runtime(path).processes >= 1
    monkeypatch.setenv("PIPELINE_WORKERS", "3")
    assert load_runtime(path).processes == 3
    monkeypatch.setenv("PIPELINE_WORKERS", "none")
    with pytest.raises(ParameterError, match="workers"):
        load_runtime(path)


def test_where_takes_lists_and_bounds_in_any_order(tmp_path: Path) -> None:
    where = {"votes": {"min": 2}, "accent": ["us"], "age": ["teens", None], "level": {"max": 0.5, "min": 0.5}}
    one = changed(tmp_path, stratify__where=where).stratify.where
    other = changed(tmp_path, stratify__where=dict(reversed(where.items()))).stratify.where
    expected = {"accent": ("us",), "age": ("teens", None), "level": Bounds(0.5, 0.5), "votes": Bounds(2, None)}
    assert list(one.items()) == list(other.items()) == list(expected.items())
    assert changed(tmp_path, stratify__where=None).stratify.where == {}


def test_params_take_no_bound_all_tables_and_hours_in_place_of_clips(tmp_path: Path) -> None:
    params = changed(
        tmp_path, subsample__seconds=[0.5, None], stratify__tables=[], subsample__clips=None, subsample__hours=10
    )
    assert (params.subsample.seconds, params.stratify.tables, params.subsample.hours) == ((0.5, None), (), 10)


def test_params_answer_a_key_of_earlier_versions_with_the_where_in_its_place(tmp_path: Path) -> None:
    keys = {"min_up_votes": 3, "max_down_votes": 1, "min_net_votes": 2, "estimated_seconds": [0.5, 20], "min_": 1}
    with pytest.raises(ParameterError) as caught:
        changed(tmp_path, **{f"stratify__{key}": value for key, value in keys.items()})
    up, down, net, seconds, other = caught.value.problems
    assert up == "stratify.min_up_votes: is now where: {up_votes: {min: 3}}"
    assert down == "stratify.max_down_votes: is now where: {down_votes: {max: 1}}"
    assert "no where says the same" in net
    assert net.endswith("nearest is where: {up_votes: {min: 2}, down_votes: {max: 0}}")
    assert seconds.startswith("stratify.estimated_seconds: is now where: {seconds: {min: 0.5, max: 20}}")
    assert other.startswith("stratify.min_: unknown key")
