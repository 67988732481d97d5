"""Pitch is right on sounds whose pitch is known, absent where there is none, and a clip's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from pipeline.audio.pitch import Pitch, pitches
from tests.support.voices import Float32, demo_voices, noise, pulses, tone, with_click, with_noise

RANGE = (65.0, 500.0)
HERTZ = np.geomspace(70, 450, 14).round(2).tolist()


def pitch_of(waveform: Float32, sample_rate: int = 16_000) -> Pitch:
    return pitches([waveform], sample_rate, RANGE)[0]


@pytest.mark.more
@pytest.mark.parametrize("sound", [tone, pulses])
@pytest.mark.parametrize("sample_rate", [8000, 16_000, 22_050, 48_000])
def test_pitch_of_a_periodic_sound_is_within_a_hundredth_at_20_db(
    sound: Callable[[float, int], Float32], sample_rate: int
) -> None:
    sounds = [with_noise(sound(hertz, sample_rate), 20) for hertz in HERTZ]
    for hertz, pitch in zip(HERTZ, pitches(sounds, sample_rate, RANGE), strict=True):
        assert np.abs(pitch.hertz / hertz - 1).max() < 0.01, hertz


def test_pitch_follows_a_glide() -> None:
    times = np.arange(32_000) / 16_000
    phase = 2 * np.pi * (100 * times + 50 * times**2)  # 100 Hz at the start, 300 Hz after two seconds
    glide = sum(np.cos(harmonic * phase) / harmonic for harmonic in range(1, 12)) / 4
    pitch = pitch_of(np.asarray(glide, dtype=np.float32))
    assert np.abs(pitch.hertz / (100 + 100 * pitch.seconds) - 1).max() < 0.01


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 48_000])
def test_pitch_finds_no_voice_in_noise(sample_rate: int) -> None:
    assert np.isnan(pitch_of(noise(20, sample_rate=sample_rate), sample_rate).hertz).all()


@pytest.mark.parametrize("silence", [np.zeros(16_000), np.full(16_000, 0.25)], ids=["zero", "an offset"])
def test_pitch_finds_no_voice_in_silence(silence: Float32) -> None:
    pitch = pitch_of(silence.astype(np.float32))
    assert len(pitch.hertz) == 95
    assert np.isnan(pitch.hertz).all()


def test_pitch_needs_half_of_the_power_to_be_periodic() -> None:
    """The autocorrelation at its period is the share of the power that is periodic; the threshold is .45."""
    voice = pulses(150, seconds=3)
    assert not np.isnan(pitch_of(with_noise(voice, 4)).hertz).any()  # .72
    assert np.isnan(pitch_of(with_noise(voice, -4)).hertz).all()  # .28


def test_pitch_is_silent_in_quiet_frames_beside_a_voice() -> None:
    voice, hum = pulses(150), tone(100) / 500
    hertz = pitch_of(np.concatenate([hum, voice, hum])).hertz
    assert np.isnan(hertz[:90]).all()
    assert np.nanmax(np.abs(hertz / 150 - 1)) < 0.01


def test_pitch_of_a_voice_is_not_silenced_by_a_click() -> None:
    """Praat takes the loudest sample for the reference, and would find 3 % of it silent."""
    voice = np.concatenate([np.zeros(16_000, dtype=np.float32), pulses(150) / 40])
    hertz = pitch_of(with_click(voice, 0.5)).hertz
    assert np.isnan(hertz[:90]).all()
    assert not np.isnan(hertz[100:]).any()


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_pitch_does_not_depend_on_loudness(factor: float) -> None:
    voice = demo_voices(1)[0]
    assert np.array_equal(pitch_of(voice).hertz, pitch_of(voice * np.float32(factor)).hertz, equal_nan=True)


def test_pitch_hardly_depends_on_an_offset() -> None:
    voice = demo_voices(1)[0]
    pitch, shifted = pitch_of(voice).hertz, pitch_of(voice + np.float32(0.3)).hertz
    assert np.mean(np.isnan(pitch) == np.isnan(shifted)) > 0.98
    assert np.nanmedian(shifted) == pytest.approx(np.nanmedian(pitch), rel=0.01)


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 44_100])
def test_pitch_has_no_frames_in_less_than_three_periods(sample_rate: int) -> None:
    window = math.ceil(3 * sample_rate / RANGE[0])
    sounds = [tone(200, sample_rate)[:length] for length in (0, 1, 2, 99, window - 2)]
    for pitch in pitches(sounds, sample_rate, RANGE):
        assert len(pitch.hertz) == len(pitch.seconds) == 0


def test_pitch_has_the_frames_whose_window_is_inside() -> None:
    for length in range(700, 2000, 111):
        pitch = pitch_of(pulses(150)[:length])
        inside = [k for k in range(20) if 369 <= 160 * k <= length - 369]
        assert np.allclose(pitch.seconds, np.array(inside) / 100)
        assert pitch.voiced(20)[inside].all()
        assert pitch.voiced(20).sum() == len(inside)


def test_pitch_candidates_left_out_of_silent_frames_are_on_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    voices = [np.concatenate([noise(0.3, -60), voice, noise(0.3, -50)]) for voice in demo_voices(8)]
    found = [pitch.hertz.tobytes() for pitch in pitches(voices, 16_000, RANGE)]
    monkeypatch.setattr("pipeline.audio.pitch._LEAST_SILENT", math.inf)
    assert [pitch.hertz.tobytes() for pitch in pitches(voices, 16_000, RANGE)] == found


def test_pitches_of_no_clips_are_none() -> None:
    assert pitches([], 16_000, RANGE) == []
