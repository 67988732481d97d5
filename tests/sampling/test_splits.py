"""The splits' laws: no sentence and no speaker crosses, nothing but they decides, and the sizes are those asked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sampling.ranking import rank
from pipeline.sampling.sentences import normalise
from pipeline.sampling.splits import assign, hashes
from pipeline.snapshot import tables
from tests.support.project import REAL_TABLES

SPLITS = {"train": 0.8, "dev": 0.1, "test": 0.1}

texts = st.sampled_from(["Ａ ﬁsh", "A\tFISH ", "straße", "STRASSE", "é", "e\u0301", "㎒", "", "日本"]) | st.text()


def clips_of(sentences: list[str | None], speakers: list[str | None] | None = None) -> pd.DataFrame:
    frame = pd.DataFrame({"clip_id": [f"t/{number}" for number in range(len(sentences))], "text": sentences})
    frame["text"] = frame["text"].astype("str")
    return frame if speakers is None else frame.assign(speaker=pd.Series(speakers, dtype="str"))


def crossing(keys: pd.Series, split: pd.Series) -> int:
    """Count the keys that occur in more than one split."""
    return int((split.groupby(keys).nunique() > 1).sum())


# Hashes.


@given(values=st.lists(st.text(), max_size=5))
def test_hashes_depend_on_value_seed_and_purpose_alone(values: list[str]) -> None:
    together = hashes(values, seed=1, purpose="clip")
    assert together.tolist() == [int(hashes([value], seed=1, purpose="clip")[0]) for value in values]
    for other in (hashes(values, seed=2, purpose="clip"), hashes(values, seed=1, purpose="sentence")):
        assert not (together == other).any()


# Law 8, where no speaker is known.


@given(sentences=st.lists(st.none() | texts, min_size=1, max_size=30), data=st.data())
def test_splits_are_decided_by_the_sentence_alone(sentences: list[str | None], data: st.DataObject) -> None:
    clips = clips_of(sentences)
    split = assign(clips, SPLITS, seed=2017)
    assert split.notna().all()
    known = clips["text"].map(normalise, na_action="ignore").replace("", None)
    assert crossing(known, split) == 0
    some = clips[data.draw(st.lists(st.booleans(), min_size=len(clips), max_size=len(clips)))]
    pd.testing.assert_series_equal(assign(some, SPLITS, seed=2017), split[some.index])
    pd.testing.assert_series_equal(assign(clips[::-1], SPLITS, seed=2017), split[::-1])
    backwards = dict(reversed(SPLITS.items()))
    pd.testing.assert_series_equal(assign(clips, backwards, seed=2017), split)


def test_splits_take_clips_without_a_text_for_no_common_sentence() -> None:
    split = assign(clips_of([None, "", " "] * 100), SPLITS, seed=2017)
    assert split.value_counts(normalize=True).to_dict() == pytest.approx(SPLITS, abs=0.05)


@pytest.mark.parametrize("fractions", [{"all": 1.0}, {"train": 0.5, "test": 0.5, "none": 0.0}, {"a": 0.1, "b": 0.9}])
def test_splits_come_in_the_sizes_that_were_asked(fractions: dict[str, float]) -> None:
    split = assign(clips_of([f"sentence {number}" for number in range(5000)]), fractions, seed=2017)
    asked = {name: fraction for name, fraction in fractions.items() if fraction}
    assert split.value_counts(normalize=True).to_dict() == pytest.approx(asked, abs=0.02)


# Law 8, where speakers are known.

people = st.none() | st.sampled_from(["ann", "bo", "cy", "di", "ed"])


@given(rows=st.lists(st.tuples(st.none() | texts, people), min_size=1, max_size=30), seed=st.integers(0, 99))
def test_splits_share_neither_sentence_nor_speaker(rows: list[tuple[str | None, str | None]], seed: int) -> None:
    clips = clips_of([text for text, _ in rows], [speaker for _, speaker in rows])
    for fractions in (SPLITS, {"one": 0.5, "other": 0.5}):
        split = assign(clips, fractions, seed=seed)
        assert crossing(clips["text"].map(normalise, na_action="ignore").replace("", None), split) == 0
        assert crossing(clips["speaker"], split) == 0
        pd.testing.assert_series_equal(assign(clips[::-1], fractions, seed=seed), split[::-1])


def test_splits_of_small_groups_of_sentences_and_speakers_lose_no_clip() -> None:
    number = np.arange(6000)  # groups of two speakers who share both of their sentences
    speakers, sentences = [f"p{n // 3}" for n in number], [f"s{n // 6} {n % 2}" for n in number]
    clips = clips_of(list(sentences), list(speakers))
    split = assign(clips, SPLITS, seed=2017)
    assert split.notna().all()
    assert crossing(clips["text"], split) == crossing(clips["speaker"], split) == 0
    assert split.value_counts(normalize=True).to_dict() == pytest.approx(SPLITS, abs=0.04)


def test_splits_of_one_giant_group_are_cut_along_both_and_keep_the_sizes() -> None:
    random = np.random.default_rng(0)
    speakers = [f"p{n}" for n in random.integers(0, 3000, 30_000)]
    sentences = [f"s{n}" for n in random.integers(0, 3000, 30_000)]
    clips = clips_of(list(sentences), list(speakers))
    split = assign(clips, SPLITS, seed=2017)
    assert crossing(clips["text"], split) == crossing(clips["speaker"], split) == 0
    roots = sum(fraction**0.5 for fraction in SPLITS.values())
    assert split.notna().mean() == pytest.approx(1 / roots**2, abs=0.03)
    assert split.value_counts(normalize=True).to_dict() == pytest.approx(SPLITS, abs=0.03)


# The ranking.


@given(sentences=st.lists(texts, min_size=1, max_size=20), extra=st.lists(texts, max_size=5))
def test_splits_are_moved_by_neither_growth_nor_strata_nor_allocation(sentences: list[str], extra: list[str]) -> None:
    every = clips_of([*sentences, *extra]).assign(table="t", age=None, gender=None, accent=None)
    every = every.assign(up_votes=np.arange(len(every)) % 3, down_votes=0)
    clips = every[: len(sentences)]
    plain = rank(clips, strata=[], allocation="proportional", seed=3, splits=SPLITS).set_index("clip_id")["split"]
    for other in (
        rank(clips, strata=["up_votes"], allocation="equal", seed=3, splits=SPLITS),
        rank(every, strata=["gender"], allocation=0.5, seed=3, splits=SPLITS),
    ):
        assert other.set_index("clip_id")["split"].loc[plain.index].to_dict() == plain.to_dict()


# The real tables.


def test_splits_that_were_shipped_leak_and_ours_do_not() -> None:
    if not REAL_TABLES.exists():
        pytest.skip("the real tables are not here")
    clips = tables.read_clips(["valid-dev", "valid-test"], REAL_TABLES)
    sentence = clips["text"].map(normalise)
    assert crossing(sentence, clips["table"]) == 1197
    split = assign(clips, SPLITS, seed=2017)
    assert crossing(sentence, split) == 0
    assert split.value_counts(normalize=True).to_dict() == pytest.approx(SPLITS, abs=0.02)
