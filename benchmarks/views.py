"""What each view takes, beside librosa doing the same: ``python benchmarks/views.py WAVEFORMS [CLIPS]``.

Milliseconds of processor time a clip, in one process with one thread, each in turns with the others; the first row is
what reading the waveforms alone takes, and is part of all rows of this project's own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package is not installed, it lies here
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import librosa
import numpy as np
import scipy.signal

from pipeline import Waveforms, open_waveforms
from pipeline.views import pictures, series

_ROUNDS = 3
_SECONDS = 3.0


def main(waveforms: str, count: str = "500") -> None:
    """Measure, and print a table."""
    clips = open_waveforms(waveforms).head(int(count))
    loaded = [waveform[: int(_SECONDS * clips.sample_rate)].copy() for waveform in clips.samples()]

    def with_librosa(draw: Callable[..., object]) -> Callable[[], object]:
        return lambda: [draw(waveform) for waveform in loaded]

    works: dict[str, Callable[[], object]] = {
        "waveforms read": lambda: sum(len(waveform) for waveform in clips.samples()),
        "series.array": lambda: series.array(clips, _SECONDS),
        "series.windows": lambda: series.windows(clips, 1.0, 0.5),
        "series.envelopes": lambda: series.envelopes(clips, seconds=_SECONDS),
        "  scipy.signal.hilbert, loaded": with_librosa(lambda waveform: np.abs(scipy.signal.hilbert(waveform))),
        "pictures, mel-128": lambda: pictures.spectrograms(clips, "mel-128", _SECONDS, processes=1),
        "  librosa, loaded": with_librosa(_mel_128),
        "pictures, whisper-80": lambda: pictures.spectrograms(clips, "whisper-80", _SECONDS, processes=1),
        "  librosa with the same frames, loaded": with_librosa(_whisper_80),
    }
    for work in works.values():
        work()  # imports, compiles and fills caches
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_ROUNDS):
        for name, work in works.items():
            begun = time.process_time()
            work()
            seconds[name].append(time.process_time() - begun)
    print(f"{len(clips)} clips, {_mean_seconds(clips):.2f} s each on average; milliseconds of processor time a clip")
    for name, measured in seconds.items():
        print(f"{median(measured) / len(clips) * 1000:8.2f}  {name}")


def _mean_seconds(clips: Waveforms) -> float:
    return float(clips.metadata()["duration_seconds"].mean())


def _mel_128(waveform: np.ndarray) -> object:
    power = librosa.feature.melspectrogram(y=waveform, sr=16_000, n_fft=2048, hop_length=512, n_mels=128)
    return librosa.power_to_db(power, top_db=None)


def _whisper_80(waveform: np.ndarray) -> object:
    power = librosa.feature.melspectrogram(
        y=waveform, sr=16_000, n_fft=400, hop_length=160, n_mels=80, pad_mode="reflect"
    )
    return np.log10(np.maximum(power, 1e-10))


if __name__ == "__main__":
    main(*sys.argv[1:])
