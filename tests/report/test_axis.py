"""Marks of an axis are round, evenly spaced, within its ends, and neither too many nor too few."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import axis


@given(st.floats(-1e3, 1e3), st.floats(0.1, 1e6), st.integers(2, 12))
def test_axis_marks_are_multiples_of_a_round_step_between_the_ends(low: float, length: float, most: int) -> None:
    high = low + length
    marks = axis.marks(low, high, most)
    assert len(marks) <= most
    slack = 1e-6 * length
    assert all(low - slack <= mark <= high + slack for mark in marks)
    if len(marks) > 1:
        step = (marks[-1] - marks[0]) / (len(marks) - 1)
        assert marks == pytest.approx([marks[0] + place * step for place in range(len(marks))], abs=1e-6)
        assert round(step / 10 ** math.floor(math.log10(step * 1.0001)), 4) in (1, 2, 5)


@given(st.floats(1e-3, 1e6), st.integers(5, 12))
def test_axis_from_zero_has_at_least_a_third_of_the_marks_there_is_room_for(high: float, most: int) -> None:
    assert len(axis.marks(0, high, most)) >= most / 3


def test_axis_without_length_has_one_mark() -> None:
    assert axis.marks(3, 3, 5) == [3]


@pytest.mark.parametrize(("value", "text"), [(-2.5, "−2.5"), (0, "0"), (0.1, "0.1"), (16000, "16,000")])
def test_axis_formats_numbers_short_with_a_wide_minus(value: float, text: str) -> None:
    assert axis.format_mark(value) == text
