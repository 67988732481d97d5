"""Mel spectrograms: windowed frames, their power, and its sum in each mel band. Pure.

They equal librosa's to within rounding (tests/audio/test_mel.py compares them), without importing librosa, which takes
3.5 s, and half a minute where nothing is compiled yet. Sums use no BLAS, so that the number of threads changes no byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import scipy.fft

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Floats = TypeVar("Floats", Float32, Float64)

WINDOW_SECONDS = 0.032  # 512 samples at 16 kHz: harmonics of a voice are resolved, syllables stay apart
HOP_SECONDS = 0.008
MELS = 96
FLOOR_DB = -80.0  # below the loudest band, as librosa's `top_db`

# Slaney's Auditory Toolbox (1998), as in librosa: linear below 1 kHz, 27 steps for each factor of 6.4 above.
_HERTZ_PER_MEL = 200 / 3
_KNEE_HERTZ = 1000.0
_KNEE_MEL = _KNEE_HERTZ / _HERTZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


@dataclass(frozen=True)
class Spectrogram:
    """Levels over time and frequency."""

    decibels: Float64  # of shape (bands, frames), relative to the loudest of all; from `FLOOR_DB` to 0
    edges_hertz: Float64  # of shape (bands + 1,): where one band's centre is nearer than the next one's
    hop_seconds: float  # between the middles of two frames; the first one is centred on the first sample


def mel_spectrogram(waveform: npt.NDArray[np.float32], sample_rate: int) -> Spectrogram:
    """Return the mel spectrogram of a waveform of shape (n,), n ≥ 1, sampled at `sample_rate` Hz.

    Digital silence gives `FLOOR_DB` everywhere.
    """
    window = round(WINDOW_SECONDS * sample_rate) // 2 * 2
    hop = max(1, round(HOP_SECONDS * sample_rate))
    energy = band_energies(power(frames(waveform.astype(np.float64), window, hop)), sample_rate, MELS).T
    loudest = float(energy.max())
    decibels = np.full(energy.shape, FLOOR_DB)
    if loudest > 0:
        decibels = 10 * np.log10(np.maximum(energy / loudest, 10 ** (FLOOR_DB / 10)))
    mels = np.linspace(0, _to_mel(sample_rate / 2), MELS + 2)
    return Spectrogram(decibels, _to_hertz((mels[:-1] + mels[1:]) / 2), hop / sample_rate)


def frames(waveform: Floats, window: int, hop: int, padding: str = "constant") -> Floats:
    """Return overlapping frames (frames, window) of a waveform (n,); the first is centred on the first sample.

    `padding` is the mode in which `numpy.pad` continues the waveform before and after.
    """
    padded = np.pad(waveform, window // 2, padding)  # type: ignore[call-overload]
    framed: Floats = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    return framed


def power(frames: Floats) -> Floats:
    """Return the power spectrum (frames, window // 2 + 1) of frames (frames, window) under a Hann window."""
    spectrum = scipy.fft.rfft(frames * hann(frames.shape[1]).astype(frames.dtype))
    power: Floats = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    return power


def band_energies(power: Floats, sample_rate: int, bands: int) -> Float64:
    """Return the power in each mel band, float64 of (frames, bands), of a power spectrum (frames, frequencies)."""
    energies = np.zeros((len(power), bands))
    for numbers, weights, starts in _alternate_bands(sample_rate, 2 * (power.shape[1] - 1), bands):
        energies[:, numbers] = np.add.reduceat(power * weights.astype(power.dtype), starts, axis=1)
    return energies


@lru_cache
def hann(window: int, offset: float = 0) -> Float64:
    """Return a periodic Hann window of shape (window,); with an offset of 0.5 it is symmetric."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(window) + offset) / window)


@lru_cache
def _alternate_bands(sample_rate: int, window: int, mels: int) -> list[tuple[Int64, Float64, Int64]]:
    """Return the even and the odd mel bands: numbers, weights of all frequencies, and where each band starts.

    A band ends where the next but one begins, so that one row of weights holds half of the bands, and sums over
    stretches of it take the place of a product with a matrix. A band that holds no frequency is left out.
    """
    triangles = filters(sample_rate, window, mels)
    halves = []
    for parity in (0, 1):
        bands = np.arange(parity, mels, 2)
        bands = bands[triangles[bands].any(axis=1)]
        halves.append((bands, triangles[bands].sum(axis=0), (triangles[bands] > 0).argmax(axis=1)))
    return [half for half in halves if len(half[0])]


def filters(sample_rate: int, window: int, mels: int) -> Float64:
    """Return `mels` triangles of equal area over the frequencies of an FFT: float64 of (mels, window // 2 + 1)."""
    corners = _to_hertz(np.linspace(0, _to_mel(sample_rate / 2), mels + 2))
    frequencies = np.fft.rfftfreq(window, 1 / sample_rate)
    widths = np.diff(corners)
    ramps = corners[:, None] - frequencies
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (corners[2:] - corners[:-2]))[:, None]


def _to_mel(hertz: float) -> float:
    if hertz < _KNEE_HERTZ:
        return hertz / _HERTZ_PER_MEL
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HERTZ) / _LOG_STEP)


def _to_hertz(mels: Float64) -> Float64:
    above = _KNEE_HERTZ * np.exp(_LOG_STEP * np.maximum(mels - _KNEE_MEL, 0))
    return np.where(mels < _KNEE_MEL, mels * _HERTZ_PER_MEL, above)
