"""Sentences: which spellings are of one, and which are not."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sampling.sentences import normalise

texts = st.sampled_from(["Ａ ﬁsh", "A\tFISH ", "straße", "STRASSE", "é", "e\u0301", "㎒", "", "日本"]) | st.text()


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
