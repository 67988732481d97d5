"""Text: the words that are said, normalised and counted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline.core.words import word_count
from pipeline.views.normalisation import normalised
from pipeline.waveforms.reader import Waveforms

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["normalised", "spoken", "words"]


def spoken(clips: Waveforms) -> pd.Series[str]:
    """Return the words that are said in each clip: the column with the role ``text``, whatever its name.

    Raises
    ------
    ValueError
        No column of the snapshot has that role.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import text
    >>> list(text.spoken(open_waveforms().head(2)))
    ['i could smell rain before it came', 'it was too quiet for a market day']
    """
    if clips.text is None:
        names = ", ".join(column.name for column in clips.declared) or "none"
        raise ValueError(f"no column of these clips has the words that are said (the role text); columns: {names}")
    return clips.metadata()[clips.text]


def words(texts: Iterable[str | float | None]) -> npt.NDArray[np.float64]:
    """Return the number of words of each text, float64 of shape (n,), as ``clips.features()["words"]`` has it.

    NaN where it is missing (None, or NaN in a column of pandas) or has no count (`pipeline.core.words.word_count`).

    Examples
    --------
    >>> from pipeline.views import text
    >>> text.words(["try the other key", None])
    array([ 4., nan])
    """
    return np.array([word_count(text if isinstance(text, str) else None) for text in texts], dtype=np.float64)
