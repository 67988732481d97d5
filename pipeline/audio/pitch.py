"""Pitch of voices over time, by autocorrelation. Pure.

The method is Boersma's (1993), "Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise
ratio of a sampled sound", Proceedings of the Institute of Phonetic Sciences 17, 97–110, with the costs that Praat has
by default: the peaks of each frame's autocorrelation, over the window's autocorrelation, are candidates; of all
sequences of candidates, "no voice" among them, the best one is taken. One thing differs from Praat, on purpose: a frame
is silent relative to the level that `_REFERENCE_FRAMES` frames reach, not to the loudest sample, which a click may be.

Frames are computed in float32, clip by clip, and the sequences of many clips side by side. No sum uses BLAS, none
reaches beyond a clip: a clip's pitch is the same bytes whichever clips are computed beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import scipy.fft

from pipeline.audio.logarithms import log2
from pipeline.audio.mel import hann

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

STEP_SECONDS = 0.010
PERIODS = 3  # of the lowest pitch in a window: as few as a Hanning window can do with (Boersma, p. 99)
CANDIDATES = 6  # of a frame, beside "no voice"
VOICING_THRESHOLD = 0.45  # strength of "no voice" in a frame that is not silent
SILENCE_THRESHOLD = 0.03  # amplitude relative to the reference below which a frame is likely silent
OCTAVE_COST = 0.01  # for each octave below the highest pitch
OCTAVE_JUMP_COST = 0.35  # for each octave between two frames
VOICED_UNVOICED_COST = 0.14  # between a frame with a voice and one without

# No candidate is stronger than 1, and to pass through "no voice" instead costs two changes: where that is stronger yet,
# it is on the best path, and no candidates need to be found.
_LEAST_SILENT = 1 + 2 * VOICED_UNVOICED_COST

_REFERENCE_FRAMES = 10
_BLOCK_FRAMES = 256  # what fits in a processor's cache
_LOW_BINS = 16  # of the transform that a constant offset reaches

# From this share of the Nyquist frequency on, the power falls to 0, so that few samples tell what is between them
# (Boersma's step 1, where it falls from .95 on, and 30 samples on either side are taken).
_SOFT_FROM = 0.75
_TAPS = 12  # samples on either side of a peak from which it is interpolated
_PHASES = 64  # places between two samples for which the interpolator is kept
_REFINING = 16  # in phases: half of the stretch over which an interpolated peak is taken for a parabola


@dataclass(frozen=True)
class Pitch:
    """Pitch over time.

    The frame of number k is centred on sample ``k · step``; those whose window would reach beyond the waveform are left
    out. A waveform shorter than a window has no frames.
    """

    hertz: Float64  # of shape (frames,), NaN where there is no voice
    first_frame: int  # the number of the frame that comes first
    step_seconds: float  # between the middles of two frames

    @property
    def seconds(self) -> Float64:
        """Times of the frames, float64 of shape (frames,)."""
        return np.arange(self.first_frame, self.first_frame + len(self.hertz), dtype=np.float64) * self.step_seconds

    def voiced(self, frames: int) -> npt.NDArray[np.bool_]:
        """Return whether there is a voice in each of the waveform's `frames` frames, those left out here too."""
        flags = np.zeros(frames, dtype=np.bool_)
        flags[self.first_frame : self.first_frame + len(self.hertz)] = ~np.isnan(self.hertz)
        return flags


def pitches(waveforms: Sequence[Float32], sample_rate: int, f0_hz: tuple[float, float]) -> list[Pitch]:
    """Return the pitch of each waveform of shape (n,), n ≥ 0, looked for between two frequencies in Hz."""
    analysis = _analysis(sample_rate, *f0_hz)
    candidates = [_candidates(waveform, analysis) for waveform in waveforms]
    step_seconds = analysis.step / sample_rate
    return [Pitch(path, analysis.first_frame, step_seconds) for path in _best_paths(candidates)]


@dataclass(frozen=True)
class _Analysis:
    """What the analysis of a frame takes, which depends on the sample rate and the range of pitch only."""

    sample_rate: int
    lowest_hz: float
    highest_hz: float
    step: int  # samples between two frames
    length: int  # samples of a frame, even
    transform: int  # samples of the transform: a frame and its lags without wrapping round
    window: Float32
    offset: npt.NDArray[np.complex64]  # lowest frequencies of the window's transform, 1 at frequency 0
    soft: Float32  # weights of the power at each frequency
    lags: tuple[int, int]  # first and last at which a peak may be
    correction: Float32  # one over the autocorrelation of the window, for lags 0…lags[1] + _TAPS + 1

    @property
    def first_frame(self) -> int:
        return -(-self.length // 2 // self.step)


@lru_cache
def _analysis(sample_rate: int, lowest_hz: float, highest_hz: float) -> _Analysis:
    length = math.ceil(PERIODS * sample_rate / lowest_hz) // 2 * 2
    lags = max(2, math.floor(sample_rate / highest_hz)), math.ceil(sample_rate / lowest_hz)
    kept = lags[1] + _TAPS + 2
    transform = 2 * scipy.fft.next_fast_len(-(-(length + kept) // 2), real=True)
    window = hann(length, 0.5)
    spectrum = scipy.fft.rfft(window, transform)
    correlation = scipy.fft.irfft(np.square(spectrum.real) + np.square(spectrum.imag), transform)[:kept]
    nyquist = np.linspace(0, 1, transform // 2 + 1)
    return _Analysis(
        sample_rate,
        lowest_hz,
        highest_hz,
        max(1, round(STEP_SECONDS * sample_rate)),
        length,
        transform,
        window.astype(np.float32),
        (spectrum[:_LOW_BINS] / spectrum[0].real).astype(np.complex64),
        np.minimum(1, (1 - nyquist) / (1 - _SOFT_FROM)).astype(np.float32),
        lags,
        (correlation[0] / correlation).astype(np.float32),
    )


@dataclass(frozen=True)
class _Candidates:
    """What a clip's frames may be: each of shape (1 + CANDIDATES, frames).

    The first candidate is "no voice", of 0 Hz. Where there are fewer than `CANDIDATES`, the others have a strength of
    −inf.
    """

    hertz: Float64
    strength: Float64


def _candidates(waveform: Float32, analysis: _Analysis) -> _Candidates:
    first, step, length = analysis.first_frame, analysis.step, analysis.length
    count = max(0, (len(waveform) - (length - length // 2)) // step - first + 1)
    hertz = np.zeros((1 + CANDIDATES, count))
    strength = np.full((1 + CANDIDATES, count), -np.inf)
    if count:
        centred = waveform - waveform.mean(dtype=np.float64).astype(np.float32)
        starts = first * step - length // 2
        frames = np.lib.stride_tricks.sliding_window_view(centred, length)[starts::step][:count]
        strength[0] = _unvoiced_strength(centred, count, analysis)
        audible = np.flatnonzero(strength[0] <= _LEAST_SILENT)
        for at in range(0, len(audible), _BLOCK_FRAMES):
            block = audible[at : at + _BLOCK_FRAMES]
            frame, place, found, height = _peaks(frames[block], analysis)
            hertz[1 + place, block[frame]] = found
            strength[1 + place, block[frame]] = height
    return _Candidates(hertz, strength)


def _unvoiced_strength(centred: Float32, frames: int, analysis: _Analysis) -> Float64:
    """Return the strength of "no voice" in each frame, which rises where a frame is silent."""
    period = analysis.lags[1] // 2 * 2
    start = analysis.first_frame * analysis.step - period // 2
    around = np.lib.stride_tricks.sliding_window_view(np.abs(centred), period)[start :: analysis.step][:frames]
    peaks = around.max(axis=1).astype(np.float64)
    reference = np.sort(peaks)[-min(len(peaks), _REFERENCE_FRAMES)]
    loudness = np.minimum(peaks / reference, 1) if reference else np.zeros(frames)
    silence = 2 - loudness * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD
    return VOICING_THRESHOLD + np.maximum(0, silence)


def _autocorrelations(frames: Float32, analysis: _Analysis) -> Float32:
    """Return the autocorrelation of each frame (frames, lags), 1 at lag 0; 0 everywhere in digital silence."""
    padded = np.zeros((len(frames), analysis.transform), dtype=np.float32)
    np.multiply(frames, analysis.window, out=padded[:, : analysis.length])
    spectrum = scipy.fft.rfft(padded)
    spectrum[:, :_LOW_BINS] -= spectrum[:, :1].real * analysis.offset  # the mean of a frame is no part of its period
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    power *= analysis.soft
    # The inverse transform of what is real and even is a cosine transform, of half as many numbers.
    correlation: Float32 = scipy.fft.dct(power, type=1, overwrite_x=True)[:, : len(analysis.correction)]
    energy = correlation[:, :1]
    corrected = correlation * analysis.correction
    corrected *= np.divide(1, energy, out=np.zeros_like(energy), where=energy > 0)
    return corrected


def _peaks(frames: Float32, analysis: _Analysis) -> tuple[Int64, Int64, Float64, Float64]:
    """Return the candidates of frames: number of the frame, place among its candidates, frequency in Hz, strength."""
    correlation = _autocorrelations(frames, analysis)
    low, high = analysis.lags
    here = correlation[:, low : high + 1]
    before, after = correlation[:, low - 1 : high], correlation[:, low + 1 : high + 2]
    frame, lag = np.nonzero((here > VOICING_THRESHOLD / 2) & (here > before) & (here >= after))
    exact, height = _interpolated(correlation, frame, lag + low)
    found = analysis.sample_rate / exact
    inside = (found >= analysis.lowest_hz) & (found <= analysis.highest_hz)
    frame, found, height = frame[inside], found[inside], height[inside]
    height = np.where(height > 1, 1 / height, height)
    strength = height - OCTAVE_COST * log2(analysis.highest_hz / found)
    best_first = np.lexsort((-strength, frame))
    frame, found, strength = frame[best_first], found[best_first], strength[best_first]
    place = np.arange(len(frame)) - np.searchsorted(frame, frame)
    kept = place < CANDIDATES
    return frame[kept], place[kept], found[kept], strength[kept]


def _interpolated(correlation: Float32, frame: Int64, lag: Int64) -> tuple[Float64, Float64]:
    """Return lag and height of peaks between the samples, by a windowed sinc at three places about each of them.

    A parabola through three samples would cut off a sharp peak, and so prefer a multiple of its lag (Boersma, p. 100).
    """
    taps = correlation[frame[:, None], np.abs(lag[:, None] + np.arange(-_TAPS, _TAPS + 1))].astype(np.float64)
    left, top, right = taps[:, _TAPS - 1], taps[:, _TAPS], taps[:, _TAPS + 1]
    middle = np.rint(_PHASES * _vertex(left, top, right)).astype(np.int64)
    weights = _interpolators()
    left, top, right = (
        (taps * weights[middle + shift + _PHASES + _REFINING]).sum(axis=1) for shift in (-_REFINING, 0, _REFINING)
    )
    vertex = _vertex(left, top, right)
    height = top + 0.25 * (right - left) * vertex
    return lag + (middle + _REFINING * vertex) / _PHASES, height


def _vertex(left: Float64, top: Float64, right: Float64) -> Float64:
    """Return where a parabola through three points at −1, 0 and 1 has its peak, within −1…1."""
    curvature = 2 * top - left - right
    slope = (right - left) / 2
    return np.clip(np.divide(slope, curvature, out=np.zeros_like(top), where=curvature > 0), -1, 1)


@lru_cache
def _interpolators() -> Float64:
    """Return the weights of taps for each place between two samples, −1…1: (2 · _PHASES + 1, taps) and some beyond."""
    places = np.arange(-_PHASES - _REFINING, _PHASES + _REFINING + 1) / _PHASES
    distance = np.arange(-_TAPS, _TAPS + 1) - places[:, None]
    taper = np.square(np.cos(np.pi / 2 * np.clip(distance / (_TAPS + 1), -1, 1)))
    return np.sinc(distance) * taper


def _best_paths(clips: Sequence[_Candidates]) -> list[Float64]:
    """Return the frequencies of each clip's best sequence of candidates, NaN for "no voice", by Viterbi's algorithm.

    The clips go side by side, longest first, so that those that still have a frame of number t are the first ones. What
    is stored of frame t of all of them stands together.
    """
    longest_first = sorted(range(len(clips)), key=lambda clip: -clips[clip].hertz.shape[1])
    lengths = np.array([clips[clip].hertz.shape[1] for clip in longest_first], dtype=np.int64)
    frames = int(lengths.max(initial=0))
    active = [int(np.count_nonzero(lengths > time)) for time in range(frames)]
    starts = list(accumulate(active, initial=0))
    hertz, total = (np.empty((1 + CANDIDATES, starts[-1])) for _ in range(2))
    where = [np.array(starts[: lengths[place]], dtype=np.int64) + place for place in range(len(clips))]
    for place, clip in enumerate(longest_first):
        hertz[:, where[place]] = clips[clip].hertz
        total[:, where[place]] = clips[clip].strength
    octaves: Float64 = OCTAVE_JUMP_COST * log2(np.maximum(hertz, 1))
    stretches = [slice(start, start + count) for start, count in zip(starts, active, strict=False)]
    for time in range(1, frames):
        here, before = stretches[time], slice(starts[time - 1], starts[time - 1] + active[time])
        total[:, here] += _best_reached(total[:, before], octaves[:, before], octaves[:, here])
    chosen = np.zeros(starts[-1], dtype=np.int64)
    for time in reversed(range(frames)):
        here, count = stretches[time], active[time + 1] if time + 1 < frames else 0
        score = total[:, here].copy()
        if count:
            after = slice(starts[time + 1], starts[time + 1] + count)
            score[:, :count] -= _costs_of_reaching(octaves[:, here][:, :count], octaves[:, after], chosen[after])
        chosen[here] = score.argmax(axis=0)
    best = hertz[chosen, np.arange(starts[-1])]
    best[chosen == 0] = np.nan
    paths = {clip: best[where[place]] for place, clip in enumerate(longest_first)}
    return [paths[clip] for clip in range(len(clips))]


def _best_reached(total: Float64, octaves: Float64, next_octaves: Float64) -> Float64:
    """Return the best score with which each candidate of the next frame is reached, all (candidates, clips)."""
    reached = np.empty_like(next_octaves)
    jumps = np.abs(octaves[1:, None] - next_octaves[None, 1:])
    np.subtract(total[1:, None], jumps, out=jumps)
    voiced = jumps.max(axis=0)
    np.maximum(voiced, total[0] - VOICED_UNVOICED_COST, out=reached[1:])
    np.maximum(total[0], total[1:].max(axis=0) - VOICED_UNVOICED_COST, out=reached[0])
    return reached


def _costs_of_reaching(octaves: Float64, next_octaves: Float64, chosen: Int64) -> Float64:
    """Return what it costs each candidate to be followed by the one `chosen` of the next frame, (candidates, clips)."""
    voiced = chosen > 0
    costs = np.abs(octaves - next_octaves[chosen, np.arange(len(chosen))])
    costs[0] = np.where(voiced, VOICED_UNVOICED_COST, 0)
    costs[1:, ~voiced] = VOICED_UNVOICED_COST
    return costs
