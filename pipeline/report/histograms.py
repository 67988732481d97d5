"""Histograms: how many clips lie between two round edges. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report import sentences
from pipeline.report.material import Material

_MOST_BINS = 30


@dataclass(frozen=True)
class Histogram:
    """How many clips lie between two edges, of one or two groups.

    Attributes
    ----------
    edges
        One more than there are bins, evenly spaced; a bin holds its lower edge.
    counts
        Of each group, one number for each bin.
    unit
        Of the edges.
    apart
        What no bin can hold, such as −∞ dB: how many, and what they are; empty where there is none.
    """

    key: str
    title: str
    unit: str
    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    apart: str = ""

    def shares(self) -> dict[str, list[float]]:
        """Return the share of each bin among the clips of its group, in percent."""
        return {name: [100 * count / max(1, sum(counts)) for count in counts] for name, counts in self.counts.items()}


def histograms(material: Material) -> tuple[Histogram, ...]:
    """Return durations, levels and lengths of sentences, each in bins of a round width."""
    waveforms = material.waveforms
    peak, rms = (np.asarray(waveforms[column], dtype=np.float64) for column in ("peak_dbfs", "rms_dbfs"))
    silent = int(np.isneginf(rms).sum())
    apart = f"{silent} of digital silence (−∞ dB) not shown" if silent else ""
    words = {"sample": sentences.words(material.sample["text"]), "eligible": sentences.words(material.eligible["text"])}
    uncounted = int(np.isnan(words["sample"]).sum())
    seconds = waveforms["duration_seconds"].to_numpy()
    return (
        histogram("durations", "Duration", "s", {"sample": seconds}, (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 60)),
        histogram("peaks", "Peak level", "dB of full scale", {"sample": peak}, (0.5, 1, 2, 5, 10, 20), apart=apart),
        histogram("levels", "RMS level", "dB of full scale", {"sample": rms}, (0.5, 1, 2, 5, 10, 20), apart=apart),
        histogram(
            "words",
            "Length of a sentence",
            "words",
            words,
            (1, 2, 5, 10, 20, 50, 100),
            apart=f"{uncounted} without a sentence or in a script without spaces not shown" if uncounted else "",
        ),
    )


def histogram(
    key: str,
    title: str,
    unit: str,
    groups: dict[str, npt.NDArray[Any]],
    widths: Sequence[float],
    *,
    apart: str = "",
) -> Histogram:
    """Count the finite values of each group in bins of the first of `widths` that needs no more than 30 bins."""
    finite = {name: values[np.isfinite(values)] for name, values in groups.items()}
    together = np.concatenate([*finite.values(), [] if any(map(len, finite.values())) else [0.0]])
    low, high = float(together.min()), float(together.max())
    edges = next((made for width in widths if len(made := _edges(low, high, width)) <= _MOST_BINS + 1), None)
    if edges is None:
        edges = _edges(low, high, math.ceil((high - low) / (_MOST_BINS - 1)))
    counts = {
        name: np.bincount(np.searchsorted(edges, values, side="right") - 1, minlength=len(edges) - 1)
        for name, values in finite.items()
    }
    return Histogram(
        key,
        title,
        unit,
        tuple(edges),
        {name: tuple(map(int, count)) for name, count in counts.items()},
        apart,
    )


def median_of_finite(values: npt.NDArray[np.float64]) -> float | None:
    """Return the median of the values that are finite, to six digits; None where there are none."""
    finite = values[np.isfinite(values)]
    return round(float(np.median(finite)), 6) if len(finite) else None


def _edges(low: float, high: float, width: float) -> list[float]:
    """Return multiples of `width`, as they are read: the first is not above `low`, the last above `high`."""
    first, last = math.floor(low / width), math.floor(high / width) + 1
    first -= round(first * width, 6) > low  # 0.3 / 0.1 is less than 3
    last += round(last * width, 6) <= high
    return [round(place * width, 6) for place in range(first, last + 1)]
