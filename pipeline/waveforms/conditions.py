"""Which rows meet a condition of `Waveforms.where`. Pure."""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def meets(cells: pd.Series, condition: Any) -> npt.NDArray[np.bool_]:
    """Return which of the cells of a column have the value, or one of the values, that the condition names.

    Parameters
    ----------
    cells
        One column of the metadata; its name is the column's.
    condition
        A value; a list, tuple, set, array or series of values; or None, which finds cells where the value is missing
        and may stand among the values, too.

    Returns
    -------
    numpy.ndarray
        bool of shape (len(cells),).

    Raises
    ------
    TypeError
        The condition is something else, or has values of another type than the column.
    """
    values = list(condition) if _is_list(condition) else [condition]
    numeric = pd.api.types.is_numeric_dtype(cells)
    present = []
    for value in values:
        if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):  # as pandas writes None
            continue
        kind = type(value).__name__
        if not isinstance(value, str | Number | np.generic):
            raise TypeError(
                f"{cells.name}: a condition is a value, a list of values, or None for a missing value; got a {kind}"
            )
        if isinstance(value, str) == numeric:
            raise TypeError(f"{cells.name}: holds {'numbers' if numeric else 'text'}; got the {kind} {value!r}")
        present.append(value)
    missing = len(present) < len(values)
    return (cells.isin(present) | (cells.isna() & missing)).to_numpy(dtype=bool)


def _is_list(condition: Any) -> bool:
    return isinstance(condition, list | tuple | set | frozenset | pd.Series | pd.Index) or (
        isinstance(condition, np.ndarray) and condition.ndim == 1
    )
