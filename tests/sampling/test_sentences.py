"""Sentences: which spellings are of one, and which are not."""

from __future__ import annotations

import unicodedata

from hypothesis import given

from pipeline.sampling.sentences import normalise
from tests.sampling.clips import texts


@given(text=texts)
def test_spelling_does_not_make_another_sentence(text: str) -> None:
    plain = normalise(text)
    assert normalise(plain) == plain
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normalise(unicodedata.normalize(form, text)) == plain
    assert normalise(text.casefold()) == plain
    assert normalise(f" {text}\n") == plain
    assert normalise(text.replace(" ", " \t\N{NO-BREAK SPACE}")) == plain


def test_another_sentence_stays_another() -> None:
    assert len({normalise(text) for text in ("we're", "were", "we re", "were.")}) == 4
