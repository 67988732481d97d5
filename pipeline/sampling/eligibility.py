"""Filters: the rows that are eligible, and how many rows each filter removed. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pandas as pd

Where = Mapping[str, Sequence[str | int | None]]

_MISSING = "null"  # as params.yaml spells it
_MOST_VALUES_SHOWN = 20


def eligible(
    clips: pd.DataFrame,
    *,
    require: Sequence[str] = (),
    where: Where = MappingProxyType({}),
    min_up_votes: int | None = None,
    max_down_votes: int | None = None,
    min_net_votes: int | None = None,
    seconds: tuple[float, float] | None = None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the eligible rows, and how many rows each filter removed.

    Parameters
    ----------
    clips
        One row for each clip.
    require
        Columns in which a value must be present.
    where
        For each of these columns, the eligible values; None stands for a missing value.
    min_up_votes, max_down_votes, min_net_votes
        Bounds, inclusive; net votes are up votes less down votes.
    seconds
        Shortest and longest duration, inclusive, of the column `estimated_seconds`; a clip whose duration is not
        known stays.

    Returns
    -------
    rows : pandas.DataFrame
        In their order.
    removed : dict
        For each filter in use, in the order of application, the number of rows that passed the filters before it
        and not this one.
    """
    net_votes = clips["up_votes"] - clips["down_votes"]
    filters = {f"require.{column}": clips[column].notna() for column in require}
    filters |= {f"where.{column}": _is_one_of(clips[column], values) for column, values in where.items()}
    if min_up_votes is not None:
        filters["min_up_votes"] = clips["up_votes"] >= min_up_votes
    if max_down_votes is not None:
        filters["max_down_votes"] = clips["down_votes"] <= max_down_votes
    if min_net_votes is not None:
        filters["min_net_votes"] = net_votes >= min_net_votes
    if seconds is not None and "estimated_seconds" in clips:
        estimated = clips["estimated_seconds"]
        filters["estimated_seconds"] = estimated.between(*seconds) | estimated.isna()
    is_eligible = pd.Series(True, index=clips.index)
    removed = {}
    for name, passes in filters.items():
        removed[name] = int((is_eligible & ~passes).sum())
        is_eligible &= passes
    return clips[is_eligible], removed


def unknown_values(clips: pd.DataFrame, where: Where) -> list[str]:
    """Return a line for each value of `where` that no row has, with the values there are and their counts."""
    problems = []
    for column, values in where.items():
        counts = {_spelled(value): count for value, count in clips[column].value_counts(dropna=False).items()}
        for value in values:
            name = _spelled(value)
            if name not in counts:
                close = difflib.get_close_matches(name, counts, n=1)
                hint = f" (did you mean {close[0]}?)" if close else ""
                problems.append(f"stratify.where.{column}: no row has {name}{hint}; there are {_counted(counts)}")
    return problems


def _is_one_of(cells: pd.Series, values: Sequence[str | int | None]) -> pd.Series:
    return cells.isin([value for value in values if value is not None]) | (cells.isna() & (None in values))


def _spelled(value: object) -> str:
    return _MISSING if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _counted(counts: Mapping[str, int]) -> str:
    """Return values and their counts, the most frequent first."""
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_MOST_VALUES_SHOWN])
    more = f" and {len(counts) - _MOST_VALUES_SHOWN:,} more" if len(counts) > _MOST_VALUES_SHOWN else ""
    return (shown + more) or "none, the tables are empty"
