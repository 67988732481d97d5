"""Measurements of a spectrum are those of librosa."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.audio.spectrum import MEL_BANDS, MFCCS, analyse, frame_sizes
from tests.support.voices import Float32, demo_voices, noise, pulses, tone

pytestmark = pytest.mark.usefixtures("librosa")  # in one process with all that need it

SOUNDS = {
    "a voice": demo_voices(1)[0],
    "a longer voice": np.concatenate(demo_voices(3)),
    "white noise": noise(1),
    "a tone in a room": tone(440) + noise(1, -70),  # alone, it has the bandwidth of what float32 rounds off
    "pulses between silence": np.pad(pulses(150)[:8000], 8000),
    "digital silence": np.zeros(5000, dtype=np.float32),
    "a sample": np.ones(1, dtype=np.float32),
    "99 samples": noise(1)[:99],
}


def librosas(waveform: Float32, sample_rate: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return what librosa has for each attribute of `Frames`."""
    from librosa import feature, power_to_db, stft

    window, hop = frame_sizes(sample_rate)
    y = waveform.astype(np.float64)
    magnitude = np.abs(stft(y, n_fft=window, hop_length=hop))
    mel_power = feature.melspectrogram(y=y, sr=sample_rate, n_fft=window, hop_length=hop, n_mels=MEL_BANDS)
    mfcc = feature.mfcc(y=y, sr=sample_rate, n_mfcc=MFCCS, n_fft=window, hop_length=hop, n_mels=MEL_BANDS)
    return {
        "mel_db": power_to_db(mel_power).T,
        "mfcc": mfcc.T,
        "centroid_hz": feature.spectral_centroid(S=magnitude, sr=sample_rate)[0],
        "bandwidth_hz": feature.spectral_bandwidth(S=magnitude, sr=sample_rate)[0],
        "rolloff_hz": feature.spectral_rolloff(S=magnitude, sr=sample_rate)[0],
        "flatness": feature.spectral_flatness(S=magnitude)[0],
        "zcr": feature.zero_crossing_rate(y, frame_length=window, hop_length=hop)[0],
        "rms": feature.rms(y=y, frame_length=window, hop_length=hop)[0],
    }


# In dB, Hz, and shares.
TOLERANCES = {"mel_db": 0.02, "mfcc": 0.02, "centroid_hz": 0.05, "bandwidth_hz": 0.05, "rolloff_hz": 0.0}
TOLERANCES |= {"flatness": 2e-5, "zcr": 1e-9, "rms": 1e-7}


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large for input signal:UserWarning")
@pytest.mark.parametrize(
    "sample_rate", [16_000, *(pytest.param(rate, marks=pytest.mark.more) for rate in (8000, 22_050, 44_100))]
)
@pytest.mark.parametrize("sound", SOUNDS)
def test_spectrum_is_librosas(sound: str, sample_rate: int) -> None:
    made = analyse(SOUNDS[sound], sample_rate)
    for name, expected in librosas(SOUNDS[sound], sample_rate).items():
        found = getattr(made, name)
        assert found.shape == expected.shape, name
        if name == "rolloff_hz":
            assert np.mean(~np.isclose(found, expected)) < 0.02  # a frequency where sums differ in the last bit
        else:
            assert np.allclose(found, expected, rtol=1e-4, atol=TOLERANCES[name]), name


def test_spectrum_has_the_frames_of_librosa_at_every_length() -> None:
    for length in (1, 2, 159, 160, 161, 511, 512, 513, 1600):
        assert len(analyse(noise(1)[:length], 16_000).rms) == 1 + length // 160


def test_spectrum_of_no_samples_is_a_frame_of_silence() -> None:
    made = analyse(np.zeros(0, dtype=np.float32), 16_000)
    assert made.mfcc.shape == (1, MFCCS)
    assert made.rms.tolist() == [0]
