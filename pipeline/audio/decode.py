"""Decode audio files of any format to float32 mono at the rate asked for, and encode that as it is stored. Pure.

Faithful: what `load` returns is what ``librosa.load(clip, sr=sample_rate, mono=True)`` gives, bit for bit:
libsndfile decodes, the mean over the channels is mono, soxr's HQ resamples, and the end is padded or cut to
``ceil(n · sample_rate / source_sample_rate)`` samples (librosa 0.11, `librosa.core.audio.load` and `resample`). Doing
just that here takes a tenth of the time that importing librosa takes. Where librosa would end early, as in an MP3 of a
variable bit rate that does not announce its length, what it gives is the beginning of what `load` returns.
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

from pipeline.audio.sound import Sound
from pipeline.audio.walk import walk
from pipeline.core import interrupts
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

Float32 = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]

PCM16_SCALE = 32768
_BLOCK_FRAMES = 1 << 20

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
    source_format
        Of the file, in libsndfile's names: ``MP3``, ``WAV/PCM_16``, ``OGG/VORBIS``.
    source_sample_rate, source_channels, source_samples
        Of the file, in Hz, and per channel.
    """

    waveform: Float32
    sample_rate: int
    source_format: str
    source_sample_rate: int
    source_channels: int
    source_samples: int


def load(data: bytes, sample_rate: int) -> Audio:
    """Decode a file, mix it down to mono and resample it to `sample_rate` Hz.

    Raises
    ------
    Rejected
        As `walk`; UNDECODABLE: the decoder refuses it, or yields another number of frames than the file declares.
    """
    sound = walk(data)
    decoded = samples(sound)
    count, channels = decoded.shape
    mono = decoded[:, 0] if channels == 1 else np.mean(decoded, axis=1)
    resampled = resample(mono, sound.sample_rate, sample_rate)
    return Audio(resampled, sample_rate, sound.name, sound.sample_rate, channels, count)


def samples(sound: Sound) -> Float32:
    """Return the samples of a file, float32 of shape (frames, channels)."""
    decoded: Float32 = _read(sound, "float32")
    return decoded


def integers(sound: Sound) -> npt.NDArray[np.int32]:
    """Return the samples of a file as they are stored, in the upper bits of int32, shape (frames, channels)."""
    decoded: npt.NDArray[np.int32] = _read(sound, "int32")
    return decoded


def header(sound: Sound) -> tuple[int, int, int]:
    """Return the sample rate, channels and frames that libsndfile reads in the header of a file."""
    with _opened(sound.readable) as file:
        return file.samplerate, file.channels, file.frames


def _read(sound: Sound, dtype: str) -> npt.NDArray[Any]:
    """Decode as many frames as the walk found: what a header says may be no number at all."""
    with _opened(sound.readable) as file:
        # soundfile.read would seek to the start, after which MPEG-2 decodes with other last bits than librosa gets.
        blocks: list[npt.NDArray[Any]] = [file.read(sound.frames or _BLOCK_FRAMES, dtype=dtype, always_2d=True)]
        while sound.frames is None and len(blocks[-1]) == _BLOCK_FRAMES:
            blocks.append(file.read(_BLOCK_FRAMES, dtype=dtype, always_2d=True))
        facts = (file.samplerate, file.channels)
    decoded = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    if not len(decoded):
        raise Rejected(Reason.UNDECODABLE, "decodes to no samples at all")
    if facts != (sound.sample_rate, sound.channels) or not sound.declares(len(decoded)):
        raise Rejected(
            Reason.UNDECODABLE,
            f"decodes to {len(decoded)} samples of {facts[1]} channels at {facts[0]} Hz; it declares "
            f"{sound.frames or 'others'} of {sound.channels} at {sound.sample_rate} Hz",
        )
    return decoded


@contextmanager
def _opened(data: bytes) -> Iterator[soundfile.SoundFile]:
    """Open a file in memory, or where the system has none (macOS, some sandboxes) a BytesIO.

    From a BytesIO, libsndfile reads by hundreds of calls of Python.
    """
    try:
        try:
            descriptor = os.memfd_create("clip")
        except (AttributeError, OSError):
            with interrupts.defer_sigint(), soundfile.SoundFile(io.BytesIO(data)) as file:  # Ctrl-C in a call ends it
                yield file
            return
        with os.fdopen(descriptor, "w+b") as memory:
            memory.write(data)
            memory.seek(0)  # which writes all of it, or fails
            with soundfile.SoundFile(memory.fileno(), closefd=False) as file:
                yield file
    except soundfile.LibsndfileError as error:
        raise Rejected(Reason.UNDECODABLE, "the decoder does not read it" + _explained(error)) from None


def _explained(error: soundfile.LibsndfileError) -> str:
    """Return libsndfile's reason, unless it is about files in general."""
    text = error.error_string.removeprefix("Error : ").rstrip(".")
    general = ("file does not exist", "system error", "internal", "unspecified", "psf_f")
    return "" if any(word in text.lower() for word in general) else f": {text}"


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
