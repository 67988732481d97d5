"""Text is counted in words, and normalised for word error rates."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import MissingPackage
from pipeline.views import normalisation, text
from tests.support.waveforms import voice, waveforms_of


def test_words_of_a_column_of_pandas_have_no_count_where_a_sentence_is_missing() -> None:
    counts = text.words(pd.Series(["I don't know", None, "", "हिन्दी में", "東京"]))
    np.testing.assert_array_equal(counts, [3, np.nan, 0, 2, np.nan])


def test_spoken_is_the_column_with_the_role_text_of_any_name(tmp_path: Path) -> None:
    clips = waveforms_of(tmp_path / "waveforms", [voice(10)] * 3, text=["b", None, "a"], bird=["wren"] * 3)
    assert text.words(text.spoken(clips[::-1])).tolist() == pytest.approx([1, np.nan, 1], nan_ok=True)
    birds = waveforms_of(tmp_path / "birds", [voice(10)], bird=["wren"])
    with pytest.raises(ValueError, match=r"role text.*columns: bird"):
        text.spoken(birds)


def test_normalised_is_the_spelling_of_published_rates() -> None:
    pytest.importorskip("whisper_normalizer")
    sentences = ["  The Colour's grey, isn't it?", "We won’t", "twenty one dogs", None, "(laughs) hmm"]
    assert text.normalised(pd.Series(sentences)) == ["the color is gray is not it", "we will not", "21 dogs", "", ""]
    once = text.normalised(["Mr. Smith's café"])
    assert text.normalised(once) == once


def test_word_error_rate_counts_words_wrong_missing_and_added() -> None:
    pytest.importorskip("jiwer")
    pytest.importorskip("whisper_normalizer")
    sentences = ["a b c d", "A, B!", "one", "", None, "x"]
    recognised = ["a x c", "a b", "one and two more", "something", "", ""]
    assert normalisation.word_error_rates(sentences, recognised) == [0.5, 0, 3, None, None, 1]
    assert normalisation.word_error_rate(sentences, recognised) == (2 + 0 + 3 + 1) / (4 + 2 + 1 + 1)
    assert normalisation.word_error_rate(["", None], ["a", "b"]) is None


def test_word_error_rate_has_the_words_of_the_count() -> None:
    pytest.importorskip("jiwer")
    pytest.importorskip("whisper_normalizer")
    sentences = ["co\u00adoperate", unicodedata.normalize("NFD", "été à São"), "हिन्दी में लिखा", "東京 tower"]
    assert normalisation.word_error_rates(sentences, [""] * 4) == [1, 1, 1, None]
    assert normalisation.word_error_rates(sentences, ["cooperate", "été à x", "x y z", ""]) == [0, 1 / 3, 1, None]


def test_packages_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    normalisation._normaliser.cache_clear()
    for name in ("jiwer", "whisper_normalizer.english", "whisper_normalizer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingPackage, match=r"^whisper-normalizer is not installed; .*pip install whisper-normalizer jiwer$"
    ):
        text.normalised(["a"])
    with pytest.raises(MissingPackage, match=r"^jiwer is not installed"):
        normalisation.word_error_rate(["a"], ["a"])
