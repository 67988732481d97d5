"""What a clip's features cost: ``python benchmarks/features.py WAVEFORMS [CLIPS]`` writes JSON to stdout.

Processor milliseconds for each clip on one core, the least of some rounds in turns: decoding FLAC of it, for scale; all
columns as the stage computes them, and their parts; librosa doing the same with the same parameters: pYIN in the place
of pitch, and its functions for the rest. ``seconds_a_clip`` says how long the clips are.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package is not installed, it lies here

from pipeline import open_waveforms
from pipeline.audio import decode, pitch, spectrum
from pipeline.views.features.measure import measure

Waveforms = list[npt.NDArray[np.float32]]

_ROUNDS = 5
_PYIN_CLIPS = 4  # it takes long
_BESIDE = 16  # clips of a row group
_F0_HZ = (65.0, 500.0)


def main(folder: str, count: str = "64") -> None:
    """Measure, in turns."""
    clips = open_waveforms(folder).head(int(count))
    rate = clips.sample_rate
    waveforms, texts = [clip.waveform for clip in clips], [clip.text for clip in clips]
    flacs = [decode.to_file(decode.to_pcm16(waveform)[0], rate, "FLAC") for waveform in waveforms]
    groups = [slice(start, start + _BESIDE) for start in range(0, len(waveforms), _BESIDE)]
    work: dict[str, tuple[Callable[[], object], int]] = {
        "decode_flac": (lambda: [decode.from_flac(flac) for flac in flacs], len(waveforms)),
        "features": (lambda: [measure(waveforms[g], rate, texts[g], _F0_HZ) for g in groups], len(waveforms)),
        "pitch": (lambda: [pitch.pitches(waveforms[g], rate, _F0_HZ) for g in groups], len(waveforms)),
        "spectrum": (lambda: [spectrum.analyse(waveform, rate) for waveform in waveforms], len(waveforms)),
        "librosa_pyin": (lambda: _pyin(waveforms[:_PYIN_CLIPS], rate), min(_PYIN_CLIPS, len(waveforms))),
        "librosa_spectrum": (lambda: _librosa_spectrum(waveforms, rate), len(waveforms)),
    }
    least = dict.fromkeys(work, float("inf"))
    for function, _ in work.values():
        function()  # compiled, and tables made
    for _ in range(_ROUNDS):
        for name, (function, done) in work.items():
            begun = time.process_time()
            function()
            least[name] = min(least[name], (time.process_time() - begun) / done * 1000)
    seconds = sum(map(len, waveforms)) / rate / len(waveforms)
    found = {name: round(milliseconds, 3) for name, milliseconds in least.items()}
    print(json.dumps({"clips": len(waveforms), "seconds_a_clip": round(seconds, 2), "processor_ms_a_clip": found}))


def _pyin(waveforms: Waveforms, rate: int) -> None:
    import librosa  # noqa: PLC0415  its import is no part of what is measured

    for waveform in waveforms:
        librosa.pyin(waveform, fmin=_F0_HZ[0], fmax=_F0_HZ[1], sr=rate, frame_length=1024, hop_length=160)


def _librosa_spectrum(waveforms: Waveforms, rate: int) -> None:
    from librosa import feature  # noqa: PLC0415

    window, hop = spectrum.frame_sizes(rate)
    for y in waveforms:
        feature.mfcc(y=y, sr=rate, n_mfcc=spectrum.MFCCS, n_mels=spectrum.MEL_BANDS, n_fft=window, hop_length=hop)
        for shape in (feature.spectral_centroid, feature.spectral_bandwidth, feature.spectral_rolloff):
            shape(y=y, sr=rate, n_fft=window, hop_length=hop)
        feature.spectral_flatness(y=y, n_fft=window, hop_length=hop)
        feature.zero_crossing_rate(y, frame_length=window, hop_length=hop)
        feature.rms(y=y, frame_length=window, hop_length=hop)


if __name__ == "__main__":
    main(*sys.argv[1:])
