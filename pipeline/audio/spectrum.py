"""Measurements of a waveform's short-term spectra, frame by frame: MFCCs, shape, zero crossings, level. Pure.

Each measurement is defined as in librosa 0.11, whose functions give the same when they are called with the same frames
(tests/audio/test_spectrum.py compares them). Unlike librosa's, sums use no BLAS and logarithms are this package's own:
the bytes do not depend on the number of threads, nor on which kernels a processor has. One transform of a frame serves
all measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft

from pipeline.audio import mel
from pipeline.audio.logarithms import exp2, log2

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

WINDOW_SECONDS = 0.032  # 512 samples at 16 kHz: two or three periods of a voice
HOP_SECONDS = 0.010  # 160 samples at 16 kHz
MEL_BANDS = 40  # as many as 512 samples at 16 kHz resolve: each of them holds a frequency of the transform
MFCCS = 20
ROLLOFF = 0.85  # of the magnitudes of a frame lie below its rolloff frequency
TOP_DB = 80.0  # a clip's band levels are cut this far below its highest

_AMIN = 1e-10  # power below which a level is not told from silence, as in librosa
_SILENT = 1e-10  # a sample no further from 0 has no sign, as in librosa
_DB_PER_OCTAVE = 10 * math.log10(2)
_MANTISSAS = 1000  # whose product is less than 2**1000, and so a number
_BLOCK_FRAMES = 256  # what fits in a processor's cache


@dataclass(frozen=True)
class Frames:
    """Measurements of a waveform's frames, the first of which is centred on the first sample.

    `mel_db` has the shape (frames, MEL_BANDS), `mfcc` (frames, MFCCS), the others (frames,).
    """

    mel_db: Float64  # levels in dB relative to a power of 1; from `TOP_DB` below the highest of the clip, and from −100
    mfcc: Float64
    centroid_hz: Float64  # mean of the frequency, weighted by magnitude; like the next two, 0 in digital silence
    bandwidth_hz: Float64  # its standard deviation
    rolloff_hz: Float64  # below it, `ROLLOFF` of the magnitudes lie
    flatness: Float64  # geometric over arithmetic mean of the power, 0…1; 1 in digital silence
    zcr: Float64  # changes of sign for each sample of a frame, 0…1
    rms: Float64  # root of the mean square of a frame's samples, relative to full scale


def frame_sizes(sample_rate: int) -> tuple[int, int]:
    """Return the length of a frame, which is even, and the step between two, both in samples."""
    return max(2, round(WINDOW_SECONDS * sample_rate) // 2 * 2), max(1, round(HOP_SECONDS * sample_rate))


def analyse(waveform: Float32, sample_rate: int) -> Frames:
    """Measure the frames of a waveform of shape (n,), n ≥ 0, sampled at `sample_rate` Hz: ``1 + n // step`` of them.

    Frames reach beyond both ends of the waveform, where there are zeros (for the zero crossings: the first and the
    last sample over and over, so that an end is no crossing).
    """
    window, hop = frame_sizes(sample_rate)
    frames = mel.frames(waveform, window, hop)
    blocks = [_measure(frames[at : at + _BLOCK_FRAMES], sample_rate) for at in range(0, len(frames), _BLOCK_FRAMES)]
    power, centroid, bandwidth, rolloff, flatness = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    mel_db = _DB_PER_OCTAVE * log2(np.maximum(power, _AMIN))
    np.maximum(mel_db, mel_db.max() - TOP_DB, out=mel_db)
    mfcc = scipy.fft.dct(mel_db, type=2, norm="ortho")[:, :MFCCS]
    crossings, level = _zero_crossings(waveform, window, hop), _rms(waveform, window, hop)
    return Frames(mel_db, mfcc, centroid, bandwidth, rolloff, flatness, crossings, level)


def _measure(frames: Float32, sample_rate: int) -> tuple[Float64, ...]:
    """Return mel powers (frames, bands), centroid, bandwidth, rolloff and flatness of frames (frames, window)."""
    power = mel.power(frames)
    return (
        mel.band_energies(power, sample_rate, MEL_BANDS),
        *_shape(power, sample_rate, frames.shape[1]),
        _flatness(power),
    )


def _shape(power: Float32, sample_rate: int, window: int) -> tuple[Float64, Float64, Float64]:
    """Return centroid, bandwidth and rolloff, in Hz, of power (frames, frequencies)."""
    step_hz = sample_rate / window
    magnitude = np.sqrt(power).astype(np.float64)
    below = np.cumsum(magnitude, axis=1)
    total = below[:, -1].copy()
    rolloff = np.argmax(below >= ROLLOFF * total[:, None], axis=1)
    total[total == 0] = 1
    bins = np.arange(power.shape[1], dtype=np.float64)
    magnitude *= bins
    centroid = magnitude.sum(axis=1) / total
    magnitude *= bins
    variance = magnitude.sum(axis=1) / total - np.square(centroid)
    return centroid * step_hz, np.sqrt(np.maximum(variance, 0)) * step_hz, rolloff * step_hz


def _flatness(power: Float32) -> Float64:
    """Return geometric over arithmetic mean; the former by mantissas and exponents, which IEEE 754 keeps apart."""
    audible = np.maximum(power, np.float32(_AMIN))
    bits = audible.view(np.int32)
    exponents = (bits >> 23).sum(axis=1, dtype=np.int32) - 127 * bits.shape[1]
    mantissas = ((bits & 0x7FFFFF) | (127 << 23)).view(np.float32)  # 1…2
    logarithms = exponents.astype(np.float64)
    for start in range(0, bits.shape[1], _MANTISSAS):
        logarithms += log2(np.multiply.reduce(mantissas[:, start : start + _MANTISSAS], axis=1, dtype=np.float64))
    logarithm = logarithms / bits.shape[1]
    mean: Float64 = audible.mean(axis=1, dtype=np.float64)
    return exp2(logarithm) / mean


def _zero_crossings(waveform: Float32, window: int, hop: int) -> Float64:
    padded = np.pad(waveform, window // 2, mode="edge" if len(waveform) else "constant")
    negative = padded < -_SILENT
    crossings = (negative[1:] != negative[:-1]).astype(np.float32)  # a sum of so few is exact
    counts: Float32 = np.lib.stride_tricks.sliding_window_view(crossings, window - 1)[::hop].sum(axis=1)
    return counts.astype(np.float64) / window


def _rms(waveform: Float32, window: int, hop: int) -> Float64:
    squares = np.square(np.pad(waveform, window // 2), dtype=np.float64)
    means: Float64 = np.lib.stride_tricks.sliding_window_view(squares, window)[::hop].mean(axis=1)
    return np.sqrt(means)
