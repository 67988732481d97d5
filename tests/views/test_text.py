"""Sentences are counted in words, and compared in the spelling that word error rates are computed on."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import MissingPackage
from pipeline.views import normalisation, text


def test_words_are_runs_of_letters_and_digits_with_apostrophes_inside() -> None:
    sentences = [
        "",
        None,
        "one",
        "I don't know",
        "it’s twenty-one o'clock",
        "  -- 'quoted' words, 7 a.m. ",
        "café 日本",
    ]
    counts = text.words(sentences)
    assert counts.tolist() == [0, 0, 1, 3, 4, 5, 2]
    assert counts.dtype == np.int32


def test_a_column_of_pandas_may_have_missing_sentences() -> None:
    pytest.importorskip("whisper_normalizer")
    column = pd.Series(["One two", None])
    assert text.words(column).tolist() == [2, 0]
    assert text.normalised(column) == ["12", ""]


def test_normalised_is_what_published_rates_compare() -> None:
    pytest.importorskip("whisper_normalizer")
    sentences = ["  The Colour's grey, isn't it?", "We won’t", "twenty one dogs", None, "(laughs) hmm"]
    assert text.normalised(sentences) == ["the color is gray is not it", "we will not", "21 dogs", "", ""]
    once = text.normalised(["Mr. Smith's café"])
    assert text.normalised(once) == once


def test_a_word_error_rate_counts_words_wrong_missing_and_added() -> None:
    pytest.importorskip("jiwer")
    pytest.importorskip("whisper_normalizer")
    sentences = ["a b c d", "A, B!", "one", "", None, "x"]
    heard = ["a x c", "a b", "one and two more", "something", "", ""]
    assert normalisation.word_error_rates(sentences, heard) == [0.5, 0, 3, None, None, 1]
    assert normalisation.word_error_rate(sentences, heard) == (2 + 0 + 3 + 1) / (4 + 2 + 1 + 1)
    assert normalisation.word_error_rate(["", None], ["a", "b"]) is None


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    normalisation._normaliser.cache_clear()
    for name in ("jiwer", "whisper_normalizer.english", "whisper_normalizer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingPackage, match=r"^whisper-normalizer is not installed; .*pip install whisper-normalizer jiwer$"
    ):
        text.normalised(["a"])
    with pytest.raises(MissingPackage, match=r"^jiwer is not installed"):
        normalisation.word_error_rate(["a"], ["a"])
