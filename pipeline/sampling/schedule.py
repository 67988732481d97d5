"""The order in which strata take turns, so that every prefix holds within one clip of every share. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt

from pipeline.sampling.shares import Shares

_UNIT = 2**32  # a clip is divided into this many parts, to begin a stratum anywhere within its first


def schedule(shares: Shares, starts: Sequence[int]) -> npt.NDArray[np.int32]:
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
