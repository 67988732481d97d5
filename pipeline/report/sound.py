"""A clip's sound to look at: the outline of its waveform as an SVG path, its mel spectrogram as a PNG. Pure.

Axes are not part of either, so that a page can draw them with its own text, at any width.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.audio.mel import FLOOR_DB, mel_spectrogram
from pipeline.report import axis

Float32 = npt.NDArray[np.float32]
Mark = tuple[float, str]  # how far along the axis, in percent, and what stands there

OUTLINE_WIDTH, OUTLINE_HEIGHT = 1000, 500  # of the path's coordinates; zero amplitude is in the middle
_MOST_FRAMES = 1000  # of a picture; of more, the loudest of each few is shown
_LEVELS = 64
_EDGES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # amplitudes at which an axis may end
_HERTZ = (0, 500, 1000, 2000, 4000, 8000, 16000)
# What is loud is dark, as on paper; evenly spaced from `FLOOR_DB` to 0 dB.
_COLOURS = (
    *((255, 255, 255), (226, 236, 247), (180, 207, 233), (115, 171, 217)),
    *((52, 128, 192), (14, 84, 158), (6, 38, 92)),
)


@dataclass(frozen=True)
class Sound:
    """What to draw of a clip."""

    outline: str  # path data in a box of `OUTLINE_WIDTH` × `OUTLINE_HEIGHT`
    edge: float  # the amplitude at the upper edge of that box
    spectrogram: bytes  # PNG, the lowest frequency at the bottom, a pixel for each band and frame
    left: float  # where it begins along the axis of time, in percent: frames are centred on their time
    width: float  # of it, in percent
    time_marks: tuple[Mark, ...]  # seconds, from the left
    frequency_marks: tuple[Mark, ...]  # Hz, from the bottom


def draw(samples: Float32, sample_rate: int) -> Sound:
    """Draw a waveform of shape (n,), n ≥ 1, nominally in −1…1, sampled at `sample_rate` Hz."""
    seconds = len(samples) / sample_rate
    loudest = float(np.abs(samples).max())
    edge = next((each for each in _EDGES if each >= loudest), loudest)
    levels = mel_spectrogram(samples, sample_rate)
    bands, frames = levels.decibels.shape
    places = np.interp(_HERTZ, levels.edges_hertz, np.arange(bands + 1))
    return Sound(
        outline=outline(samples / np.float32(edge)),
        edge=edge,
        spectrogram=picture(levels.decibels),
        left=round(-50 * levels.hop_seconds / seconds, 3),
        width=round(100 * frames * levels.hop_seconds / seconds, 3),
        time_marks=tuple((round(100 * at / seconds, 3), axis.format_mark(at)) for at in axis.marks(0, seconds, 11)),
        frequency_marks=tuple(
            (round(100 * float(place) / bands, 3), axis.format_mark(hertz))
            for hertz, place in zip(_HERTZ, places, strict=True)
            if hertz <= sample_rate / 2
        ),
    )


def outline(samples: Float32) -> str:
    """Return the path around a waveform of shape (n,), n ≥ 1, in −1…1."""
    half = OUTLINE_HEIGHT // 2
    lowest, highest = (np.rint(half - half * each).astype(int) for each in extremes(samples, OUTLINE_WIDTH))
    there = " ".join(f"1 {step}" for step in np.diff(highest).tolist())
    back = " ".join(f"-1 {step}" for step in np.diff(lowest[::-1]).tolist())
    return f"M0 {highest[0]}l{there}v{lowest[-1] - highest[-1]}l{back}z"


def extremes(samples: Float32, columns: int) -> tuple[Float32, Float32]:
    """Return the lowest and highest sample of each column, shape (columns,), of samples of shape (n,), n ≥ 1."""
    starts = np.arange(columns) * len(samples) // columns
    return np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)


def picture(decibels: npt.NDArray[np.float64]) -> bytes:
    """Return levels, float64 of shape (bands, frames) in `FLOOR_DB`…0, as PNG with a palette, `palette`."""
    few = decibels.shape[1] // _MOST_FRAMES + 1
    loudest = np.maximum.reduceat(decibels, np.arange(0, decibels.shape[1], few), axis=1)
    codes = np.rint((1 - loudest[::-1] / FLOOR_DB) * (_LEVELS - 1)).astype(np.uint8)
    image = Image.fromarray(codes, mode="P")
    image.putpalette(palette().tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def palette() -> npt.NDArray[np.uint8]:
    """Return the colours of levels from `FLOOR_DB` to 0 dB: uint8 of shape (levels, 3)."""
    at = np.linspace(0, len(_COLOURS) - 1, _LEVELS)
    channels = [np.interp(at, np.arange(len(_COLOURS)), channel) for channel in zip(*_COLOURS, strict=True)]
    colours: npt.NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colours
