"""What all views agree on of sentences: how words are counted, and how spellings and errors are compared. Pure."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from pipeline.core.errors import MissingPackage

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # letters and digits, with apostrophes inside: don't is one word


def word_count(text: str) -> int:
    """Return how many words a text has: runs of letters and digits, with apostrophes inside; ``twenty-one`` is two."""
    return len(_WORD.findall(text))


def given(text: str | float | None) -> str:
    """Return a sentence, empty where it is missing: None, or NaN in a column of pandas."""
    return text if isinstance(text, str) else ""


def normalised(texts: Iterable[str | None]) -> list[str]:
    """Return English sentences in the spelling that word error rates are computed on; a missing one is empty.

    It is the normaliser of Whisper (Radford et al. 2022, appendix C), which most published rates of English use: lower
    case, no punctuation, contractions written out, British spellings made American, numbers in digits. Apostrophes are
    made straight first: later releases of Common Voice have curly ones in contractions.

    Raises
    ------
    MissingPackage
        whisper-normalizer is not installed.
    """
    normalise = _normaliser()
    return [normalise(given(text).replace("’", "'")) for text in texts]


def word_error_rates(sentences: Sequence[str | None], heard: Sequence[str | None]) -> list[float | None]:
    """Return the word error rate of each: words wrong, missing and added, over the words of its sentence.

    It may exceed 1; it is None where the sentence has no words.

    Raises
    ------
    MissingPackage
        jiwer or whisper-normalizer is not installed.
    """
    wer = _jiwer().wer
    pairs = zip(normalised(sentences), normalised(heard), strict=True)
    return [float(wer(sentence, other)) if sentence else None for sentence, other in pairs]


def word_error_rate(sentences: Sequence[str | None], heard: Sequence[str | None]) -> float | None:
    """Return the word error rate of all together, each word weighing the same; None where there are no words."""
    wer = _jiwer().wer
    pairs = zip(normalised(sentences), normalised(heard), strict=True)
    pairs_with_words = [(sentence, other) for sentence, other in pairs if sentence]
    if not pairs_with_words:
        return None
    expected, recognised = map(list, zip(*pairs_with_words, strict=True))
    return float(wer(expected, recognised))


@lru_cache
def _normaliser() -> Any:
    try:
        with warnings.catch_warnings():  # one of its docstrings has an escape that Python warns of when it compiles it
            warnings.simplefilter("ignore")
            from whisper_normalizer.english import EnglishTextNormalizer  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingPackage("whisper-normalizer") from None
    return EnglishTextNormalizer()


def _jiwer() -> Any:
    try:
        import jiwer  # noqa: PLC0415  an extra
    except ImportError:
        raise MissingPackage("jiwer") from None
    return jiwer
