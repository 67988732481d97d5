"""The sample compared with its population: stratum by stratum, and value by value of a column. Pure."""

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

_MOST_LEVELS = 24  # of a column; rarer values are summed up


@dataclass(frozen=True)
class Level:
    """A value of a column: clips that have it, and the exact share of the sample, in clips."""

    name: str
    population: int
    eligible: int
    sample: int
    exact: float


@dataclass(frozen=True)
class Column:
    """The levels of a column; `rarer` values are summed up in the last level."""

    name: str
    levels: tuple[Level, ...]
    rarer: int = 0


@dataclass(frozen=True)
class Stratum:
    """A stratum: its eligible clips, its exact share of the sample, in clips, and its clips in the sample."""

    name: str
    eligible: int
    exact: Fraction
    sample: int

    @property
    def deviation(self) -> Fraction:
        """Clips above (or below) the exact share."""
        return self.sample - self.exact


def stratum_table(material: Material, allocation: shares.Allocation) -> tuple[Stratum, ...]:
    """Return every stratum of the ranking with its exact share of the sample, the largest first."""
    counts = count_values(material.eligible["stratum"])
    sizes = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    drawn = count_values(material.sample["stratum"])
    exact = shares.Shares(list(sizes.values()), allocation)
    return tuple(
        Stratum(name, size, exact.of(place, len(material.sample)), drawn[name])
        for place, (name, size) in enumerate(sizes.items())
    )


def column_table(material: Material, name: str, compared: Sequence[Stratum]) -> Column:
    """Return the values of a column with their clips, the most frequent first, a missing one last.

    The exact share of a value is summed over all strata, each stratum's share being spread evenly over its eligible
    clips.
    """
    each = {stratum.name: float(stratum.exact) / stratum.eligible for stratum in compared}
    together = material.eligible.group_by([name, "stratum"]).aggregate([([], "count_all")]).sort_by("stratum")
    exact: dict[str, float] = defaultdict(float)
    for value, row in zip(level_names(together[name]).to_pylist(), together.to_pylist(), strict=True):
        exact[value] += row["count_all"] * each[row["stratum"]]
    population, eligible, sample = (
        count_values(table[name]) for table in (material.population, material.eligible, material.sample)
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
    outside = []
    for column, known in schema.VOCABULARY.items():
        counts = count_values(clips[column].drop_null())
        unknown = sorted(value for value in counts if value not in known)
        outside += [(column, value, counts[value]) for value in unknown]
    return tuple(outside)


def count_values(values: pa.ChunkedArray) -> Counter[str]:
    """Count each value, by its name; a missing one is `MISSING`."""
    return Counter({each["values"]: each["counts"] for each in level_names(values).value_counts().to_pylist()})


def level_names(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as text, `MISSING` in place of null."""
    return values.cast(pa.string()).fill_null(MISSING)


def masks_by_value(values: pa.ChunkedArray) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the rows that have each value, as boolean masks by value, in the order of the values; null has none."""
    names = sorted(values.unique().drop_null().to_pylist())
    return {name: pc.equal(values, name).fill_null(False).to_numpy() for name in names}
