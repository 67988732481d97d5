"""Sounds with known measurements, and the demo's voices."""

from __future__ import annotations

import zipfile
from functools import cache

import numpy as np
import numpy.typing as npt

from pipeline.audio import decode
from pipeline.core.errors import Rejected
from tests.support.project import DEMO

Float32 = npt.NDArray[np.float32]


def tone(hertz: float, sample_rate: int = 16_000, seconds: float = 1.0) -> Float32:
    """Return a sine at half of full scale."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * times), dtype=np.float32)


def pulses(hertz: float, sample_rate: int = 16_000, seconds: float = 1.0) -> Float32:
    """Return a train of pulses, band-limited as a recording is: all harmonics below half the rate, equally strong."""
    times = np.arange(round(seconds * sample_rate)) / sample_rate
    train = np.zeros(len(times))
    for harmonic in range(1, int(sample_rate / 2 / hertz)):
        train += np.cos(2 * np.pi * hertz * harmonic * times + 0.3)
    return np.asarray(train / np.abs(train).max() / 2, dtype=np.float32)


def noise(seconds: float, level_dbfs: float = -20.0, *, sample_rate: int = 16_000, pink: bool = False) -> Float32:
    """Return Gaussian noise of that level, white or pink: half the power for each octave up."""
    samples = np.random.default_rng(2017).standard_normal(round(seconds * sample_rate))
    if pink:
        spectrum = np.fft.rfft(samples)
        samples = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), len(samples))
    return np.asarray(samples / samples.std() * 10 ** (level_dbfs / 20), dtype=np.float32)


def with_noise(sound: Float32, decibels: float) -> Float32:
    """Return a sound with white noise that is so far below it."""
    level = 10 * np.log10(np.square(sound, dtype=np.float64).mean()) - decibels
    return sound + noise(len(sound) / 16_000, float(level))[: len(sound)]


def with_click(sound: Float32, seconds: float) -> Float32:
    """Return a sound with a millisecond of nearly full scale in it."""
    clicked = sound.copy()
    start = round(seconds * 16_000)
    clicked[start : start + 16] = 0.9 * np.array([1, -1] * 8)
    return clicked


@cache
def demo_voices(count: int) -> tuple[Float32, ...]:
    """Return the first good clips of the demo at 16 kHz, rounded to 16 bit."""
    voices: list[Float32] = []
    with zipfile.ZipFile(DEMO) as archive:
        names = iter(sorted(name for name in archive.namelist() if "cv-valid-test/" in name and name.endswith(".mp3")))
        while len(voices) < count:
            try:
                pcm, _ = decode.to_pcm16(decode.load(archive.read(next(names)), 16_000).waveform)
            except Rejected:
                continue  # planted
            voices.append(pcm.astype(np.float32) / np.float32(32768))
    return tuple(voices)
