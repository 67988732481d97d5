"""The log-mel spectrograms that models are trained on, by name. Pure.

Each equals its reference to within rounding, with any number of threads: transforms are scipy's in float64, sums
use no BLAS (tests/audio/test_front_ends.py has the references).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.audio import mel

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

REFERENCES = ("full-scale", "clip")

_LEAST_POWER = 1e-10  # what takes the place of less, in librosa (`amin`) and in Whisper alike
_CLIP_RANGE_DB = 80.0  # librosa's `top_db`
_WHISPER_RANGE = 8.0  # powers of ten below the loudest


@dataclass(frozen=True)
class FrontEnd:
    """How waveforms become log-mel spectrograms."""

    name: str  # as users give it
    mels: int
    window: int  # samples in a frame
    hop: int  # samples between the beginnings of two frames
    sample_rate: int | None  # the only one that it is defined for, in Hz; None where there is no such
    last_frame: bool  # whether the frame whose middle is the end of the waveform is kept
    padding: str  # by `numpy.pad`, before and after the waveform: the first frame is centred on its first sample
    default_reference: str  # out of `REFERENCES`, the one of the published computation
    levels: Callable[[Float64, str], Float64]  # power (mels, frames) and reference → what is drawn
    floors: dict[str, float]  # for each reference the level of digital silence, below which there is none
    ceilings: dict[str, float]  # that of a sine at full scale (relative to the clip: of its loudest)

    def frames(self, samples: int) -> int:
        """Return the number of frames of a waveform of `samples` samples."""
        return samples // self.hop + 1 if self.last_frame and samples else samples // self.hop

    def spectrogram(self, waveform: Float32, sample_rate: int, reference: str) -> Float32:
        """Return the spectrogram, float32 of shape (mels, frames), of a waveform of shape (n,), float32 in −1…1."""
        frames = self.frames(len(waveform))
        if not frames:
            return np.zeros((self.mels, 0), dtype=np.float32)
        framed = mel.frames(waveform.astype(np.float64), self.window, self.hop, self.padding)[:frames]
        energy = np.ascontiguousarray(mel.band_energies(mel.power(framed), sample_rate, self.mels).T)
        levels: Float32 = self.levels(energy, reference).astype(np.float32)
        return levels


def _decibels(power: Float64, reference: str) -> Float64:
    """Return what ``librosa.power_to_db`` does: with ``ref=1.0, top_db=None``, or with ``ref=np.max``."""
    decibels: Float64 = 10 * np.log10(np.maximum(power, _LEAST_POWER))
    if reference == "full-scale":
        return decibels
    relative: Float64 = np.maximum(decibels - decibels.max(), -_CLIP_RANGE_DB)
    return relative


def _whisper(power: Float64, reference: str) -> Float64:
    """Return what Whisper's encoder is given (Radford et al. 2022, section 2.2, and ``log_mel_spectrogram``).

    With ``full-scale``, levels are not clamped relative to the loudest of the clip.
    """
    logarithms: Float64 = np.log10(np.maximum(power, _LEAST_POWER))
    if reference == "clip":
        logarithms = np.maximum(logarithms, logarithms.max() - _WHISPER_RANGE)
    return (logarithms + 4) / 4


def _of_whisper(mels: int) -> FrontEnd:
    silence = (np.log10(_LEAST_POWER) + 4) / 4
    return FrontEnd(
        name=f"whisper-{mels}",
        mels=mels,
        window=400,
        hop=160,
        sample_rate=16_000,
        last_frame=False,
        padding="reflect",
        default_reference="clip",
        levels=_whisper,
        floors={"full-scale": silence, "clip": silence},
        ceilings={"full-scale": 1.66, "clip": 1.66},
    )


_MEL_128 = FrontEnd(
    name="mel-128",
    mels=128,
    window=2048,
    hop=512,
    sample_rate=None,
    last_frame=True,
    padding="constant",
    default_reference="full-scale",
    levels=_decibels,
    floors={"full-scale": 10 * np.log10(_LEAST_POWER), "clip": -_CLIP_RANGE_DB},
    ceilings={"full-scale": 42.0, "clip": 0.0},
)
FRONT_ENDS = {each.name: each for each in (_MEL_128, _of_whisper(80), _of_whisper(128))}
