"""Sentences, and values of other columns that are kept apart: which occur again, in two splits or in two tables. Pure.

Two texts are one sentence where `pipeline.sampling.sentences.normalise` makes them equal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import declared
from pipeline.core.words import word_count
from pipeline.report.material import Material
from pipeline.sampling.sentences import normalise


class Apart(NamedTuple):
    """A column that is kept apart: its different values, and how many of them are in two splits or in two tables.

    Splits are counted over the eligible clips, tables over all rows of those that the sample is drawn from.
    """

    name: str
    values: int
    in_two_splits: int
    in_two_tables: int


def apart(material: Material) -> tuple[Apart, ...]:
    """Return the columns that are kept apart; two spellings of a sentence are one value."""
    counted = []
    for column in declared(material.sample.schema):
        if column.is_apart:
            of_rows, of_eligible = (
                normalised(table[column.name]) if "text" in column.roles else table[column.name]
                for table in (material.population, material.eligible)
            )
            counted.append(
                Apart(
                    column.name,
                    pc.count_distinct(of_rows).as_py(),
                    in_two(of_eligible, material.eligible["split"]),
                    in_two(of_rows, material.population["table"]),
                )
            )
    return tuple(counted)


def in_two(values: pa.ChunkedArray, groups: pa.ChunkedArray) -> int:
    """Count the values that occur in more than one group; a missing one is no value."""
    rows = pa.table({"value": values, "group": groups}).filter(pc.is_valid(values))
    groups_of_each = rows.group_by("value").aggregate([("group", "count_distinct")])["group_count_distinct"]
    return pc.sum(pc.greater(groups_of_each, 1)).as_py() or 0


def occurrences(texts: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the number of occurrences of each sentence: int64 of shape (sentences,)."""
    return np.asarray(normalised(texts).drop_null().value_counts().field("counts"))


def words(texts: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Return the number of words of each text, float64 of shape (n,); NaN where it has no count (`word_count`)."""
    return np.asarray(_mapped(word_count, texts, pa.float64()))


def normalised(texts: pa.ChunkedArray) -> pa.Array:
    """Return what two spellings of one sentence have in common; a missing text stays missing."""
    return _mapped(normalise, texts, pa.string())


def _mapped(function: Callable[[str], Any], texts: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    """Return what `function` makes of each text, called once for each different one; a missing text stays missing."""
    encoded = texts.dictionary_encode().combine_chunks()
    return pa.array([*map(function, encoded.dictionary.to_pylist())], kind).take(encoded.indices)
