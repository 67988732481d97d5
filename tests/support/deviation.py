"""How far a ranking is from the exact shares of its strata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from pipeline.sampling.shares import Allocation, Shares


def largest_deviation(ranking: Sequence[str], allocation: Allocation) -> Fraction:
    """Return the largest distance, in clips, of any stratum's count from its exact share, over all prefixes.

    A ranking is the stratum of each eligible clip.
    """
    sizes = Counter(ranking)
    shares = Shares(list(sizes.values()), allocation)
    places = {name: place for place, name in enumerate(sizes)}
    counts: Counter[str] = Counter()
    worst = Fraction(0)
    for clips, name in enumerate(ranking):
        # A share only grows: it is furthest above the count just before a clip, and furthest below it just after.
        worst = max(worst, shares.of(places[name], clips) - counts[name])
        counts[name] += 1
        worst = max(worst, counts[name] - shares.of(places[name], clips + 1))
    return worst
