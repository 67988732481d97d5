"""Which columns and which clips are meant, in what users ask of `Waveforms`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline.core.suggestions import did_you_mean, no_clip_has

if TYPE_CHECKING:
    import pandas as pd


def require_columns(wanted: Iterable[str], there: Collection[str]) -> None:
    """Make sure that there are such columns; KeyError names the nearest, and those there are."""
    for name in wanted:
        if name not in there:
            raise KeyError(f"there is no column {name}{did_you_mean(name, there)}; there are {', '.join(there)}")


def mask_of(key: Any, clips: int) -> npt.NDArray[np.bool_]:
    """Return a key as an array of booleans, one per clip; raise TypeError or IndexError if it is something else."""
    mask = np.asarray(key)
    if mask.shape == () or mask.dtype != bool:
        raise TypeError(f"clips[…] takes a place, an id, a slice or an array of booleans; got one of {mask.dtype}")
    if mask.shape != (clips,):
        raise IndexError(f"an array of booleans has one for each of the {clips} clips; got shape {mask.shape}")
    return mask


def meets(cells: pd.Series, condition: Any, missing: str = "None") -> npt.NDArray[np.bool_]:
    """Return which rows of a column meet a condition: a value, a list of values, or None for a missing value.

    Parameters
    ----------
    cells
        Of all clips of a folder.
    missing
        How the user writes None.

    Raises
    ------
    TypeError
        The condition is something else, such as a function, or has another type than the column.
    ValueError
        No clip has one of the values; the message lists those there are, with their counts.
    """
    import pandas as pd  # noqa: PLC0415  who streams waveforms needs no pandas

    is_list = isinstance(condition, list | tuple | set | frozenset | pd.Series | pd.Index)
    is_list = is_list or (isinstance(condition, np.ndarray) and condition.ndim == 1)
    is_numeric = pd.api.types.is_numeric_dtype(cells)
    values = [None if _is_missing(value) else value for value in (condition if is_list else [condition])]
    for value in values:
        kind = type(value).__name__
        if not isinstance(value, str | Number | np.generic | None):
            raise TypeError(
                f"{cells.name}: a condition is a value, a list of values, or None for a missing value; got a {kind}"
            )
        if value is not None and isinstance(value, str) == is_numeric:
            raise TypeError(f"{cells.name}: holds {'numbers' if is_numeric else 'text'}; got the {kind} {value!r}")
    known = {*cells.dropna().unique().tolist(), *([None] if cells.hasnans else [])}
    for value in values:
        if value not in known:
            counted = cells.value_counts(dropna=False).items()
            counts = {None if _is_missing(each) else each: count for each, count in counted}
            raise ValueError(f"{cells.name}: {no_clip_has(value, counts, missing)}")
    present = [value for value in values if value is not None]
    return (cells.isin(present) | (cells.isna() & (None in values))).to_numpy(dtype=bool)


def _is_missing(value: Any) -> bool:
    """Return whether this is how Python or pandas writes a missing value."""
    import pandas as pd  # noqa: PLC0415

    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
