"""The sample beside what it was drawn from: stratum by stratum, and value by value of a column. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.report.material import Material
from pipeline.sampling import shares

MISSING = "(missing)"

_MOST_LEVELS = 24  # of a column; what is rarer is summed up


@dataclass(frozen=True)
class Level:
    """A value of a column: how many clips have it, and how many of the sample would, were shares exact."""

    name: str
    population: int
    eligible: int
    sample: int
    exact: float


@dataclass(frozen=True)
class Column:
    """A column side by side; `rarer` values are summed up in the last level."""

    name: str
    levels: tuple[Level, ...]
    rarer: int = 0


@dataclass(frozen=True)
class Stratum:
    """A stratum: clips in it, its exact share of the sample, and what the sample holds."""

    name: str
    eligible: int
    exact: Fraction
    sample: int

    @property
    def deviation(self) -> Fraction:
        """Clips more (or less) than the exact share."""
        return self.sample - self.exact


def stratum_table(material: Material, allocation: shares.Allocation) -> tuple[Stratum, ...]:
    """Return every stratum of the ranking beside its exact share of the sample, the largest first."""
    counts = counted(material.eligible["stratum"])
    sizes = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    drawn = counted(material.sample["stratum"])
    exact = shares.Shares(list(sizes.values()), allocation)
    return tuple(
        Stratum(name, size, exact.of(place, len(material.sample)), drawn[name])
        for place, (name, size) in enumerate(sizes.items())
    )


def column_table(material: Material, name: str, compared: Sequence[Stratum]) -> Column:
    """Return the values of a column side by side, the most frequent ones first, a missing one last.

    The exact share of a value is what it has of the exact shares of all strata: a stratum's share, spread evenly over
    its eligible clips.
    """
    each = {stratum.name: float(stratum.exact) / stratum.eligible for stratum in compared}
    together = material.eligible.group_by([name, "stratum"]).aggregate([([], "count_all")]).sort_by("stratum")
    exact: dict[str, float] = defaultdict(float)
    for value, row in zip(named(together[name]).to_pylist(), together.to_pylist(), strict=True):
        exact[value] += row["count_all"] * each[row["stratum"]]
    population, eligible, sample = (
        counted(table[name]) for table in (material.population, material.eligible, material.sample)
    )
    names = sorted(population | eligible, key=lambda value: (value == MISSING, -population[value], value))
    levels = [Level(value, population[value], eligible[value], sample[value], exact[value]) for value in names]
    if len(levels) <= _MOST_LEVELS:
        return Column(name, tuple(levels))
    rest = levels[_MOST_LEVELS - 1 :]
    summed = Level(
        f"{len(rest)} others",
        sum(level.population for level in rest),
        sum(level.eligible for level in rest),
        sum(level.sample for level in rest),
        sum(level.exact for level in rest),
    )
    return Column(name, (*levels[: _MOST_LEVELS - 1], summed), len(rest))


def outside_vocabulary(clips: pa.Table) -> tuple[tuple[str, str, int], ...]:
    """Return column, value and count of each value of age, gender and accent that Common Voice does not document."""
    found = []
    for column, known in schema.VOCABULARY.items():
        counts = counted(clips[column].drop_null())
        unknown = sorted(value for value in counts if value not in known)
        found += [(column, value, counts[value]) for value in unknown]
    return tuple(found)


def counted(values: pa.ChunkedArray) -> Counter[str]:
    """Return how often each value occurs, by its name; a missing one is `MISSING`."""
    return Counter({each["values"]: each["counts"] for each in named(values).value_counts().to_pylist()})


def named(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as text, `MISSING` in the place of a missing one."""
    return values.cast(pa.string()).fill_null(MISSING)


def rows_of(values: pa.ChunkedArray) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which rows have each value, in the order of the values; of a missing one it says nothing."""
    names = sorted(values.unique().drop_null().to_pylist())
    return {name: pc.equal(values, name).fill_null(False).to_numpy() for name in names}
