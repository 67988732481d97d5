"""Sentences as word error rates compare them, and those rates. Pure."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from pipeline.core.errors import import_optional
from pipeline.core.words import join_words, word_count


def normalised(texts: Iterable[str | float | None]) -> list[str]:
    """Return English sentences in the spelling that word error rates are computed on; a missing one is empty.

    It is the normaliser of Whisper (Radford et al. 2022, appendix C), which most published rates of English use: lower
    case, no punctuation, contractions written out, British spellings made American, numbers in digits. Curly
    apostrophes, which later releases of Common Voice have in contractions, are made straight first, and marks, joiners
    and soft hyphens removed, at which it would end a word.

    Raises
    ------
    MissingPackage
        whisper-normalizer is not installed.

    Examples
    --------
    >>> from pipeline.views import text
    >>> text.normalised(["Don't you recognise twenty-one colours?", None])
    ['do not you recognize 21 colors', '']
    """
    normalise = _normaliser()
    # A sentence that is missing from a column of pandas is NaN.
    return [normalise(join_words(text.replace("’", "'"))) if isinstance(text, str) else "" for text in texts]


def word_error_rates(sentences: Sequence[str | None], recognised: Sequence[str | None]) -> list[float | None]:
    """Return the word error rate of each: words wrong, missing and added, over the words of its sentence.

    It may exceed 1. It is None where the sentence has no words, or is in a script without spaces between words.

    Raises
    ------
    MissingPackage
        jiwer or whisper-normalizer is not installed.
    """
    wer = import_optional("jiwer", "jiwer").wer
    return [float(wer(*pair)) if pair else None for pair in _comparable(sentences, recognised)]


def word_error_rate(sentences: Sequence[str | None], recognised: Sequence[str | None]) -> float | None:
    """Return the word error rate of all together, each word weighing the same; None where no sentence has one."""
    wer = import_optional("jiwer", "jiwer").wer
    pairs = [pair for pair in _comparable(sentences, recognised) if pair]
    return float(wer(*map(list, zip(*pairs, strict=True)))) if pairs else None


def _comparable(sentences: Sequence[str | None], recognised: Sequence[str | None]) -> Iterator[tuple[str, str] | None]:
    """Yield each sentence and what was recognised, normalised; None where the sentence has no words to compare."""
    for sentence, *pair in zip(sentences, normalised(sentences), normalised(recognised), strict=True):
        yield (pair[0], pair[1]) if pair[0] and word_count(sentence) else None


@lru_cache
def _normaliser() -> Any:
    with warnings.catch_warnings():  # one of its docstrings has an escape that Python warns of when it compiles it
        warnings.simplefilter("ignore")
        return import_optional("whisper_normalizer.english", "whisper-normalizer").EnglishTextNormalizer()
