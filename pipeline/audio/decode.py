"""Decode MP3 bytes to float32 mono at the rate asked for, and encode that as it is stored. Pure.

Faithful: what `load` returns is what ``librosa.load(clip, sr=sample_rate, mono=True)`` gives, bit for bit:
libsndfile decodes, the mean over the channels is mono, soxr's HQ resamples, and the end is padded or cut to
``ceil(n · sample_rate / source_sample_rate)`` samples (librosa 0.11, `librosa.core.audio.load` and `resample`). Doing
just that here takes a tenth of the time that importing librosa takes.
"""

from __future__ import annotations

import importlib
import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.core import interrupts
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

Float32 = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]

PCM16_SCALE = 32768

# Environment variables by which libsoxr chooses other instructions, which round differently (soxr.c, soxr_create).
_SOXR_SWITCHES = ("SOXR_USE_SIMD", "SOXR_USE_SIMD32", "SOXR_USE_SIMD64")


@dataclass(frozen=True, slots=True)
class Audio:
    """A decoded clip.

    Attributes
    ----------
    waveform
        float32 of shape (num_samples,), mono, nominally in −1…1 (an MP3 may exceed it).
    sample_rate
        Of the waveform, in Hz.
    source_sample_rate, source_channels, source_samples
        Of the MP3, in Hz, and per channel.
    """

    waveform: Float32
    sample_rate: int
    source_sample_rate: int
    source_channels: int
    source_samples: int


def load(mp3: bytes, sample_rate: int) -> Audio:
    """Decode a clip, mix it down to mono and resample it to `sample_rate` Hz.

    Raises
    ------
    Rejected
        With `Reason.UNDECODABLE`: the decoder refuses it, or finds no samples in it.
    """
    decoded, source_sample_rate = decode(mp3)
    samples, channels = decoded.shape
    mono = decoded[:, 0] if channels == 1 else np.mean(decoded, axis=1)
    return Audio(resample(mono, source_sample_rate, sample_rate), sample_rate, source_sample_rate, channels, samples)


def decode(mp3: bytes) -> tuple[Float32, int]:
    """Return the samples, float32 of shape (samples, channels), and their rate in Hz."""
    try:
        # soundfile.read would seek to the start, after which MPEG-2 decodes with other last bits than librosa gets.
        with _opened(mp3) as file:
            decoded, sample_rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except soundfile.LibsndfileError as error:
        raise Rejected(Reason.UNDECODABLE, f"libsndfile: {error.error_string}") from None
    if not len(decoded):
        raise Rejected(Reason.UNDECODABLE, "decodes to no samples at all")
    return decoded, sample_rate


@contextmanager
def _opened(mp3: bytes) -> Iterator[soundfile.SoundFile]:
    """Open a clip as a file in memory, or where the system has none (macOS, some sandboxes) as a BytesIO.

    From a BytesIO, libsndfile reads by hundreds of calls of Python.
    """
    try:
        descriptor = os.memfd_create("mp3")
    except (AttributeError, OSError):
        with interrupts.defer_sigint(), soundfile.SoundFile(io.BytesIO(mp3)) as file:  # Ctrl-C in a call ends it early
            yield file
        return
    with os.fdopen(descriptor, "w+b") as memory:
        memory.write(mp3)
        memory.seek(0)  # which writes all of it, or fails
        with soundfile.SoundFile(memory.fileno(), closefd=False) as file:
            yield file


def resample(mono: Float32, source_rate: int, target_rate: int) -> Float32:
    """Resample a waveform of shape (n,) to one of ``ceil(n · target_rate / source_rate)`` samples."""
    if source_rate == target_rate:
        return mono
    soxr = _soxr()
    for switch in _SOXR_SWITCHES:
        os.environ.pop(switch, None)
    samples = math.ceil(len(mono) * (target_rate / source_rate))
    resampled: Float32 = soxr.resample(mono, source_rate, target_rate, quality="HQ")
    if len(resampled) < samples:
        return np.pad(resampled, (0, samples - len(resampled)))
    return resampled[:samples]


def to_pcm16(waveform: Float32) -> tuple[Int16, int]:
    """Return the nearest 16 bit values of ``waveform · 32768``, and how many had to be clipped to −32768…32767."""
    nearest = waveform * np.float32(PCM16_SCALE)
    np.rint(nearest, out=nearest)
    clipped = 0
    if nearest.min(initial=0) < -PCM16_SCALE or nearest.max(initial=0) > PCM16_SCALE - 1:
        clipped = int(np.count_nonzero((nearest < -PCM16_SCALE) | (nearest > PCM16_SCALE - 1)))
        np.clip(nearest, -PCM16_SCALE, PCM16_SCALE - 1, out=nearest)
    return nearest.astype(np.int16), clipped


def to_flac(pcm: Int16, sample_rate: int) -> bytes:
    """Return 16 bit values as a FLAC file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def from_flac(flac: bytes) -> Float32:
    """Return a FLAC file's samples as float32 in −1…1."""
    samples: Float32 = soundfile.read(io.BytesIO(flac), dtype="float32")[0]
    return samples


def levels(waveform: Float32) -> tuple[float, float]:
    """Return peak and RMS in dB relative to full scale (1.0); −inf for digital silence."""
    peak = max(float(waveform.max(initial=0)), -float(waveform.min(initial=0)))
    squares = waveform.astype(np.float64)
    np.square(squares, out=squares)
    rms = math.sqrt(float(squares.mean()) if len(squares) else 0)
    peak_dbfs, rms_dbfs = (20 * math.log10(amplitude) if amplitude else -math.inf for amplitude in (peak, rms))
    return peak_dbfs, rms_dbfs


def decoder_versions() -> dict[str, str]:
    """Return the versions that a waveform's bits depend on."""
    soxr = _soxr()
    return {
        "soundfile": soundfile.__version__,
        "libsndfile": soundfile.__libsndfile_version__,
        "soxr": soxr.__version__,
        "libsoxr": soxr.__libsoxr_version__,
        "numpy": np.__version__,
    }


@cache
def _soxr() -> Any:
    """Import soxr, which readers of waveforms need not have. Its extension module aborts the process at a Ctrl-C."""
    with interrupts.defer_sigint():
        return importlib.import_module("soxr")
