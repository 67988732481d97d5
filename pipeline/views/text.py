"""Text: the sentences that were read, normalised and counted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.core.words import word_count
from pipeline.views.normalisation import normalised

__all__ = ["normalised", "words"]


def words(texts: Iterable[str | float | None]) -> npt.NDArray[np.float64]:
    """Return the number of words of each sentence, float64 of shape (n,), as ``clips.features()["words"]`` has it.

    NaN where it is missing (None, or NaN in a column of pandas) or has no count (`pipeline.core.words.word_count`).
    """
    return np.array([word_count(text if isinstance(text, str) else None) for text in texts], dtype=np.float64)
