"""The comparison of sample and population: as pandas counts it, with shares that add up and no clip left out."""

from __future__ import annotations

from fractions import Fraction

import pyarrow as pa
import pytest

from pipeline.report import comparison, numbers
from tests.support.materials import material, odd_material


def test_comparison_counts_columns_and_strata_as_pandas_counts_them() -> None:
    made = material(90)
    report = numbers.summarise(made, ("gender", "age"), "proportional")
    population, eligible, sample = (each.to_pandas() for each in (made.population, made.eligible, made.sample))
    for column in report.columns:
        for level in column.levels:
            assert level.population == (population[column.name] == level.name).sum()
            assert level.eligible == (eligible[column.name] == level.name).sum()
            assert level.sample == (sample[column.name] == level.name).sum()
            assert level.exact == pytest.approx(len(made.sample) * level.eligible / len(made.eligible))
    for stratum in report.strata:
        exact = Fraction(len(made.sample) * stratum.eligible, len(made.eligible))
        assert stratum.deviation == pytest.approx(float((sample["stratum"] == stratum.name).sum() - exact))
    assert report.metrics["largest_deviation_clips"] == pytest.approx(
        max(abs(stratum.deviation) for stratum in report.strata), abs=1e-6
    )


@pytest.mark.parametrize("allocation", ["proportional", "equal", 0.5])
def test_comparison_has_exact_shares_of_strata_and_of_levels_that_add_up_to_the_sample(allocation: str | float) -> None:
    made = material(90)
    report = numbers.summarise(made, ("gender", "age"), allocation)
    assert sum(stratum.exact for stratum in report.strata) == pytest.approx(len(made.sample))
    for column in report.columns:
        assert sum(level.exact for level in column.levels) == pytest.approx(len(made.sample))


def test_comparison_without_strata_has_the_documented_columns() -> None:
    report = numbers.summarise(odd_material("one stratum"), (), "proportional")
    assert [column.name for column in report.columns] == ["age", "gender", "accent"]
    assert report.metrics["strata"] == 1


def test_comparison_sums_up_rare_values_of_a_column() -> None:
    made = odd_material("a hundred strata")
    (column,) = numbers.summarise(made, ("age",), "proportional").columns
    assert column.levels[-1].name == f"{column.rarer} others"
    assert sum(level.population for level in column.levels) == len(made.population)
    assert sum(level.sample for level in column.levels) == len(made.sample)


def test_comparison_has_a_level_for_missing_values() -> None:
    (column,) = numbers.summarise(odd_material("no ages"), ("age",), "proportional").columns
    assert [(level.name, level.population) for level in column.levels] == [(comparison.MISSING, 60)]


def test_count_values_names_integers_without_a_decimal_point() -> None:
    assert comparison.count_values(pa.chunked_array([[3, None], [3, 12]])) == {"3": 2, "12": 1, comparison.MISSING: 1}


def test_outside_vocabulary_lists_values_with_their_counts() -> None:
    values = {"age": ["twenties", "12", None, "12"], "gender": ["male", "Male", "f", None], "accent": [None] * 4}
    clips = pa.table({name: pa.array(each, pa.string()) for name, each in values.items()})
    assert comparison.outside_vocabulary(clips) == (("age", "12", 2), ("gender", "Male", 1), ("gender", "f", 1))
