"""Histograms: the number of clips between two round edges. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.columns import with_role
from pipeline.report import sentences
from pipeline.report.material import Material
from pipeline.report.measurements import Float64, Measurements, finite

_MOST_BINS = 30


@dataclass(frozen=True)
class Histogram:
    """The number of clips between two edges, of one or two groups."""

    title: str
    unit: str  # of the edges
    edges: tuple[float, ...]  # one more than there are bins, evenly spaced; a bin includes its lower edge
    counts: dict[str, tuple[int, ...]]  # one number for each bin, by group
    not_shown: str = ""  # how many values of the first group are not finite, such as −∞ dB, and why


def histograms(material: Material, measured: Measurements) -> tuple[Histogram, ...]:
    """Return the histograms of durations, levels and, where there are any, lengths of sentences."""
    decibels, widths = "dB of full scale", (0.5, 1, 2, 5, 10, 20)
    silence, uncounted = "of digital silence (−∞ dB)", "without a sentence or in a script without spaces"
    seconds = {"sample": measured.duration_seconds}
    made = [
        histogram("Duration", "s", seconds, (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 60)),
        histogram("Peak level", decibels, {"sample": measured.peak_dbfs}, widths, silence),
        histogram("RMS level", decibels, {"sample": measured.rms_dbfs}, widths, silence),
    ]
    if text := with_role(material.eligible.schema, "text"):
        words = {"sample": measured.words, "eligible": sentences.words(material.eligible[text])}
        made.append(histogram("Length of a sentence", "words", words, (1, 2, 5, 10, 20, 50, 100), uncounted))
    return tuple(made)


def histogram(
    title: str,
    unit: str,
    groups: dict[str, Float64],
    widths: Sequence[float],
    why_not_finite: str = "",
    *,
    together: Float64 | None = None,
) -> Histogram:
    """Count the finite values of each group in bins of the first of `widths` that needs no more than 30 bins.

    The bins span the values of `together`, by default those of all groups: histograms that are compared share them.
    """
    known = finite(np.concatenate(list(groups.values())) if together is None else together)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    edges = next((each for width in widths if len(each := _edges(low, high, width)) <= _MOST_BINS + 1), None)
    if edges is None:
        edges = _edges(low, high, math.ceil((high - low) / (_MOST_BINS - 1)))
    counts = {name: tuple(np.histogram(finite(values), edges)[0].tolist()) for name, values in groups.items()}
    first = next(iter(groups.values()))
    missing = len(first) - len(finite(first))
    not_shown = f"{missing} {why_not_finite} not shown" if missing else ""
    return Histogram(title, unit, tuple(edges), counts, not_shown)


def _edges(low: float, high: float, width: float) -> list[float]:
    """Return the multiples of `width` around a range, rounded: the first is at most `low`, the last above `high`."""
    first, last = math.floor(low / width), math.floor(high / width) + 1
    first -= round(first * width, 6) > low  # 0.3 / 0.1 is less than 3
    last += round(last * width, 6) <= high
    return [round(number * width, 6) for number in range(first, last + 1)]
