"""Filters: the rows that are eligible, and how many rows each filter removed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import declared
from pipeline.core.params import Bounds
from pipeline.core.suggestions import did_you_mean, no_clip_has

Where = Mapping[str, tuple[str | float | None, ...] | Bounds]


def eligible(
    clips: pa.Table, *, require: Sequence[str] = (), where: Where = MappingProxyType({})
) -> tuple[npt.NDArray[np.bool_], dict[str, int]]:
    """Return which rows are eligible, and how many rows each filter removed.

    Parameters
    ----------
    clips
        One row for each clip.
    require
        Columns in which a value must be present.
    where
        For each of these columns the eligible values, where None stands for a missing value; or bounds, which a
        missing value does not meet.

    Returns
    -------
    is_eligible : numpy.ndarray
        Of shape (rows,).
    removed : dict
        For each filter in use, in the order of application, the number of rows that passed the filters before it
        and not this one.
    """
    filters = {f"require.{column}": clips[column].is_valid() for column in require}
    filters |= {f"where.{column}": _meets(clips[column], condition) for column, condition in where.items()}
    is_eligible = np.ones(clips.num_rows, bool)
    removed = {}
    for name, passes in filters.items():
        before = np.count_nonzero(is_eligible)
        is_eligible &= passes.to_numpy()
        removed[name] = int(before - np.count_nonzero(is_eligible))
    return is_eligible, removed


def problems(clips: pa.Table, *, strata: Sequence[str], require: Sequence[str], where: Where) -> Iterator[str]:
    """Yield a line for each column that is not there, and for each condition of `where` that no row can meet.

    Such a line names the columns there are, or the column's values with their counts.
    """
    types = {"table": "text"} | {column.name: column.type for column in declared(clips.schema)}
    of_where = types | ({"seconds": "number"} if clips["seconds"].null_count < clips.num_rows else {})
    for key, columns, known in (("strata", strata, types), ("require", require, types), ("where", where, of_where)):
        for column in columns:
            if column not in known:
                hint, there = did_you_mean(column, known), ", ".join(known)
                yield f"stratify.{key}: this snapshot declares no column {column}{hint}; there are {there}"
    for column, condition in where.items():
        if column in of_where:
            yield from _problems_of(f"stratify.where.{column}", clips[column], of_where[column], condition)


def _problems_of(
    key: str, cells: pa.ChunkedArray, kind: str, condition: tuple[str | float | None, ...] | Bounds
) -> Iterator[str]:
    if isinstance(condition, Bounds):
        if kind == "text":
            yield f"{key}: is a column of texts, which have no min and max; list the eligible values"
        return
    wrong = [value for value in condition if value is not None and isinstance(value, str) != (kind == "text")]
    if wrong:
        wanted = "texts, such as '3'" if kind == "text" else "numbers, such as 3"
        yield f"{key}: should list {wanted}; got {', '.join(map(repr, wrong))}"
        return
    counts = {each["values"]: each["counts"] for each in pc.value_counts(cells).to_pylist()}
    yield from (f"{key}: {no_clip_has(value, counts, missing='null')}" for value in condition if value not in counts)


def _meets(cells: pa.ChunkedArray, condition: tuple[str | float | None, ...] | Bounds) -> pa.ChunkedArray:
    """Return which cells meet a condition of `where`."""
    if not isinstance(condition, Bounds):
        # With None among them, a missing value is one of them; otherwise it is not.
        return pc.is_in(cells, pa.array(condition, cells.type))
    passes = cells.is_valid()
    if condition.min is not None:
        passes = pc.and_(passes, pc.fill_null(pc.greater_equal(cells, condition.min), False))
    if condition.max is not None:
        passes = pc.and_(passes, pc.fill_null(pc.less_equal(cells, condition.max), False))
    return passes
