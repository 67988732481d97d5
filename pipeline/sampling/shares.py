"""The exact share of each stratum in a sample of any size, and the weights of its clips. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import groupby

import numpy as np
import numpy.typing as npt

Allocation = str | float

_POWERS = {"proportional": 1, "equal": 0}


class Shares:
    """The exact share that each stratum has of a sample of n clips, for every n.

    A stratum of N clips weighs w = N**power. Shares rise together, each in proportion to its weight, until a stratum
    has no clips left; what it can no longer take goes to the others, in proportion to their weights:
    f(n) = min(N, c(n)·w) with the level c(n) at which all shares add up to n. For a proportional allocation that is
    n·N / ΣN at every n. This is water-filling: c(n) is the water level, and a stratum a vessel of width w that holds N.
    All of it is exact; the weights are rounded to 12 decimals. The allocation is ``proportional`` (power 1), ``equal``
    (power 0) or a power 0..1. No stratum is empty.
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
        """Return the share of the stratum at `place` in a sample of `clips` clips."""
        _, gone, weight = self._segments[bisect_left(self._ends, clips)]
        return min(Fraction(self.sizes[place]), Fraction((clips - gone) * self.weights[place], weight))

    def exhausted(self, clips: int) -> list[int]:
        """Return the places of the strata that a sample of `clips` clips contains completely."""
        return [place for place, size in enumerate(self.sizes) if self.of(place, clips) >= size]

    def reached(self, place: int, parts: npt.NDArray[np.int64], unit: int) -> tuple[npt.NDArray[np.object_], int]:
        """Return where a stratum's share reaches parts/unit clips: numerators and denominator of sample sizes."""
        scale = unit * self.weights[place]
        most = self.sizes[place] * unit
        ends = [min(most, level.numerator * scale // level.denominator) for level, _, _ in self._segments]
        gone, weight = (np.array(column, dtype=object) for column in list(zip(*self._segments, strict=True))[1:])
        segment = np.searchsorted(ends, parts)
        return gone[segment] * scale + parts.astype(object) * weight[segment], scale


def weights(sample_strata: Iterable[str], stratum_sizes: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return how many eligible clips each clip of the sample stands for, given its stratum, in rank order.

    Of a stratum with n of N clips in the sample each stands for N // n or N // n + 1, the larger number first, so
    that the weights of a stratum add up to N exactly.
    """
    names = list(sample_strata)
    drawn = Counter(names)
    earlier: Counter[str] = Counter()
    weights = []
    for name in names:
        share, rest = divmod(stratum_sizes[name], drawn[name])
        weights.append(share + (earlier[name] < rest))
        earlier[name] += 1
    return np.array(weights, dtype=np.int64)
