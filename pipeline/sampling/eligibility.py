"""Which rows may be drawn, and how many rows each filter took. Pure."""

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
    """Return the rows that may be drawn, and how many rows each filter took.

    Parameters
    ----------
    clips
        One row for each clip.
    require
        Columns in which a value must be present.
    where
        For each of these columns, the values that may be drawn; None stands for a missing value.
    min_up_votes, max_down_votes, min_net_votes
        Bounds, inclusive; net votes are up votes less down votes.
    seconds
        Shortest and longest duration, inclusive, of the column `estimated_seconds`; a clip whose duration is not
        known stays.

    Returns
    -------
    rows : pandas.DataFrame
        In their order.
    taken : dict
        For each filter in use, in the order in which they are applied, the number of rows that it took of those
        that the filters before it had left.
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
    stays = pd.Series(True, index=clips.index)
    taken = {}
    for name, passes in filters.items():
        taken[name] = int((stays & ~passes).sum())
        stays &= passes
    return clips[stays], taken


def unknown_values(clips: pd.DataFrame, where: Where) -> list[str]:
    """Return a line for each value of `where` that no row has: what it is, and the values there are, with counts."""
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


def levels(clips: pd.DataFrame, strata: Sequence[str]) -> dict[str, int]:
    """Return how many different values each of the columns has, a missing one counting as a value."""
    return {column: int(clips[column].nunique(dropna=False)) for column in strata}


def _is_one_of(cells: pd.Series, values: Sequence[str | int | None]) -> pd.Series:
    return cells.isin([value for value in values if value is not None]) | (cells.isna() & (None in values))


def _spelled(value: object) -> str:
    return _MISSING if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _counted(counts: Mapping[str, int]) -> str:
    """Return values and their counts, the most frequent first."""
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_MOST_VALUES_SHOWN])
    more = f" and {len(counts) - _MOST_VALUES_SHOWN:,} more" if len(counts) > _MOST_VALUES_SHOWN else ""
    return (shown + more) or "none, the tables are empty"
