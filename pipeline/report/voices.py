"""Voices: pitch by gender, speaking rate, share of speech, and the clips that are furthest out. Pure.

All of it is read off the table of features; docs/features.md says how each number is measured.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.core import schema
from pipeline.report import comparison
from pipeline.report.histograms import Histogram, histogram, median_of_finite
from pipeline.report.material import VOICE, Material

_MOST_GENDERS = 4  # shown one by one; what is rarer is put together
_LEAST_VOICES = 10  # of a gender; a clip of one that has fewer is compared with all

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Gender:
    """The voices of one gender, as speakers said it of themselves.

    Attributes
    ----------
    clips, voiced
        Clips, and those in which a voice was found.
    f0_quartiles_hz
        Quartiles of the median pitch of each of these, in Hz; None where there is none.
    words_per_second, speech_share
        Medians, the second in 0…1; None where nothing was measured.
    """

    name: str
    clips: int
    voiced: int
    f0_quartiles_hz: tuple[float, float, float] | None
    words_per_second: float | None
    speech_share: float | None


@dataclass(frozen=True)
class Outlier:
    """A clip that is furthest out: in what, how far, and its place in the sample."""

    what: str
    how_far: str
    place: int


@dataclass(frozen=True)
class Voices:
    """What the section on voices shows.

    Attributes
    ----------
    genders
        The most frequent first, those of unknown gender last.
    pitch
        A histogram for each of `genders`, all with the same edges.
    histograms
        Speaking rate and share of speech of the whole sample.
    outliers
        At most one for each of six ways to be furthest out; none where all clips are alike.
    """

    genders: tuple[Gender, ...]
    pitch: tuple[Histogram, ...]
    histograms: tuple[Histogram, ...]
    outliers: tuple[Outlier, ...]


@dataclass(frozen=True)
class _Measured:
    """One number for each clip, float64 of shape (n,), NaN where nothing was measured; and its gender."""

    f0_hz: Float64
    words_per_second: Float64
    speech_share: Float64
    gender: npt.NDArray[np.object_]


def metrics(material: Material) -> dict[str, Any]:
    """Return medians over clips, null where nothing was measured; the keys are the same for every sample.

    ``f0_median_hz`` is the median of the clips' median pitch; with a gender behind it, of the clips of that gender.
    """
    measured = _measured(material)
    of_gender = {name: measured.f0_hz[measured.gender == name] for name in sorted(schema.VOCABULARY["gender"])}
    return {
        "f0_median_hz": median_of_finite(measured.f0_hz),
        **{f"f0_median_hz_{name}": median_of_finite(values) for name, values in of_gender.items()},
        "words_per_second_median": median_of_finite(measured.words_per_second),
        "speech_share_median": median_of_finite(measured.speech_share),
        "clips_without_voice": int(np.isnan(measured.f0_hz).sum()),
    }


def summarise(material: Material) -> Voices:
    """Count what the section on voices shows."""
    measured = _measured(material)
    genders = _genders(measured.gender)
    rate, share = measured.words_per_second, 100 * measured.speech_share
    return Voices(
        genders=tuple(_gender(name, measured, mask) for name, mask in genders.items()),
        pitch=_pitch(measured, genders),
        histograms=(
            histogram(
                "speaking_rate",
                "Speaking rate",
                "words per second of speech",
                {"sample": rate},
                (0.1, 0.2, 0.25, 0.5, 1, 2, 5),
                apart=_without(rate, "without speech or a sentence"),
            ),
            histogram(
                "speech_share",
                "Share of speech",
                "% of the clip",
                {"sample": share},
                (1, 2, 5, 10),
                apart=_without(share, "without speech"),
            ),
        ),
        outliers=_outliers(measured),
    )


def _measured(material: Material) -> _Measured:
    f0_hz, rate, start, end = (np.asarray(material.features[name], dtype=np.float64) for name in VOICE)
    seconds = material.waveforms["duration_seconds"].to_numpy()
    return _Measured(f0_hz, rate, (end - start) / seconds, comparison.named(material.sample["gender"]).to_numpy())


def _genders(names: npt.NDArray[np.object_]) -> dict[str, Mask]:
    """Return which clips are of each gender, the most frequent first, a missing one last; rare ones are one."""
    counts = Counter(names.tolist())
    order = sorted(counts, key=lambda name: (name == comparison.MISSING, -counts[name], name))
    masks: dict[str, Mask] = {name: names == name for name in order}
    rare = [name for name in order if name != comparison.MISSING][_MOST_GENDERS - 1 :]
    if len(rare) < 2:
        return masks
    together = np.logical_or.reduce([masks[name] for name in rare])
    kept = {name: mask for name, mask in masks.items() if name not in rare}
    missing = kept.pop(comparison.MISSING, None)
    return {**kept, f"{len(rare)} others": together, **({} if missing is None else {comparison.MISSING: missing})}


def _gender(name: str, measured: _Measured, mask: Mask) -> Gender:
    f0_hz = measured.f0_hz[mask & np.isfinite(measured.f0_hz)]
    quartiles = np.percentile(f0_hz, (25, 50, 75)).tolist() if len(f0_hz) else None
    return Gender(
        name,
        int(mask.sum()),
        len(f0_hz),
        (quartiles[0], quartiles[1], quartiles[2]) if quartiles else None,
        median_of_finite(measured.words_per_second[mask]),
        median_of_finite(measured.speech_share[mask]),
    )


def _pitch(measured: _Measured, genders: dict[str, Mask]) -> tuple[Histogram, ...]:
    """Return a histogram for each gender; those of all are made together, so that their edges are the same."""
    groups = {name: measured.f0_hz[mask] for name, mask in genders.items()}
    whole = histogram("pitch", "Pitch", "Hz", groups, (5, 10, 20, 25, 50, 100))
    return tuple(
        replace(
            whole,
            title=f"Pitch, {name}",
            counts={"sample": counts},
            apart=_without(groups[name], "without a voice"),
        )
        for name, counts in whole.counts.items()
    )


def _without(values: Float64, what: str) -> str:
    missing = int(np.isnan(values).sum())
    return f"{missing} {what} not shown" if missing else ""


def _outliers(measured: _Measured) -> tuple[Outlier, ...]:
    """Return the clips that are furthest out; of equal ones the first of the ranking.

    Pitch is compared with the median of the clip's gender, in octaves, since that is how pitch is heard. A clip that is
    no further out than the median is none: in a sample of one there are none.
    """
    usual_hz = np.full(len(measured.f0_hz), _median(measured.f0_hz))
    usual_of = np.full(len(measured.f0_hz), "all clips", dtype=object)
    for name in set(measured.gender.tolist()):
        of_gender = measured.gender == name
        if np.isfinite(measured.f0_hz[of_gender]).sum() >= _LEAST_VOICES:
            usual_hz[of_gender] = _median(measured.f0_hz[of_gender])
            usual_of[of_gender] = name
    octaves = np.log2(measured.f0_hz / usual_hz)
    rate, share = measured.words_per_second, measured.speech_share
    usual_rate, usual_share = _median(rate), _median(share)

    def pitch(place: int) -> str:
        return f"{_hertz(measured.f0_hz[place])}; the median of {usual_of[place]} is {_hertz(usual_hz[place])}"

    def speed(place: int) -> str:
        return f"{rate[place]:.1f} words per second; the median is {usual_rate:.1f}"

    def spoken(place: int) -> str:
        return f"{share[place]:.0%} of the clip; the median is {usual_share:.0%}"

    ways = (
        ("Lowest pitch", -octaves, pitch),
        ("Highest pitch", octaves, pitch),
        ("Slowest speech", usual_rate - rate, speed),
        ("Fastest speech", rate - usual_rate, speed),
        ("Least speech", usual_share - share, spoken),
    )
    found = []
    for what, distance, how_far in ways:
        known = np.nan_to_num(distance, nan=0.0)
        place = int(known.argmax()) if len(known) else 0
        if len(known) and known[place] > 0:
            found.append(Outlier(what, how_far(place), place))
    silent = np.flatnonzero(np.isnan(measured.f0_hz))
    if len(silent):
        said = "one of one clip" if len(silent) == 1 else f"one of {len(silent):,} such clips"
        found.append(Outlier("No voice found", said, int(silent[0])))
    return tuple(found)


def _hertz(value: float) -> str:
    return f"{value:.0f}\N{NO-BREAK SPACE}Hz"


def _median(values: Float64) -> float:
    """Return the median of the finite values, NaN where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan
