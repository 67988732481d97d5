"""Sentences: which texts are one, how often each occurs, and which are in two splits."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import sentences
from pipeline.sampling.sentences import normalise
from pipeline.views import text

TEXTS = (
    st.none()
    | st.sampled_from(["One  two", "one two", "ONE\ttwo", "\N{ANGSTROM SIGN}", "\u00e5", "a\u030a", "", " "])
    | st.text()
)


def chunked(values: list[str | None]) -> pa.ChunkedArray:
    """Return values as they are read from several files: in chunks, the last of them empty."""
    return pa.chunked_array([values[:3], values[3:], []], pa.string())


def test_leaks_ignore_case_and_spaces() -> None:
    texts = pa.chunked_array([["One  two", "one two"], ["three", None, None]])
    splits = pa.chunked_array([["train", "dev", "train"], ["dev", "train"]])
    by_split = sentences.by_split(texts, splits)
    (leak,) = sentences.leaks(by_split)
    assert (leak.first, leak.second, leak.first_sentences, leak.second_sentences, leak.shared) == (
        "dev",
        "train",
        1,
        2,
        1,
    )
    assert sentences.repeated(by_split) == 1


@pytest.mark.more
@given(st.lists(st.tuples(TEXTS, st.none() | st.sampled_from(["dev", "test", "train"])), max_size=30))
def test_sentences_are_counted_as_sets_count_them(rows: list[tuple[str | None, str | None]]) -> None:
    texts, splits = (chunked([row[place] for row in rows]) for place in (0, 1))
    spoken = [(normalise(text), split) for text, split in rows if text is not None]
    assert sorted(sentences.occurrences(texts)) == sorted(Counter(sentence for sentence, _ in spoken).values())
    of = {name: {sentence for sentence, split in spoken if split == name} for _, name in rows if name is not None}
    by_split = sentences.by_split(texts, splits)
    assert {name: len(numbers) for name, numbers in by_split.items()} == {name: len(each) for name, each in of.items()}
    assert {(leak.first, leak.second): leak.shared for leak in sentences.leaks(by_split)} == {
        (one, other): len(of[one] & of[other]) for one, other in combinations(sorted(of), 2)
    }
    everywhere = Counter(sentence for each in of.values() for sentence in each)
    assert sentences.repeated(by_split) == sum(count > 1 for count in everywhere.values())


@given(st.lists(TEXTS, max_size=20))
def test_words_are_counted_by_the_rule_of_features(texts: list[str | None]) -> None:
    np.testing.assert_array_equal(sentences.words(chunked(texts)), text.words(texts))
