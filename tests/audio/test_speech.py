"""Where speech starts and ends does not depend on what is before and after it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from pipeline.audio.pitch import pitches
from pipeline.audio.spectrum import analyse
from pipeline.audio.speech import bounds
from tests.support.voices import Float32, demo_voices, noise, pulses, tone, with_click

VOICES = demo_voices(30)
SECOND = 16_000


def bounds_of(waveform: Float32) -> tuple[float, float] | None:
    frames = analyse(waveform, 16_000)
    (pitch,) = pitches([waveform], 16_000, (65.0, 500.0))
    return bounds(frames.mel_db, pitch.voiced(len(frames.rms)), pitch.step_seconds)


@functools.cache
def bounds_of_voices() -> list[tuple[float, float] | None]:
    return [bounds_of(voice) for voice in VOICES]


def test_speech_is_the_voice_between_silence() -> None:
    found = bounds_of(np.pad(pulses(150, seconds=0.8), (SECOND, SECOND // 2)))
    assert found == pytest.approx((1.0, 1.8), abs=0.03)


@pytest.mark.more
@pytest.mark.parametrize("click", [0.0, 0.5, 0.85])
@pytest.mark.parametrize("pink", [False, True])
@pytest.mark.parametrize("level_dbfs", [-70.0, -60.0])
def test_speech_bounds_move_by_at_most_50_ms_with_a_second_of_room_noise_and_a_click(
    level_dbfs: float, pink: bool, click: float
) -> None:
    room = noise(1, level_dbfs, pink=pink)
    for voice, alone in zip(VOICES, bounds_of_voices(), strict=True):
        before, after = with_click(room, click), with_click(room, 1 - click - 0.001)
        between = bounds_of(np.concatenate([before, voice, after]))
        assert alone is not None
        assert between is not None
        assert np.subtract(between, 1) == pytest.approx(alone, abs=0.0501)


def test_speech_includes_a_consonant_before_and_after_the_voice() -> None:
    hiss = np.diff(noise(0.12, -25), prepend=np.float32(0))
    room = noise(0.5, -65)
    found = bounds_of(np.concatenate([room, hiss, pulses(150, seconds=0.5), hiss, room]))
    assert found == pytest.approx((0.5, 1.24), abs=0.03)


def test_speech_includes_a_long_ending_that_fades() -> None:
    hiss = noise(0.4, -32) * np.geomspace(1, 0.1, round(0.4 * SECOND), dtype=np.float32)
    room = noise(0.5, -65)
    found = bounds_of(np.concatenate([room, pulses(150, seconds=0.5), hiss, room]))
    assert found == pytest.approx((0.5, 1.4), abs=0.06)


def test_speech_does_not_include_a_door_well_before_and_after() -> None:
    room, door = noise(0.5, -65), noise(0.15, -25, pink=True)
    found = bounds_of(np.concatenate([room, door, room, pulses(150, seconds=0.5), room, door, room]))
    assert found == pytest.approx((1.15, 1.65), abs=0.03)


def test_speech_includes_a_pause() -> None:
    room = noise(1, -60)
    found = bounds_of(np.concatenate([room, pulses(150, seconds=0.4), room, pulses(120, seconds=0.4), room]))
    assert found == pytest.approx((1.0, 2.8), abs=0.03)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(SECOND, dtype=np.float32),
        np.zeros(0, dtype=np.float32),
        np.ones(1, dtype=np.float32),
        noise(3),
        noise(3, -60, pink=True),
        with_click(noise(2, -60), 1.0),
        with_click(np.zeros(2 * SECOND, dtype=np.float32), 1.0),
        tone(100) + noise(1, -40),
    ],
    ids=["silence", "nothing", "a sample", "white", "pink", "a click in noise", "a click in silence", "a steady hum"],
)
def test_speech_is_none_without_a_voice(sound: Float32) -> None:
    assert bounds_of(sound) is None
