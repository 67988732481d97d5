"""The ranking: one order of all eligible clips, every prefix of which is a stratified sample. Pure.

Only salted hashes decide: never the order of the rows, the clock or a random generator. The method and its proof are in
docs/sampling.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.core.errors import SampleError
from pipeline.core.schema import RANKING_SCHEMA
from pipeline.sampling.shares import Allocation, Shares
from pipeline.sampling.splits import assign, hashes

_QUOTED = str.maketrans({reserved: quote(reserved) for reserved in "%,=?"})
_UNIT = 2**32  # a clip is divided into this many parts, to begin a stratum anywhere within its first


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
        Share of the clips (0..1) for each split (`pipeline.sampling.splits.assign`).

    Returns
    -------
    pandas.DataFrame
        The columns of `schema.RANKING_SCHEMA`, in rank order. Clips that belong to no split are left out.

    Raises
    ------
    SampleError
        No clip belongs to a split.
    """
    split = assign(clips, splits, seed=seed)
    clips = clips.assign(split=split)[split.notna()]
    if clips.empty:
        raise SampleError(
            f"of {len(split)} clips none has its sentence and its speaker in the same split; ask for fewer splits "
            "(stratify.splits), so that more of them do"
        )
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
