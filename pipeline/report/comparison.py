"""The sample compared with its population: stratum by stratum, and value by value of a column. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import declared, with_role
from pipeline.report.material import Material
from pipeline.sampling import shares

MISSING = "(missing)"

_MOST_LEVELS = 24  # of a column; rarer values are summed up
_FEW = 12  # values; a column with no more of them is compared, of any role


class Level(NamedTuple):
    """A value of a column, and how many clips have it."""

    name: str
    population: int
    eligible: int
    sample: int


class Column(NamedTuple):
    """A column and its levels."""

    name: str
    levels: tuple[Level, ...]


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


def column_table(material: Material, name: str) -> Column:
    """Return the values of a column with their clips, the most frequent first, a missing one last.

    Values beyond the most frequent are summed up in the last level.
    """
    counts = [count_values(table[name]) for table in (material.population, material.eligible, material.sample)]
    names = sorted(counts[0] | counts[1], key=lambda value: (value == MISSING, -counts[0][value], value))
    levels = [Level(value, *(count[value] for count in counts)) for value in names]
    if len(levels) > _MOST_LEVELS:
        rest = levels[_MOST_LEVELS - 1 :]
        levels[_MOST_LEVELS - 1 :] = [
            Level(f"{len(rest)} others", *map(sum, zip(*(each[1:] for each in rest), strict=True)))
        ]
    return Column(name, tuple(levels))


def compared(material: Material, strata: Sequence[str]) -> list[str]:
    """Return the columns to compare by: the label, those of the strata, and those with documented or few values."""
    label = with_role(material.sample.schema, "label")
    names = [*([label] if label else []), *strata]
    for column in declared(material.sample.schema):
        values = pc.count_distinct(material.population[column.name]).as_py()
        if column.values or 2 <= values <= _FEW:
            names.append(column.name)
    return list(dict.fromkeys(names))


def count_values(values: pa.ChunkedArray) -> Counter[str]:
    """Count each value, by its name; a missing one is `MISSING`."""
    return Counter({each["values"]: each["counts"] for each in level_names(values).value_counts().to_pylist()})


def level_names(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as text, `MISSING` in place of null."""
    return values.cast(pa.string()).fill_null(MISSING)
