"""Measurements of clips: waveforms and their words → rows of the table. Pure.

A clip's numbers do not depend on the clips that are measured together with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.audio import pitch, spectrum, speech
from pipeline.core.words import word_count
from pipeline.views.features import columns

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Numbers = dict[str, float | int | None]


def measure(
    waveforms: Sequence[Float32], sample_rate: int, texts: Sequence[str | None], f0_hz: tuple[float, float]
) -> pa.Table:
    """Return `columns.MEASURED`, a row for each clip.

    Null where there is nothing to measure: pitch without a voiced frame (and the share of voiced frames in a clip
    shorter than three periods of the lowest pitch), the spectrum of digital silence, bounds without speech, words
    without a text or in a script without spaces.

    Parameters
    ----------
    waveforms
        float32 of shape (n,), n ≥ 0, nominally in −1…1 (lossy formats may exceed it).
    sample_rate
        In Hz, `schema.LEAST_SAMPLE_RATE` or more.
    texts
        The words that are said in each clip.
    f0_hz
        Range of the pitch search.
    """
    rows = []
    for waveform, text, pitches in zip(waveforms, texts, pitch.pitches(waveforms, sample_rate, f0_hz), strict=True):
        frames = spectrum.analyse(waveform, sample_rate)
        row = {**_of_pitch(pitches), **_of_frames(frames, silent=not waveform.any())}
        bounds = speech.bounds(frames.mel_db, pitches.voiced(len(frames.rms)), pitches.step_seconds)
        rows.append({**row, **_of_speech(bounds, text)})
    return pa.Table.from_pylist(rows, schema=columns.MEASURED)


def _of_pitch(pitches: pitch.Pitch) -> Numbers:
    voiced = pitches.hertz[~np.isnan(pitches.hertz)]
    numbers: Numbers = {"voiced_fraction": len(voiced) / len(pitches.hertz) if len(pitches.hertz) else None}
    if len(voiced):
        numbers |= {"f0_mean_hz": voiced.mean(), "f0_std_hz": voiced.std()}
        p05, median, p95 = np.quantile(voiced, (0.05, 0.5, 0.95))
        numbers |= {"f0_p05_hz": p05, "f0_median_hz": median, "f0_p95_hz": p95}
    return numbers


def _of_frames(frames: spectrum.Frames, *, silent: bool) -> Numbers:
    """Return mean and standard deviation over the frames; for silence, only of values that need no spectrum."""
    measured = {"rms": frames.rms, "zcr": frames.zcr}
    if not silent:
        measured |= {f"mfcc_{number:02}": frames.mfcc[:, number] for number in range(spectrum.MFCCS)}
        measured |= {"flatness": frames.flatness, "centroid_hz": frames.centroid_hz}
        measured |= {"bandwidth_hz": frames.bandwidth_hz, "rolloff_hz": frames.rolloff_hz}
    table = np.stack(list(measured.values()), axis=1)
    statistics = {"mean": table.mean(axis=0).tolist(), "std": table.std(axis=0).tolist()}
    return {
        "_".join([name.removesuffix("_hz"), statistic] + ["hz"] * name.endswith("_hz")): value
        for statistic, values in statistics.items()
        for name, value in zip(measured, values, strict=True)
    }


def _of_speech(bounds: tuple[float, float] | None, text: str | None) -> Numbers:
    words = word_count(text)
    numbers: Numbers = {"words": words}
    if bounds:
        start, end = bounds
        numbers |= {"speech_start_seconds": start, "speech_end_seconds": end}
        if words is not None:
            numbers["words_per_second"] = words / (end - start)
    return numbers
