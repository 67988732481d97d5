"""A corpus to measure with: thousands of clips like the real ones, in a zip laid out like Kaggle's.

Run from the root: ``python benchmarks/corpus.py --clips 1000 .bench``. It writes a zip, and what the pipeline needs to
take it for a snapshot. The clips are glued from the demo's voices at another place, loudness and length each, with a
little noise as rooms have it: 48 kHz mono, 64 kbit/s, no Info frame, 4.4 s on average, like the real ones. The
same bytes whenever the versions of NumPy and libsndfile are the same.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import lfilter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the package is not installed, it lies here

from pipeline.audio.mp3 import walk  # noqa: E402
from pipeline.core.errors import Rejected  # noqa: E402

DEMO = ROOT / "data" / "demo" / "common-voice-demo.zip"
TABLE = "cv-valid-train"
RATE = 48_000  # Hz
SEED = 2017
_SECONDS = (1.5, 2.8, 8.9)  # shortest, most frequent, longest: 4.4 on average
_DIFFERENT = 500  # as many are encoded, which takes its time; more are the same audio under another tag
_DARKER = 0.3  # of the amplitude above 1 kHz is taken away, so that neighbouring samples differ as in real clips
_DECIBELS = (-14, 0)  # how much louder the speech is than in the demo: −30 dBFS a clip; 30 real ones have −27
_PAUSE = RATE // 2  # samples before and after the speech: people need a moment
_NOISE_DECIBELS = (-95, -50)  # of the room, dBFS: what the quiet tenth of 30 real clips has, all but the extremes
_FRAME_BYTES = 192  # 64 kbit/s at 48 kHz
_CONSTANT_64K = {"compression_level": 0.8889, "bitrate_mode": "CONSTANT"}


class Voices(NamedTuple):
    """The good clips of the demo, one behind the other, and what its table says of them."""

    rows: list[dict[str, str]]
    waveform: npt.NDArray[np.float32]


def make(folder: Path, clips: int) -> Path:
    """Make a zip of `clips` clips in `folder`, unless it is there; return its path."""
    path = folder / f"corpus-{clips}.zip"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        rows = []
        for number, (row, mp3) in enumerate(_clips(clips)):
            name = f"{TABLE}/sample-{number:06}.mp3"
            archive.writestr(zipfile.ZipInfo(f"{TABLE}/{name}"), mp3)
            rows.append({**row, "filename": name})
        archive.writestr(zipfile.ZipInfo(f"{TABLE}.csv"), _as_csv(rows))
    temporary.replace(path)
    return path


def make_project(folder: Path, archive: Path, clips: int, encoding: str = "pcm16", shard_clips: int = 512) -> Path:
    """Write the settings of a pipeline that takes `clips` clips from `archive` into an empty `folder`."""
    shutil.copytree(ROOT / "configs/formats", folder / "configs/formats", dirs_exist_ok=True)
    (folder / "configs" / "snapshots").mkdir(exist_ok=True)
    (folder / "configs" / "snapshots" / "bench.yaml").write_text(
        "title: made by benchmarks/corpus.py\nlicense: CC0-1.0\ncitation: none\nformat: kaggle-v1\n"
        f"source: {{kind: archive, path: {archive.resolve()}}}\n"
    )
    (folder / "params.yaml").write_text(
        "snapshot: bench\n"
        "stratify: {tables: [valid-train], strata: [gender, age], require: [], allocation: proportional, seed: 2017, "
        "splits: {train: 0.8, dev: 0.1, test: 0.1}}\n"
        f"subsample: {{clips: {clips}, seconds: [0.5, 20], max_rejected: 0.05, exclude: []}}\n"
        f"waveforms: {{sample_rate: 16000, encoding: {encoding}}}\n"
        f"shards: {{clips: {shard_clips}}}\n"
    )
    return folder


def _clips(count: int) -> Iterator[tuple[dict[str, str], bytes]]:
    """Yield what the table says of each clip, and its MP3."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("forkserver")) as pool:
        different = list(pool.map(_clip, range(min(count, _DIFFERENT)), chunksize=32))
    for number in range(count):
        row, frames = different[number % len(different)]
        yield row, _tag(number) + frames


def _clip(number: int) -> tuple[dict[str, str], bytes]:
    voices = _voices()
    dice = np.random.default_rng([SEED, number])
    noise = 10 ** (dice.uniform(*_NOISE_DECIBELS) / 20)
    waveform = dice.normal(0, noise, round(dice.triangular(*_SECONDS) * RATE)).astype(np.float32)
    speech = waveform[_PAUSE:-_PAUSE]
    start = int(dice.integers(len(voices.waveform) - len(speech)))
    speech += voices.waveform[start : start + len(speech)] * np.float32(10 ** (dice.uniform(*_DECIBELS) / 20))
    return voices.rows[int(dice.integers(len(voices.rows)))], _frames(waveform)


@lru_cache(maxsize=1)
def _voices() -> Voices:
    rows, waveforms = [], []
    with zipfile.ZipFile(DEMO) as archive:
        for row in csv.DictReader(io.StringIO(archive.read(f"{TABLE}.csv").decode())):
            try:
                data = archive.read(f"{TABLE}/{row['filename']}")
                walk(data)
            except (Rejected, zipfile.BadZipFile, KeyError):
                continue  # one of the demo's planted faults
            waveform, rate = soundfile.read(io.BytesIO(data), dtype="float32")
            if rate == RATE and waveform.ndim == 1:
                rows.append(row)
                waveforms.append(waveform)
    return Voices(rows, _darker(np.concatenate(waveforms)))


def _darker(waveform: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return speech with less above 1 kHz: espeak-ng's is brighter than what people record at home."""
    pole = math.exp(-2 * math.pi * 1000 / RATE)
    low = lfilter([1 - pole], [1, -pole], waveform)
    return np.asarray((1 - _DARKER) * waveform + _DARKER * low, dtype=np.float32)


def _frames(waveform: npt.NDArray[np.float32]) -> bytes:
    """Return the frames of an MP3 without the first one, which only describes the others."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", RATE, 1, format="MP3", subtype="MPEG_LAYER_III", **_CONSTANT_64K) as file:
        file.write(waveform)
    frames = buffer.getvalue()
    assert b"Info" in frames[:_FRAME_BYTES]
    return frames[_FRAME_BYTES:]


def _tag(number: int) -> bytes:
    """Return an ID3v2.4 tag with the clip's number, so that no two clips are the same file."""
    text = b"\x03bench %06d" % number
    frame = b"TSSE" + len(text).to_bytes(4) + b"\x00\x00" + text
    return b"ID3\x04\x00\x00" + len(frame).to_bytes(4) + frame


def _as_csv(rows: list[dict[str, str]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def main() -> None:
    """Make a corpus and say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=1000)
    options = parser.parse_args()
    print(make(options.folder, options.clips))


if __name__ == "__main__":
    main()
