"""Sentences: their words, how often each occurs, and those that two splits share. Pure.

Two texts are one sentence where `pipeline.sampling.sentences.normalise` makes them equal; a missing text is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.words import word_count
from pipeline.report.comparison import masks_by_value
from pipeline.sampling.sentences import normalise

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Leak:
    """The number of sentences of two splits, and of those in both."""

    first: str
    second: str
    first_sentences: int
    second_sentences: int
    shared: int


def numbered(texts: pa.ChunkedArray) -> Integers:
    """Return a number for each text, from 0: the same where two texts are one sentence, −1 where a text is missing.

    Returns
    -------
    int64 of shape (n,).
    """
    codes, different = _encoded(texts)
    numbers: dict[str, int] = {}
    of_code = [numbers.setdefault(normalise(text), len(numbers)) for text in different]
    return np.array([*of_code, -1], dtype=np.int64)[codes]  # a missing text has the code −1: the last


def occurrences(texts: pa.ChunkedArray) -> Integers:
    """Return the number of occurrences of each sentence: int64 of shape (sentences,)."""
    numbers = numbered(texts)
    return np.bincount(numbers[numbers >= 0])


def words(texts: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return the number of words of each text, float64 of shape (n,); NaN where it has no count (`word_count`)."""
    codes, different = _encoded(texts)
    return np.array([*map(word_count, different), None], dtype=np.float64)[codes]


def by_split(texts: pa.ChunkedArray, splits: pa.ChunkedArray) -> dict[str, Integers]:
    """Return the different sentences of each split, as sorted numbers that agree between splits."""
    numbers = numbered(texts)
    return {name: np.unique(numbers[rows & (numbers >= 0)]) for name, rows in masks_by_value(splits).items()}


def leaks(sentences: Mapping[str, Integers], order: Sequence[str] = ()) -> tuple[Leak, ...]:
    """Return the sentences that every two splits of `by_split` share; `order` names the splits to compare."""
    names = [name for name in order if name in sentences] or sorted(sentences)
    return tuple(
        Leak(
            first,
            second,
            len(sentences[first]),
            len(sentences[second]),
            len(np.intersect1d(sentences[first], sentences[second], assume_unique=True)),
        )
        for first, second in combinations(names, 2)
    )


def repeated(sentences: Mapping[str, Integers]) -> int:
    """Count the sentences that occur in more than one split of `by_split`."""
    counts = Counter(sentence for each in sentences.values() for sentence in each.tolist())
    return sum(count > 1 for count in counts.values())


def _encoded(texts: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return the code of each text, −1 where it is missing, and the different texts by their codes."""
    encoded = texts.dictionary_encode().combine_chunks()
    return encoded.indices.fill_null(-1).to_numpy(), encoded.dictionary.to_pylist()
