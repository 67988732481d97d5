"""Clips, and what librosa makes of them: ``python -m tests.audio.librosa_answers`` writes librosa_answers.npz.

The clips are stored as well, since another encoder would write other bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.audio.faults import FORMATS, whole
from tests.support.miniatures.making import encoded

ANSWERS = Path(__file__).with_suffix(".npz")
RATES = (48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 8_000)


def chord(rate: int, channels: int, samples: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return a chord (samples, channels), different on each channel."""
    time = np.arange(samples)[:, np.newaxis] / rate
    partials = 0.3 * np.sin(2 * np.pi * time * (220 * np.arange(1, channels + 1)))
    return partials + 0.2 * np.sin(2 * np.pi * 1870 * time)


def mp3(rate: int, channels: int, samples: int) -> bytes:
    """Return a genuine MP3 of a chord."""
    return encoded(chord(rate, channels, samples), rate, "MP3", "MPEG_LAYER_III")


def write() -> None:
    """Ask librosa."""
    import librosa

    clips = {f"{rate} Hz, channels {channels}": mp3(rate, channels, 1300) for rate in RATES for channels in (1, 2)}
    clips |= {name: whole(name, 0.02) for name in FORMATS}
    arrays = {}
    for name, data in clips.items():
        path = ANSWERS.with_suffix(".clip")
        path.write_bytes(data)
        arrays[f"clip {name}"] = np.frombuffer(data, dtype=np.uint8)
        for target in (16_000, 11_025) if name.startswith("48000") else (16_000,):
            arrays[f"{target} {name}"] = librosa.load(path, sr=target, mono=True)[0]
        path.unlink()
    np.savez_compressed(ANSWERS, allow_pickle=False, **arrays)


if __name__ == "__main__":
    write()
