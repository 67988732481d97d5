"""A clip's pictures show its samples: the outline holds every one of them, the spectrogram every band and frame."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.audio.mel import FLOOR_DB, mel_spectrogram
from pipeline.report import sound

RATE = 16_000


def noise(samples: int) -> sound.Float32:
    return np.random.default_rng(samples).uniform(-0.4, 0.4, samples).astype(np.float32)


def points(path: str) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return the corners that a path goes through."""
    parts = re.fullmatch(r"M0 (-?\d+)l([-\d ]+)v(-?\d+)l([-\d ]+)z", path)
    assert parts is not None
    there, back = (np.array(parts[group].split(), dtype=np.int64).reshape(-1, 2) for group in (2, 4))
    steps = np.concatenate([[[0, int(parts[1])]], there, [[0, int(parts[3])]], back])
    return np.cumsum(steps, axis=0)


@pytest.mark.more
@given(st.integers(1, 5000))
def test_outline_goes_around_every_sample(samples: int) -> None:
    waveform = noise(samples)
    corners = points(sound.outline(waveform))
    upper, lower = corners[: sound.OUTLINE_WIDTH], corners[sound.OUTLINE_WIDTH :][::-1]
    assert upper[:, 0].tolist() == lower[:, 0].tolist() == list(range(sound.OUTLINE_WIDTH))
    half = sound.OUTLINE_HEIGHT / 2
    heights = half - half * waveform
    columns = np.arange(samples) * sound.OUTLINE_WIDTH // samples
    for column, height in zip(columns.tolist(), heights.tolist(), strict=True):
        near = slice(max(0, column - 1), column + 2)  # the borders of columns are rounded
        assert upper[near, 1].min() - 1 <= height <= lower[near, 1].max() + 1
    assert upper[:, 1].min() == pytest.approx(heights.min(), abs=1)
    assert lower[:, 1].max() == pytest.approx(heights.max(), abs=1)


@pytest.mark.parametrize("samples", [1, 2, 100, 16_000, 320_000])
def test_picture_has_pixels_of_the_level_of_a_band_in_a_frame(samples: int) -> None:
    waveform = noise(samples)
    levels = mel_spectrogram(waveform, RATE).decibels
    image = Image.open(io.BytesIO(sound.draw(waveform, RATE).spectrogram))
    assert image.mode == "P"
    codes = np.asarray(image)[::-1]
    few = -(-levels.shape[1] // codes.shape[1])
    assert codes.shape == (levels.shape[0], -(-levels.shape[1] // few))
    assert codes.shape[1] <= 1000
    shown = FLOOR_DB + codes / 63 * -FLOOR_DB
    loudest = np.stack([levels[:, start : start + few].max(axis=1) for start in range(0, levels.shape[1], few)], axis=1)
    assert np.abs(shown - loudest).max() <= -FLOOR_DB / 63 / 2 + 1e-9


def test_sound_of_silence_is_a_line_and_white() -> None:
    drawn = sound.draw(np.zeros(8000, dtype=np.float32), RATE)
    assert set(points(drawn.outline)[:, 1].tolist()) == {sound.OUTLINE_HEIGHT // 2}
    assert Image.open(io.BytesIO(drawn.spectrogram)).convert("RGB").getcolors() == [(96 * 63, (255, 255, 255))]


@pytest.mark.parametrize(
    ("peak", "edge"), [(0.0, 0.01), (0.015, 0.02), (0.3, 0.5), (1.0, 1.0), (1.4, 2.0), (40.0, 40.0)]
)
def test_sound_has_an_axis_that_ends_at_a_round_amplitude_that_holds_the_loudest_sample(
    peak: float, edge: float
) -> None:
    assert sound.draw(np.array([0, -peak, 0], dtype=np.float32), RATE).edge == pytest.approx(edge)


def test_sound_has_frames_where_their_time_is() -> None:
    """A click in the middle is in the middle of the picture, however short the clip."""
    for samples in (1_600, 16_000):
        waveform = np.zeros(samples, dtype=np.float32)
        waveform[samples // 2] = 1
        drawn = sound.draw(waveform, RATE)
        codes = np.asarray(Image.open(io.BytesIO(drawn.spectrogram))).sum(axis=0, dtype=np.int64)
        middle = float(np.average(np.arange(len(codes)) + 0.5, weights=codes)) / len(codes)
        assert drawn.left + middle * drawn.width == pytest.approx(50, abs=100 * 64 / samples)


def test_sound_has_marks_within_the_field() -> None:
    drawn = sound.draw(noise(40_000), RATE)
    assert [mark for _, mark in drawn.frequency_marks] == ["0", "500", "1,000", "2,000", "4,000", "8,000"]
    for marks in (drawn.time_marks, drawn.frequency_marks):
        places = [place for place, _ in marks]
        assert places == sorted(places)
        assert places[0] >= 0
        assert places[-1] <= 100
    assert [float(mark) / 2.5 * 100 for _, mark in drawn.time_marks] == pytest.approx(
        [at for at, _ in drawn.time_marks], abs=1e-3
    )


def test_palette_is_darker_for_louder() -> None:
    light = sound.palette().astype(int).sum(axis=1)
    assert np.all(np.diff(light) < 0)
