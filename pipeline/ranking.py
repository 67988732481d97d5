"""The ranking: one order of all eligible clips, every prefix of which is a stratified sample.

Comes in: a table of clips (pandas) and how to draw. Goes out: the same clips, ranked, each with its stratum and
split. It never reads or writes anything, and never looks at row order, the clock or a random generator: only
salted hashes decide. The method and its proof are in docs/sampling.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from heapq import heappop, heappush
from itertools import groupby
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.errors import SampleError
from pipeline.schema import RANKING_SCHEMA
from pipeline.splits import assign, hashes

__all__ = ["Shares", "eligible", "largest_deviation", "levels", "rank", "strata_of", "weights"]

Allocation = str | float

_POWERS = {"proportional": 1, "equal": 0}
_QUOTED = str.maketrans({reserved: quote(reserved) for reserved in "%,=?"})
_UNIT = 2**32  # a clip is divided into this many parts, to begin a stratum anywhere within its first


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


def strata_of(clips: pd.DataFrame, strata: Sequence[str]) -> npt.NDArray[np.object_]:
    """Return the name of each clip's stratum, such as ``gender=female, age=?`` where the age is missing.

    Different values always give different names: the characters ``% , = ?`` of a value are percent-encoded. Without
    columns every clip is in the stratum ``all``.
    """
    names = np.full(len(clips), "" if strata else "all", dtype=object)
    for place, column in enumerate(strata):
        codes, values = pd.factorize(clips[column])  # the code of a missing value is -1: the last name
        known = [f"{column}={str(value).translate(_QUOTED)}" for value in values]
        names += np.array([", " * bool(place) + name for name in [*known, f"{column}=?"]], dtype=object)[codes]
    return names


def rank(
    clips: pd.DataFrame,
    *,
    strata: Sequence[str],
    allocation: Allocation,
    seed: int,
    splits: Mapping[str, float],
) -> pd.DataFrame:
    """Put the clips into one order whose every prefix is a stratified sample.

    Laws 1, 2, 3 and 8 of the design: samples nest; every prefix holds of every stratum within one clip of its exact
    share (`Shares`); a salted hash of its id decides which clip comes next within a stratum; a sentence or speaker
    is in one split only.

    Parameters
    ----------
    clips
        With the columns clip_id (unique), table and the metadata; speaker where it is known. Row order and index
        do not matter.
    strata
        Columns whose combinations are the strata; a missing value is a level of its own; none for a plain random
        order.
    allocation
        ``proportional``, ``equal`` or a power 0..1 of the stratum's size.
    seed
        Salt of all hashes: another seed draws other clips.
    splits
        Share of the clips (0..1) for each split (`pipeline.splits.assign`).

    Returns
    -------
    pandas.DataFrame
        The columns of `pipeline.schema.RANKING_SCHEMA`, in rank order. Clips that belong to no split are left out.

    Raises
    ------
    SampleError
        No clip belongs to a split.
    """
    split = assign(clips, splits, seed=seed)
    clips = clips.assign(split=split)[split.notna()]
    if clips.empty:
        raise SampleError(f"of {len(split)} clips none has its sentence and its speaker in the same split")
    stratum, names = pd.factorize(strata_of(clips, strata))
    starts = hashes(names, seed=seed, purpose="stratum")
    by_hash = np.lexsort((names, starts))  # no tie between strata is left to the order of the rows
    names, starts, place = names[by_hash], starts[by_hash], np.argsort(by_hash)[stratum]
    shares = Shares(np.bincount(place).tolist(), allocation)
    order = _schedule(shares, (starts >> np.uint64(32)).tolist())

    within = clips.assign(
        stratum=names[place], place=place, hash=hashes(clips["clip_id"].tolist(), seed=seed, purpose="clip")
    ).sort_values(["place", "hash", "clip_id"])
    ranks = np.argsort(order, kind="stable")  # those of the first stratum, then those of the second, …
    ranked = within.assign(rank=ranks).sort_values("rank", ignore_index=True)
    return ranked.loc[:, list(RANKING_SCHEMA.names)]


class Shares:
    """The exact share that each stratum has of a sample of n clips, for every n.

    A stratum of N clips weighs w = N**power. Shares rise together, each in proportion to its weight, until a stratum
    has no clips left; what it can no longer take goes to the others, in proportion to their weights:
    f(n) = min(N, c(n)·w) with the level c(n) at which all shares add up to n. For a proportional allocation that is
    n·N / ΣN at every n. All of it is exact; the weights are rounded to 12 decimals.

    Parameters
    ----------
    sizes
        Clips of each stratum, 1 or more.
    allocation
        ``proportional`` (power 1), ``equal`` (power 0) or a power 0..1.
    """

    def __init__(self, sizes: Sequence[int], allocation: Allocation) -> None:
        context = Context(prec=50)  # the same on every platform, which powers of floats are not
        power = Decimal(str(_POWERS.get(str(allocation), allocation)))
        self.sizes = [int(size) for size in sizes]
        self.weights = [int(context.power(size, power).scaleb(12).to_integral_value()) for size in self.sizes]
        # Between two levels at which strata run out: the upper level, the clips of those that have run out before
        # and the weight of those that have not.
        self._segments: list[tuple[Fraction, int, int]] = []
        gone, weight = 0, sum(self.weights)
        full = sorted((Fraction(size, each), size, each) for size, each in zip(self.sizes, self.weights, strict=True))
        for level, together in groupby(full, key=lambda stratum: stratum[0]):
            self._segments.append((level, gone, weight))
            for _, size, each in together:
                gone, weight = gone + size, weight - each
        self._ends = [int(gone + level * weight) for level, gone, weight in self._segments]

    def of(self, place: int, clips: int) -> Fraction:
        """Return the share of the stratum at `place` in `sizes`, of a sample of so many clips."""
        _, gone, weight = self._segments[bisect_left(self._ends, clips)]
        return min(Fraction(self.sizes[place]), Fraction((clips - gone) * self.weights[place], weight))

    def reached(self, place: int, parts: npt.NDArray[np.int64], unit: int) -> tuple[npt.NDArray[np.object_], int]:
        """Return where a stratum's share reaches parts/unit clips: numerators and denominator of sample sizes."""
        scale = unit * self.weights[place]
        most = self.sizes[place] * unit
        ends = [min(most, level.numerator * scale // level.denominator) for level, _, _ in self._segments]
        gone, weight = (np.array(column, dtype=object) for column in list(zip(*self._segments, strict=True))[1:])
        segment = np.searchsorted(ends, parts)
        return gone[segment] * scale + parts.astype(object) * weight[segment], scale


def _schedule(shares: Shares, starts: Sequence[int]) -> npt.NDArray[np.int32]:
    """Return the stratum of each rank, so that every prefix holds within one clip of every share.

    The j-th clip of a stratum may stand from the first rank at which the share exceeds j - 1 to the first at which
    it reaches j. Such a schedule exists, since shares add up to the length of the prefix (Tijdeman 1980; as jobs with
    deadlines: Steiner and Yeomans 1993). Among the clips whose time has come, the one goes next that is due first
    if its stratum's first clip is due at a random place (`starts`, in units of 2**-32 clips) and the others follow
    at even steps: systematic sampling, which gives rare strata their fair chance to be in a small sample. A clip that
    would leave another one without a rank has to wait.
    """
    releases, deadlines, wishes = [], [], []
    for place, size in enumerate(shares.sizes):
        count = np.arange(size + 1)
        reached, scale = shares.reached(place, count, 1)
        releases.append(reached[:-1] // scale + 1)
        deadlines.append(-(-reached[1:] // scale))
        reached, scale = shares.reached(place, count[:-1] * _UNIT + starts[place], _UNIT)
        wishes.append(reached * _UNIT // scale)
    stratum = np.repeat(np.arange(len(shares.sizes), dtype=np.int32), shares.sizes)
    by_wish = np.argsort(np.concatenate(wishes).astype(np.int64), kind="stable")  # a clip is its place in this order
    deadline = np.concatenate(deadlines).astype(np.int64)[by_wish]
    release = np.concatenate(releases).astype(np.int64)[by_wish]
    return stratum[by_wish][_earliest_safe(release, deadline)]


def _earliest_safe(release: npt.NDArray[np.int64], deadline: npt.NDArray[np.int64]) -> list[int]:
    """Give each rank 1, 2, … the first of its released jobs that leaves every other a rank within its window.

    slack[b] counts the ranks up to b that the jobs with deadlines up to b can spare. A job with a later deadline
    takes one of them, so it may not pass the first b that has none: Hall's condition, which for windows is enough.
    """
    total = len(release)
    slack = (np.arange(total + 1) - np.cumsum(np.bincount(deadline, minlength=total + 1))).astype(np.int32)
    tight_ranks: list[int] = (np.flatnonzero(slack[1:] == 0)[::-1] + 1).tolist()  # the next one last
    arrivals = np.argsort(release, kind="stable").tolist()[::-1]
    releases, deadlines = release.tolist(), deadline.tolist()
    ready: list[int] = []
    waiting: list[tuple[int, int]] = []
    chosen = []
    for now in range(1, total + 1):
        while tight_ranks[-1] < now:
            tight_ranks.pop()
        limit = tight_ranks[-1]
        while waiting and waiting[0][0] <= limit:
            heappush(ready, heappop(waiting)[1])
        while arrivals and releases[arrivals[-1]] <= now:
            heappush(ready, arrivals.pop())
        while deadlines[job := heappop(ready)] > limit:
            heappush(waiting, (deadlines[job], job))
        chosen.append(job)
        spared = slack[now : deadlines[job]]
        spared -= 1
        (gone,) = (spared == 0).nonzero()
        if gone.size:
            tight_ranks.extend((gone[::-1] + now).tolist())
    return chosen


def largest_deviation(
    order: Iterable[str], sizes: Mapping[str, int], allocation: Allocation, *, prefixes: bool = True
) -> Fraction:
    """Return the largest distance, in clips, of any stratum's count from its exact share.

    Parameters
    ----------
    order
        The stratum of each clip, in rank order: of the whole ranking or of a sample.
    sizes
        Eligible clips of each stratum.
    allocation
        As in `rank`.
    prefixes
        Over all prefixes of `order`; else for `order` as a whole.
    """
    names = list(sizes)
    shares = Shares([sizes[name] for name in names], allocation)
    ranks: dict[str, list[int]] = {name: [] for name in names}
    total = 0
    for total, name in enumerate(order, start=1):
        ranks[name].append(total)
    worst = Fraction(0)
    for place, name in enumerate(names):
        worst = max(worst, abs(len(ranks[name]) - shares.of(place, total)))
        # A share only grows: it is furthest above the count just before a clip, and furthest below it just after.
        for count, at in enumerate(ranks[name] if prefixes else ()):
            worst = max(worst, shares.of(place, at - 1) - count, count + 1 - shares.of(place, at))
    return worst


def weights(sample_strata: Iterable[str], stratum_sizes: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return how many eligible clips each clip of the sample stands for.

    Of a stratum with n of N clips in the sample each stands for N // n or N // n + 1, the larger number first, so
    that the weights of a stratum add up to N exactly.

    Parameters
    ----------
    sample_strata
        The stratum of each clip of the sample, in rank order.
    stratum_sizes
        Eligible clips of each stratum.
    """
    names = pd.Series(list(sample_strata), dtype=object)
    drawn = names.map(names.value_counts()).astype("int64")
    size = names.map(stratum_sizes).astype("int64")
    earlier = names.groupby(names).cumcount()
    return np.asarray(size // drawn + (earlier < size % drawn), dtype=np.int64)
