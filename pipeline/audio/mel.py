"""Mel spectrograms: the level of each mel band over time, from float32 samples. Pure.

The result equals ``librosa.power_to_db(librosa.feature.melspectrogram(...), ref=np.max)`` to within rounding
(tests/audio/test_mel.py compares them), without importing librosa, which takes 3.5 s, and half a minute where
nothing is compiled yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

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
    """Levels over time and frequency.

    Attributes
    ----------
    decibels
        float64 of shape (bands, frames), relative to the loudest of all; from `FLOOR_DB` to 0.
    edges_hertz
        float64 of shape (bands + 1,): where one band's centre is nearer than the next one's; in Hz.
    hop_seconds
        Between the middles of two frames; the first frame is centred on the first sample.
    """

    decibels: Float64
    edges_hertz: Float64
    hop_seconds: float


def mel_spectrogram(waveform: npt.NDArray[np.float32], sample_rate: int) -> Spectrogram:
    """Return the mel spectrogram of a waveform of shape (n,), n ≥ 1, sampled at `sample_rate` Hz.

    Digital silence gives `FLOOR_DB` everywhere.
    """
    window = round(WINDOW_SECONDS * sample_rate) // 2 * 2
    hop = max(1, round(HOP_SECONDS * sample_rate))
    padded = np.pad(waveform.astype(np.float64), window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    mels = np.linspace(0, _to_mel(sample_rate / 2), MELS + 2)
    energy = filters(sample_rate, window, MELS) @ power.T
    loudest = float(energy.max())
    decibels = np.full(energy.shape, FLOOR_DB)
    if loudest > 0:
        decibels = 10 * np.log10(np.maximum(energy / loudest, 10 ** (FLOOR_DB / 10)))
    return Spectrogram(decibels, _to_hertz((mels[:-1] + mels[1:]) / 2), hop / sample_rate)


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
