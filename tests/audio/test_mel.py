"""The mel spectrogram is librosa's, and silence has no level."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.audio.mel import FLOOR_DB, HOP_SECONDS, MELS, WINDOW_SECONDS, mel_spectrogram


@pytest.mark.parametrize("sample_rate", [16_000, 44_100])
@pytest.mark.parametrize("samples", [1, 99, 16_000])
def test_mel_spectrogram_is_librosas(sample_rate: int, samples: int, librosa: Any) -> None:
    waveform = np.random.default_rng(samples).standard_normal(samples).astype(np.float32)
    window = round(WINDOW_SECONDS * sample_rate) // 2 * 2
    hop = round(HOP_SECONDS * sample_rate)
    power = librosa.feature.melspectrogram(
        y=np.pad(waveform.astype(np.float64), window // 2),
        sr=sample_rate,
        n_fft=window,
        hop_length=hop,
        n_mels=MELS,
        center=False,
    )
    expected = librosa.power_to_db(power, ref=np.max, top_db=-FLOOR_DB)
    assert np.allclose(mel_spectrogram(waveform, sample_rate).decibels, expected, atol=1e-4)


def test_mel_spectrogram_of_a_tone_is_loudest_in_the_band_of_its_frequency() -> None:
    tone = np.sin(2 * np.pi * 1500 * np.arange(16_000) / 16_000).astype(np.float32)
    made = mel_spectrogram(tone, 16_000)
    band = int(made.decibels.mean(axis=1).argmax())
    assert made.edges_hertz[band] < 1500 < made.edges_hertz[band + 1]


def test_mel_spectrogram_of_digital_silence_is_at_the_floor() -> None:
    assert (mel_spectrogram(np.zeros(1000, dtype=np.float32), 16_000).decibels == FLOOR_DB).all()
