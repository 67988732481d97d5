"""Text: the sentences that were read, normalised and counted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.views.normalisation import given, normalised, word_count

__all__ = ["normalised", "words"]


def words(texts: Iterable[str | None]) -> npt.NDArray[np.int32]:
    """Return how many words each sentence has (`word_count`): int32 of shape (n,); none where it is missing."""
    return np.array([word_count(given(text)) for text in texts], dtype=np.int32)
