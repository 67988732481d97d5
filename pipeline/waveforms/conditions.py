"""Which clips meet a condition of `Waveforms.where`."""

from __future__ import annotations

from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd


def meets(cells: pd.Series, condition: Any) -> npt.NDArray[np.bool_]:
    """Return in which rows a column of the metadata has a value, one of a list, or none where that is None.

    Raises
    ------
    TypeError
        The condition is something else, such as a function, or has another type than the column.
    """
    import pandas as pd  # noqa: PLC0415  who streams waveforms needs no pandas

    is_list = isinstance(condition, list | tuple | set | frozenset | pd.Series | pd.Index)
    is_list = is_list or (isinstance(condition, np.ndarray) and condition.ndim == 1)
    is_numeric = pd.api.types.is_numeric_dtype(cells)
    values = list(condition) if is_list else [condition]
    present = []
    for value in values:
        if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):  # as pandas writes None
            continue
        kind = type(value).__name__
        if not isinstance(value, str | Number | np.generic):
            raise TypeError(
                f"{cells.name}: a condition is a value, a list of values, or None for a missing value; got a {kind}"
            )
        if isinstance(value, str) == is_numeric:
            raise TypeError(f"{cells.name}: holds {'numbers' if is_numeric else 'text'}; got the {kind} {value!r}")
        present.append(value)
    is_missing_listed = len(present) < len(values)
    return (cells.isin(present) | (cells.isna() & is_missing_listed)).to_numpy(dtype=bool)
