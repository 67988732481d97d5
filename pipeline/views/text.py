"""Text: the sentences that were read, normalised and counted."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.views.normalisation import normalised

__all__ = ["normalised", "words"]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")  # letters and digits, with apostrophes inside: don't is one word


def words(texts: Iterable[str | None]) -> npt.NDArray[np.int32]:
    """Return how many words each sentence has: int32 of shape (n,); none where it is missing.

    A word is a run of letters and digits, with apostrophes inside; ``twenty-one`` is two.
    """
    return np.array([len(_WORD.findall(text or "")) for text in texts], dtype=np.int32)
