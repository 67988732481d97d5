"""Voices: pitch by label, speaking rate, share of speech, and the outliers. Pure.

All of it comes from the table of features; docs/features.md says how each number is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.report.comparison import MISSING
from pipeline.report.histograms import Histogram, histogram
from pipeline.report.measurements import Float64, Measurements, finite, median, rounded

ALL = "all clips"  # the group of each clip where no column is the label

_MOST_GROUPS = 9  # shown one by one; rarer ones are put together
_LEAST_VOICES = 10  # of a group; a clip of a group with fewer is compared with all clips

Names = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Group:
    """The voices of the clips with one label."""

    name: str
    clips: int
    voiced: int  # those in which a voice was found
    f0_quartiles_hz: tuple[float, ...] | None  # of the clips' median pitch; None without a voiced clip
    words_per_second: float | None  # median; None where nothing was measured
    speech_share: float | None  # median, in 0…1; None likewise


@dataclass(frozen=True)
class Outlier:
    """A clip at the end of a distribution: of which, how far from the others, and its place in the sample."""

    kind: str
    distance: str
    place: int


@dataclass(frozen=True)
class Voices:
    """What the section on voices shows."""

    groups: tuple[Group, ...]  # by label, the most frequent first, those whose label is missing last
    pitch: tuple[Histogram, ...]  # for each of `groups`, all with the same edges
    histograms: tuple[Histogram, ...]  # speaking rate and share of speech of all, each where anything was measured
    outliers: tuple[Outlier, ...]  # at most one of each of six kinds; none where all clips are alike


def metrics(measured: Measurements, labels: Names, population: Counter[str]) -> dict[str, Any]:
    """Return medians over clips, null where nothing was measured.

    ``f0_median_hz`` is the median of the clips' median pitch; ``f0_median_hz_by_label`` that of the clips with each of
    the nine labels that are the most frequent in the population, so that its keys are the same for every sample.
    """
    names = sorted(_most_frequent(population)[:_MOST_GROUPS])
    return {
        "f0_median_hz": rounded(median(measured.f0_median_hz)),
        "f0_median_hz_by_label": {name: rounded(median(measured.f0_median_hz[labels == name])) for name in names},
        "speech_share_median": rounded(median(measured.speech_share)),
        "clips_without_voice": int(np.isnan(measured.f0_median_hz).sum()),
    }


def summarise(measured: Measurements, labels: Names) -> Voices:
    """Count what the section on voices shows, of the clips of the sample; a missing label is `MISSING`."""
    groups = []
    pitch = []
    for name, values in _group(labels).items():
        mask = np.isin(labels, values)
        f0_hz = measured.f0_median_hz[mask]
        voiced = finite(f0_hz)
        groups.append(
            Group(
                name,
                len(f0_hz),
                len(voiced),
                tuple(np.percentile(voiced, (25, 50, 75)).tolist()) if len(voiced) else None,
                rounded(median(measured.words_per_second[mask])),
                rounded(median(measured.speech_share[mask])),
            )
        )
        each, widths, together = {"sample": f0_hz}, (5, 10, 20, 25, 50, 100), measured.f0_median_hz
        pitch.append(histogram(f"Pitch, {name}", "Hz", each, widths, "without a voice", together=together))
    histograms = []
    if len(finite(measured.words_per_second)):
        unit, rate_widths = "words per second of speech", (0.1, 0.2, 0.25, 0.5, 1, 2, 5)
        rate = {"sample": measured.words_per_second}
        histograms.append(histogram("Speaking rate", unit, rate, rate_widths, "without speech or a count of words"))
    if len(finite(measured.speech_share)):
        share = {"sample": 100 * measured.speech_share}
        histograms.append(histogram("Share of speech", "% of the clip", share, (1, 2, 5, 10), "without speech"))
    return Voices(tuple(groups), tuple(pitch), tuple(histograms), _outliers(measured, labels))


def _most_frequent(counts: Counter[str]) -> list[str]:
    return sorted(counts.keys() - {MISSING}, key=lambda name: (-counts[name], name))


def _group(labels: Names) -> dict[str, list[str]]:
    """Return which labels each group of the section holds: the most frequent first, a missing one last."""
    counts = Counter(labels.tolist())
    known = _most_frequent(counts)
    frequent, rare = known[:_MOST_GROUPS], known[_MOST_GROUPS:]
    groups = {name: [name] for name in (frequent if len(rare) > 1 else known)}
    if len(rare) > 1:
        groups[f"{len(rare)} others"] = rare
    if counts[MISSING]:
        groups[MISSING] = [MISSING]
    return groups


def _outliers(measured: Measurements, labels: Names) -> tuple[Outlier, ...]:
    """Return the outliers; of equal ones the first of the ranking.

    Pitch is compared with the median of its label, in octaves, since that is how pitch is heard. A clip no further out
    than the median is no outlier: a sample of one has none.
    """
    f0_hz, rate, share = measured.f0_median_hz, measured.words_per_second, measured.speech_share
    median_hz = np.full(len(f0_hz), median(f0_hz))
    reference = np.full(len(f0_hz), ALL, dtype=object)
    for name in set(labels.tolist()):
        mask = labels == name
        if len(finite(f0_hz[mask])) >= _LEAST_VOICES:
            median_hz[mask], reference[mask] = median(f0_hz[mask]), name
    octaves = np.log2(f0_hz / median_hz)
    median_rate, median_share = median(rate), median(share)

    def pitch(place: int) -> str:
        return f"{_hertz(f0_hz[place])}; the median of {reference[place]} is {_hertz(median_hz[place])}"

    def speed(place: int) -> str:
        return f"{rate[place]:.1f} words per second; the median is {median_rate:.1f}"

    def speech(place: int) -> str:
        return f"{share[place]:.0%} of the clip; the median is {median_share:.0%}"

    kinds: tuple[tuple[str, Float64, Callable[[int], str]], ...] = (
        ("Lowest pitch", -octaves, pitch),
        ("Highest pitch", octaves, pitch),
        ("Slowest speech", median_rate - rate, speed),
        ("Fastest speech", rate - median_rate, speed),
        ("Least speech", median_share - share, speech),
    )
    outliers = []
    for kind, distances, describe in kinds:
        known = np.nan_to_num(distances, nan=0.0)
        place = int(known.argmax()) if len(known) else 0
        if len(known) and known[place] > 0:
            outliers.append(Outlier(kind, describe(place), place))
    voiceless = np.flatnonzero(np.isnan(f0_hz)).tolist()
    if voiceless:
        count = "the only such clip" if len(voiceless) == 1 else f"the first of {len(voiceless):,} such clips"
        outliers.append(Outlier("No voice found", count, voiceless[0]))
    return tuple(outliers)


def _hertz(value: float) -> str:
    return f"{value:,.0f}\N{NO-BREAK SPACE}Hz"
