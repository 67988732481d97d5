"""Each front end equals its reference: librosa's functions, and Whisper's computation as published."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.audio.front_ends import FRONT_ENDS, REFERENCES
from tests.support.waveforms import voice

SAMPLES = [1, 99, 512, 1023, 16_000, 48_000]
RATE = 16_000


def whisper_by_its_definition(waveform: npt.NDArray[np.float32], mels: int, librosa: Any) -> npt.NDArray[np.float64]:
    """Return what the paper and its reference code describe, frame by frame, with librosa's filters."""
    signal = waveform.astype(np.float64)
    before, after = signal[1:201][::-1], signal[-201:-1][::-1]  # reflected about the first and the last sample
    padded = np.concatenate([before, signal, after])
    hann = np.sin(np.pi * np.arange(400) / 400) ** 2
    spectra = [np.fft.fft(padded[start : start + 400] * hann)[:201] for start in range(0, len(padded) - 399, 160)]
    power = np.abs(np.array(spectra[:-1]).T) ** 2
    bands = librosa.filters.mel(sr=16_000, n_fft=400, n_mels=mels, fmin=0, fmax=8000, norm="slaney").astype(np.float64)
    logarithm = np.log10(np.clip(bands @ power, 1e-10, None))
    clamped: npt.NDArray[np.float64] = np.maximum(logarithm, logarithm.max() - 8.0)
    return (clamped + 4.0) / 4.0


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal:UserWarning")
@pytest.mark.parametrize("samples", SAMPLES)
@pytest.mark.parametrize("rate", [16_000, pytest.param(22_050, marks=pytest.mark.more)])
def test_front_end_mel_128_is_librosa(samples: int, rate: int, librosa: Any) -> None:
    waveform = voice(samples, rate)
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64), sr=rate, n_fft=2048, hop_length=512, n_mels=128, dtype=np.float64
    )
    front_end = FRONT_ENDS["mel-128"]
    made = front_end.spectrogram(waveform, rate, "full-scale")
    assert made.dtype == np.float32
    assert made.shape == (128, front_end.frames(samples)) == power.shape
    np.testing.assert_allclose(made, librosa.power_to_db(power, top_db=None), atol=0.001, rtol=0)
    relative = front_end.spectrogram(waveform, rate, "clip")
    np.testing.assert_allclose(relative, librosa.power_to_db(power, ref=np.max), atol=0.001, rtol=0)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("samples", [320, 16_000, 16_001, 48_000])
def test_front_end_whisper_is_its_published_computation(samples: int, mels: int, librosa: Any) -> None:
    front_end = FRONT_ENDS[f"whisper-{mels}"]
    made = front_end.spectrogram(voice(samples), RATE, front_end.default_reference)
    expected = whisper_by_its_definition(voice(samples), mels, librosa)
    assert made.dtype == np.float32
    assert made.shape == (mels, samples // 160) == expected.shape
    np.testing.assert_allclose(made, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", FRONT_ENDS)
@pytest.mark.parametrize("samples", [0, 1, 100, 159, 160, 161])
@pytest.mark.parametrize("reference", REFERENCES)
def test_front_end_counts_the_frames_of_the_shortest_waveforms(name: str, samples: int, reference: str) -> None:
    front_end = FRONT_ENDS[name]
    made = front_end.spectrogram(voice(samples), RATE, reference)
    assert made.shape == (front_end.mels, front_end.frames(samples))
    assert np.isfinite(made).all()


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_end_floor_is_the_level_of_silence_and_the_lowest(name: str) -> None:
    front_end = FRONT_ENDS[name]
    silence = np.zeros(RATE, dtype=np.float32)
    floor = np.float32(front_end.floors["full-scale"])
    assert (front_end.spectrogram(silence, RATE, "full-scale") == floor).all()
    for reference, lowest in front_end.floors.items():
        assert front_end.spectrogram(voice(RATE), RATE, reference).min() >= np.float32(lowest)


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_front_end_ceiling_is_the_level_of_the_loudest_sine(name: str) -> None:
    front_end, times = FRONT_ENDS[name], np.arange(RATE) / RATE
    loudest = max(
        front_end.spectrogram(np.sin(2 * np.pi * hertz * times).astype(np.float32), RATE, "full-scale").max()
        for hertz in range(60, 1500, 20)
    )
    ceiling = front_end.ceilings["full-scale"]
    assert ceiling - 0.05 * (ceiling - front_end.floors["full-scale"]) < loudest <= ceiling
