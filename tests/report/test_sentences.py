"""Sentences: which texts are one, how often each occurs, and which are in two splits or tables."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import sentences
from pipeline.sampling.sentences import normalise
from pipeline.views import text
from tests.report.materials import UNSPOKEN, material, with_columns

TEXTS = (
    st.none()
    | st.sampled_from(["One  two", "one two", "ONE\ttwo", "\N{ANGSTROM SIGN}", "\u00e5", "a\u030a", "", " "])
    | st.text()
)


def chunked(values: list[str | None]) -> pa.ChunkedArray:
    """Return values as they are read from several files: in chunks, the last of them empty."""
    return pa.chunked_array([values[:3], values[3:], []], pa.string())


@given(st.lists(st.tuples(TEXTS, st.sampled_from(["dev", "test", "train"])), max_size=30))
def test_sentences_are_counted_as_sets_count_them(rows: list[tuple[str | None, str]]) -> None:
    spoken = [(normalise(text), split) for text, split in rows if text is not None]
    texts = chunked([text for text, _ in rows])
    assert sorted(sentences.occurrences(texts)) == sorted(Counter(sentence for sentence, _ in spoken).values())
    splits_of = defaultdict(set)
    for sentence, split in spoken:
        splits_of[sentence].add(split)
    assert sentences.in_two(sentences.normalised(texts), chunked([split for _, split in rows])) == sum(
        len(splits) > 1 for splits in splits_of.values()
    )


@given(st.lists(TEXTS, max_size=20))
def test_words_are_counted_by_the_rule_of_features(texts: list[str | None]) -> None:
    np.testing.assert_array_equal(sentences.words(chunked(texts)), text.words(texts))


def test_apart_counts_values_of_each_column_that_is_kept_apart() -> None:
    spellings = ["One  two", "one two", None] * 20
    (counted,) = sentences.apart(with_columns(material(60), "population", sentence=spellings))
    assert (counted.name, counted.values, counted.in_two_splits, counted.in_two_tables) == ("sentence", 1, 0, 1)
    made = material(60, columns=UNSPOKEN)
    (counted,) = sentences.apart(made)
    assert (counted.name, counted.values, counted.in_two_splits, counted.in_two_tables) == ("recording", 20, 0, 20)
    splits = ["train", "dev", "test"] * (len(made.eligible) // 3)
    (counted,) = sentences.apart(with_columns(made, "eligible", split=splits, recording=[1, 1, 2, 2, None, None] * 10))
    assert counted.in_two_splits == 2
    assert sentences.apart(material(60, columns=(), strata=())) == ()


@pytest.mark.parametrize("values", [[], [None, None]])
def test_sentences_of_no_text_are_none(values: list[str | None]) -> None:
    assert len(sentences.occurrences(chunked(values))) == 0
    assert sentences.in_two(chunked(values), chunked(values)) == 0
