"""Which rows may be drawn, and how many rows each filter took. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


def eligible(
    clips: pd.DataFrame,
    *,
    require: Sequence[str] = (),
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
    min_up_votes, max_down_votes, min_net_votes
        Bounds, inclusive; net votes are up votes less down votes.
    seconds
        Shortest and longest duration, inclusive, of the column `estimated_seconds`; a clip whose duration is not
        known stays.

    Returns
    -------
    rows : pandas.DataFrame
        In the order in which they came.
    taken : dict
        For each filter in use, in the order in which they are applied, the number of rows that it took of those
        that the filters before it had left.
    """
    net_votes = clips["up_votes"] - clips["down_votes"]
    filters = {f"require.{column}": clips[column].notna() for column in require}
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


def levels(clips: pd.DataFrame, strata: Sequence[str]) -> dict[str, int]:
    """Return how many different values each of the columns has, a missing one counting as a value."""
    return {column: int(clips[column].nunique(dropna=False)) for column in strata}
