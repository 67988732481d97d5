"""The measurements that the report looks at: one number for each clip of the sample. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.report.material import VOICE, Material

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measurements:
    """Each float64 of shape (n,), NaN where there is nothing to measure; −∞ dB is the level of digital silence."""

    duration_seconds: Float64
    peak_dbfs: Float64
    rms_dbfs: Float64
    words: Float64
    f0_median_hz: Float64
    words_per_second: Float64
    speech_share: Float64  # time between the bounds of speech over the duration, 0…1


def measurements(material: Material) -> Measurements:
    """Return the measurements of the clips of the sample, in their order."""
    seconds, peak, rms = (
        np.asarray(material.waveforms[name], dtype=np.float64) for name in ("duration_seconds", "peak_dbfs", "rms_dbfs")
    )
    f0, words, rate, start, end = (np.asarray(material.features[name], dtype=np.float64) for name in VOICE)
    return Measurements(seconds, peak, rms, words, f0, rate, (end - start) / seconds)


def finite(values: Float64) -> Float64:
    """Return the values that are neither NaN nor infinite."""
    return values[np.isfinite(values)]


def median(values: Float64) -> float:
    """Return the median of the finite values, NaN where there are none."""
    known = finite(values)
    return float(np.median(known)) if len(known) else math.nan


def rounded(value: float) -> float | None:
    """Return a number with six decimals, as JSON has it: None in the place of NaN."""
    return None if math.isnan(value) else round(value, 6)
