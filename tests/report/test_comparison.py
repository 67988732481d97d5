"""The comparison of sample and population: as pandas counts it, with shares that add up and no clip left out."""

from __future__ import annotations

from fractions import Fraction

import pyarrow as pa
import pytest

from pipeline.core.columns import Column
from pipeline.report import comparison, numbers
from tests.report.materials import SPOKEN, material, odd_material, report_of, with_columns


def test_comparison_counts_columns_and_strata_as_pandas_counts_them() -> None:
    made = material(90)
    report = report_of(made)
    tables = [each.to_pandas() for each in (made.population, made.eligible, made.sample)]
    for name, levels in report.columns[:2]:
        assert [list(level) for level in levels] == [
            [level.name, *((table[name] == level.name).sum() for table in tables)] for level in levels
        ]
    for stratum in report.strata:
        exact = Fraction(len(made.sample) * stratum.eligible, len(made.eligible))
        assert stratum.deviation == pytest.approx(float((tables[2]["stratum"] == stratum.name).sum() - exact))
    largest = max(abs(stratum.deviation) for stratum in report.strata)
    assert report.metrics["largest_deviation_clips"] == pytest.approx(largest, abs=1e-6)


@pytest.mark.parametrize("allocation", ["proportional", "equal", 0.5])
def test_comparison_has_exact_shares_of_strata_that_add_up_to_the_sample(allocation: str | float) -> None:
    made = material(90)
    report = numbers.summarise(made, ("gender", "age"), allocation)
    assert sum(stratum.exact for stratum in report.strata) == pytest.approx(len(made.sample))


def test_comparison_is_by_label_strata_and_columns_with_documented_or_few_values() -> None:
    columns = (*SPOKEN, Column("recording", "integer"))
    made = material(clips=90, columns=columns, strata=("table",))
    assert comparison.compared(made, ("table",)) == ["gender", "table", "age", "accent"]
    assert comparison.compared(with_columns(made, "population", recording=[1, 2] * 45), ())[-1] == "recording"
    assert "age" not in comparison.compared(with_columns(made, "population", age="all the same"), ())
    assert comparison.compared(odd_material("no column"), ()) == []


def test_comparison_sums_up_rare_values_of_a_column() -> None:
    made = odd_material("a hundred strata")
    levels = comparison.column_table(made, "age").levels
    assert (len(levels), levels[-1].name) == (24, "77 others")
    assert sum(level.population for level in levels) == len(made.population)
    assert sum(level.sample for level in levels) == len(made.sample)


def test_comparison_has_a_level_for_missing_values() -> None:
    levels = comparison.column_table(odd_material("no ages"), "age").levels
    assert [(level.name, level.population) for level in levels] == [(comparison.MISSING, 60)]


def test_count_values_names_integers_without_a_decimal_point() -> None:
    assert comparison.count_values(pa.chunked_array([[3, None], [3, 12]])) == {"3": 2, "12": 1, comparison.MISSING: 1}
