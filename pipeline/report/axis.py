"""Marks of an axis: round numbers, and their text. Pure."""

from __future__ import annotations

import math


def marks(low: float, high: float, most: int) -> list[float]:
    """Return the multiples of a round step from `low` to `high`, both included: at most `most` of them, 2 or more.

    A round step is 1, 2 or 5 times a power of ten. Where `low` is not below `high` there is one mark, `low`.
    """
    if not low < high:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if high - low <= factor * power * (most - 1))
    first, last = math.ceil(round(low / step, 9)), math.floor(round(high / step, 9))
    return [round(number * step, 9) for number in range(first, last + 1)]


def format_mark(value: float) -> str:
    """Return a number in its shortest form, such as 0.5 or 16,000, with a minus sign as wide as a digit."""
    return f"{value:,g}".replace("-", "−")
