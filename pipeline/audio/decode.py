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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from pipeline.audio.quiet import without_mpg123
from pipeline.audio.sound import Sound
from pipeline.audio.walk import walk
from pipeline.core import interrupts
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

Float32 = npt.NDArray[np.float32]
Int16 = npt.NDArray[np.int16]

Piece = tuple[float, float | None]  # from where to where of a recording, in seconds; None is its end
WHOLE: Piece = (0.0, None)

PCM16_SCALE = 32768
_BLOCK_FRAMES = 1 << 20
_CONTEXT_SECONDS = 0.25  # on both sides of a piece: ten times what soxr's HQ looks at, which is 0.02 s at 8 kHz
_MOST_COPIED = 1 << 26  # bytes of a file that are copied for libsndfile, to be read faster

# Environment variables by which libsoxr chooses other instructions, which round differently (soxr.c, soxr_create).
_SOXR_SWITCHES = ("SOXR_USE_SIMD", "SOXR_USE_SIMD32", "SOXR_USE_SIMD64")


@dataclass(frozen=True, slots=True)
class Audio:
    """A decoded clip, and what its file is; also where the waveform is a piece of it."""

    waveform: Float32  # of shape (num_samples,), mono, nominally in −1…1 (an MP3 may exceed it)
    sample_rate: int  # of the waveform, in Hz
    source_format: str  # in libsndfile's names: MP3, WAV/PCM_16, OGG/VORBIS
    source_sample_rate: int
    source_channels: int


def load(data: bytes, sample_rate: int) -> Audio:
    """Decode a file, mix it down to mono and resample it to `sample_rate` Hz.

    Raises Rejected as `walk` does, and with UNDECODABLE if the decoder refuses the file, or yields another number of
    frames than it declares.
    """
    return load_piece(walk(data), sample_rate, WHOLE)


def load_piece(sound: Sound, sample_rate: int, piece: Piece) -> Audio:
    """Decode the piece of a recording between two times: ``waveform[round(start · rate) : round(end · rate)]``.

    Decoding begins at the nearest frame that the decoder can seek to without changing a bit (`Sound.seekable`); what is
    before the piece is dropped block by block. At the file's own rate, samples are those of `load`, bit for bit. At
    another one, only the piece is resampled, with `_CONTEXT_SECONDS` on both sides, from a frame that falls on a sample
    of the new rate: soxr's sums are then of the same products in blocks that begin elsewhere, and differ by the
    rounding of float32, some 1e-7 of full scale; one in 2,000 samples of pcm16 is a step higher or lower. Between rates
    without a simple ratio (16,001 Hz to 16,000), soxr itself is late by up to 1e-10 of the time since the beginning,
    and the piece is not.

    An end of None is that of the recording, and so is one beyond it. Raises Rejected with UNDECODABLE if the decoder
    refuses the file, or it ends before its declared end or that of the piece; or if the recording ends before the piece
    begins.
    """
    if piece == WHOLE:
        waveform = resample(_mono(samples(sound)), sound.sample_rate, sample_rate)
        return Audio(waveform, sample_rate, sound.name, sound.sample_rate, sound.channels)
    source_rate, frames = sound.sample_rate, count_frames(sound)
    most = math.ceil(frames * (sample_rate / source_rate))
    first = round(piece[0] * sample_rate)
    stop = most if piece[1] is None else min(most, round(piece[1] * sample_rate))
    if not 0 <= first < stop:
        seconds = "its end" if piece[1] is None else f"{piece[1]:g} s"
        raise Rejected(
            Reason.UNDECODABLE,
            f"it has no piece from {piece[0]:g} s to {seconds}: it is {frames / source_rate:g} s long",
        )
    context = round(_CONTEXT_SECONDS * source_rate)
    period = source_rate // math.gcd(source_rate, sample_rate)  # of frames that fall on samples of the new rate
    begin = max(0, first * source_rate // sample_rate - context) // period * period
    end = min(frames, -(-stop * source_rate // sample_rate) + context)
    resampled = resample(_mono(_frames_between(sound, begin, end)), source_rate, sample_rate)
    before = begin * sample_rate // source_rate
    waveform = resampled[first - before : stop - before].copy()
    return Audio(waveform, sample_rate, sound.name, source_rate, sound.channels)


def count_frames(sound: Sound) -> int:
    """Return how many samples of each channel a file has; decodes it where it does not say."""
    return sound.frames if sound.frames is not None else sum(len(block) for block in blocks(sound, "float32"))


def samples(sound: Sound) -> Float32:
    """Return the samples of a file, float32 of shape (frames, channels)."""
    # As many as the walk found: what a header says may be no number at all.
    decoded = list(blocks(sound, "float32", sound.frames or _BLOCK_FRAMES))
    return decoded[0] if len(decoded) == 1 else np.concatenate(decoded)


def decoded(sound: Sound) -> Sound:
    """Return a recording to be read from its samples, float32, in which any frame can be sought."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples(sound), sound.sample_rate, format="WAV", subtype="FLOAT")
    return replace(sound, readable=buffer.getvalue(), last_seekable=sound.frames or 0)


def header(sound: Sound) -> tuple[int, int, int]:
    """Return the sample rate, channels and frames that libsndfile reads in the header of a file."""
    with _opened(sound) as file:
        return file.samplerate, file.channels, file.frames


def blocks(sound: Sound, dtype: str, block_frames: int = _BLOCK_FRAMES) -> Iterator[npt.NDArray[Any]]:
    """Decode a file block by block, each of shape (frames, channels).

    Raises Rejected as `load_piece` does, and at the end, if there are other frames than the file declares.
    """
    count = 0
    with _opened(sound) as file:
        wanted = block_frames
        while wanted:
            block = file.read(wanted, dtype=dtype, always_2d=True)
            count += len(block)
            if len(block):
                yield block
            if len(block) < wanted:
                break
            wanted = block_frames if sound.frames is None else min(block_frames, sound.frames - count)
        facts = (file.samplerate, file.channels)
    if not count:
        raise Rejected(Reason.UNDECODABLE, "decodes to no samples at all")
    if facts != (sound.sample_rate, sound.channels) or not sound.declares(count):
        raise Rejected(
            Reason.UNDECODABLE,
            f"decodes to {count} samples of {facts[1]} channels at {facts[0]} Hz; it declares "
            f"{sound.frames or 'others'} of {sound.channels} at {sound.sample_rate} Hz",
        )


def _frames_between(sound: Sound, begin: int, end: int) -> Float32:
    """Return frames of a file, float32 of shape (end − begin, channels)."""
    with _opened(sound, copied=not sound.seekable) as file:
        if nearest := min(begin, sound.seekable):
            file.seek(nearest)
        for at in range(nearest, begin, _BLOCK_FRAMES):
            file.read(min(_BLOCK_FRAMES, begin - at), dtype="float32")
        decoded: Float32 = file.read(end - begin, dtype="float32", always_2d=True)
    if decoded.shape != (end - begin, sound.channels):
        found = f"from frame {begin} on it decodes to {len(decoded)} samples of {decoded.shape[1]} channels"
        raise Rejected(Reason.UNDECODABLE, f"{found}; asked for were {end - begin} of {sound.channels}")
    return decoded


def _mono(decoded: Float32) -> Float32:
    mono: Float32 = decoded[:, 0] if decoded.shape[1] == 1 else np.mean(decoded, axis=1)
    return mono


class _Stream(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read on and on: soundfile seeks after each read, after which MPEG-2 has other last bits."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(sound: Sound, *, copied: bool = True) -> Iterator[soundfile.SoundFile]:
    """Open a file in memory, or a BytesIO: where the system has no such files (macOS, sandboxes), or not `copied`.

    From a BytesIO, libsndfile reads by hundreds of calls of Python; but it copies nothing.
    """
    data = sound.readable
    descriptor = _memory_file() if copied and len(data) <= _MOST_COPIED else None
    try:
        with without_mpg123() if sound.format == "MP3" else nullcontext():
            if descriptor is None:
                with interrupts.defer_sigint(), _Stream(io.BytesIO(data)) as file:  # Ctrl-C in a call ends it
                    yield file
                return
            with os.fdopen(descriptor, "w+b") as memory:
                memory.write(data)
                memory.seek(0)  # which writes all of it, or fails
                with _Stream(memory.fileno(), closefd=False) as file:
                    yield file
    except soundfile.LibsndfileError as error:
        raise Rejected(Reason.UNDECODABLE, "the decoder does not read it" + _explained(error)) from None


def _memory_file() -> int | None:
    try:
        return os.memfd_create("clip")
    except (AttributeError, OSError):
        return None


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


def to_file(pcm: Int16, sample_rate: int, kind: str) -> bytes:
    """Return 16 bit values as a file; `kind` is FLAC or WAV."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, sample_rate, format=kind, subtype="PCM_16")
    return buffer.getvalue()


def cut(sound: Sound, start_seconds: float, end_seconds: float) -> bytes:
    """Return a piece of a recording as a WAV file of 16 bits, at its own rate and of all its channels."""
    begin, end = (round(seconds * sound.sample_rate) for seconds in (start_seconds, end_seconds))
    pcm, _ = to_pcm16(_frames_between(sound, begin, min(end, count_frames(sound))))
    return to_file(pcm, sound.sample_rate, "WAV")


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
