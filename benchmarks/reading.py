"""How fast the reader is: ``python benchmarks/reading.py WAVEFORMS MP3S CLIPS`` writes JSON to stdout.

``iterate_seconds`` and ``decode_seconds`` are processor time on one core: all clips with the reader, and decoding
CLIPS of the MP3s with soundfile, taken for all. ``open_ms`` and ``one_clip_ms`` are wall times: of opening, and of
one clip after the other at random places (median and 95th percentile).
"""

from __future__ import annotations

import io
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package is not installed, it lies here

from pipeline import Waveforms, open_waveforms

_ROUNDS = 3
_AT_RANDOM = 200


def main(waveforms: str, mp3s: str, count: str) -> None:
    """Measure, in turns."""
    begun = time.perf_counter()
    clips = open_waveforms(waveforms)
    opened = time.perf_counter() - begun
    paths = sorted(Path(mp3s).glob("*.mp3"))[: int(count)]
    iterate, decode = [], []
    for _ in range(_ROUNDS):
        iterate.append(_processor_seconds(lambda: _iterate(clips)))
        decode.append(_processor_seconds(lambda: _decode(paths)))
    places = random.Random(2017).choices(range(len(clips)), k=_AT_RANDOM)
    at_random = sorted(_milliseconds(lambda place=place: clips[place]) for place in places)  # type: ignore[misc]
    found = {
        "iterate_seconds": median(iterate),
        "decode_seconds": median(decode) * len(clips) / len(paths),
        "open_ms": opened * 1000,
        "one_clip_ms": [median(at_random), at_random[len(at_random) * 95 // 100]],
    }
    print(json.dumps(found))


def _iterate(clips: Waveforms) -> None:
    for clip in clips:
        assert len(clip.waveform) == clip.num_samples


def _decode(paths: list[Path]) -> None:
    for path in paths:
        soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32")


def _processor_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _milliseconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main(*sys.argv[1:])
