"""What is spoken: words of a sentence, different sentences, and sentences that are in two splits. Pure.

Two texts are one sentence where `pipeline.sampling.splits.normalise` says so; a missing text is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.sampling.splits import normalise

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Leak:
    """Sentences of two splits, and how many of them are in both."""

    first: str
    second: str
    first_sentences: int
    second_sentences: int
    shared: int


def numbered(texts: pd.Series) -> Integers:
    """Return a number for each text, counted from 0: the same where two texts are one sentence, −1 where it is missing.

    Returns
    -------
    int64 of shape (n,).
    """
    codes, different = pd.factorize(texts)
    numbers: dict[str, int] = {}
    of_code = [numbers.setdefault(normalise(text), len(numbers)) for text in different]
    return np.array([*of_code, -1], dtype=np.int64)[codes]  # a missing text has the code −1: the last


def occurrences(texts: pd.Series) -> Integers:
    """Return how often each different sentence occurs: int64 of shape (sentences,)."""
    numbers = numbered(texts)
    return np.bincount(numbers[numbers >= 0])


def words(texts: pd.Series) -> Integers:
    """Return how many words each text has, int64 of shape (n,), in no order; a missing text is left out."""
    counts = texts.value_counts()
    return np.repeat(np.array([len(text.split()) for text in counts.index], dtype=np.int64), counts)


def by_split(texts: pd.Series, splits: pd.Series) -> dict[str, Integers]:
    """Return the different sentences of each split, as sorted numbers that agree between splits."""
    numbers = numbered(texts)
    codes, names = pd.factorize(splits, sort=True)
    spoken = (numbers >= 0) & (codes >= 0)
    return {str(name): np.unique(numbers[spoken & (codes == code)]) for code, name in enumerate(names)}


def leaks(sentences: Mapping[str, Integers], order: Sequence[str] = ()) -> tuple[Leak, ...]:
    """Return, of every two splits of `by_split`, how many sentences are in both; `order` names splits to compare."""
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
