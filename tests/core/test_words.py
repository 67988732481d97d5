"""Words are counted by one rule, in any script that has spaces between them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.words import word_count

SENTENCES = {
    "": 0,
    " \n": 0,
    "one": 1,
    "I don't know": 3,
    "it’s twenty-one o'clock": 4,
    "a\u00a0b": 2,
    "  -- 'quoted' words, 7 a.m. ": 5,
    "snake_case": 2,
    "costs ฿5": 2,
    # Marks (category M): Hindi, Tamil, Arabic with its vowels, Hebrew with its points.
    "हिन्दी में लिखा हुआ वाक्य": 5,
    "مَرْحَبًا بِكُمْ جَمِيعًا": 3,
    "צה״ל שלנו": 2,
    # ZWNJ, ZWJ, soft hyphen, word joiner; a zero width space is a space.
    "می\u200cخواهم بروم": 2,
    "co\u00adoperate": 1,
    "a\u2060b": 1,
    "one\u200btwo": 2,
}
UNSPACED = {
    "Chinese": "今天天气很好",
    "Japanese": "きょうは テニス",
    "Thai": "สวัสดีครับ",
    "Burmese": "မင်္ဂလာပါ",
    "rare": "\U00020000",
}


@pytest.mark.parametrize("text", SENTENCES)
def test_words_are_runs_of_letters_and_digits_with_what_is_inside_of_them(text: str) -> None:
    assert word_count(text) == SENTENCES[text]


@pytest.mark.parametrize("script", UNSPACED)
def test_words_of_a_script_without_spaces_have_no_count(script: str) -> None:
    assert word_count(UNSPACED[script]) is None
    assert word_count(f"one {UNSPACED[script]}") is None


def test_words_of_a_missing_text_have_no_count() -> None:
    assert word_count(None) is None


@given(st.text(st.characters(codec="utf-8")))
def test_words_are_the_same_in_either_form_of_accents(text: str) -> None:
    if unicodedata.normalize("NFC", text) == text:
        assert word_count(unicodedata.normalize("NFD", text)) == word_count(text)
