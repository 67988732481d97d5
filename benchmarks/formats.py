"""`waveforms` over WAV, FLAC, Ogg and MP3 beside a bare loop, and excerpts beside ``soundfile.read(start=, frames=)``.

Run from the root: ``python benchmarks/formats.py [--clips 3000] [--rounds 3] [--against CHECKOUT]``. Both are run in
turns, in as many processes, on the corpus of benchmarks/corpus.py in each format; so is another checkout of this
project where one is named. Prints tables in Markdown. On a busy machine, processor times mean more than wall times.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import corpus
import numpy as np
import soundfile
import soxr
from speed import HERE, ROOT, Bench

from pipeline.audio import decode
from pipeline.audio.walk import walk

MOST = 1.15  # of the wall time of the bare loop
KINDS = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}
_DIFFERENT = 500
_LONG_SECONDS, _EXCERPT_SECONDS = 600, 5
_EXCERPTS = 20


def write_clips(mp3s: Path, folder: Path, kind: str, clips: int) -> Path:
    """Write so many clips of a format; of all but MP3, `_DIFFERENT` different ones."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(mp3s.glob("*.mp3"))[:clips]
    for number, path in enumerate(paths):
        target = folder / f"{number:06}.{kind}"
        if target.exists():
            continue
        if kind == "mp3":
            shutil.copy(path, target)
        elif number >= _DIFFERENT:
            os.link(folder / f"{number % _DIFFERENT:06}.{kind}", target)
        else:
            samples, rate = soundfile.read(path)
            soundfile.write(target, samples, rate, subtype=KINDS[kind])
    return folder.resolve()


def make_project(folder: Path, files: Path, kind: str, clips: int) -> Path:
    """Write the settings of a pipeline that takes all files of a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "configs/snapshots").mkdir(parents=True)
    (folder / "configs/snapshots/bench.yaml").write_text(
        "title: made by benchmarks/corpus.py\nlicense: CC0-1.0\ncitation: none\n"
        f'source: {{kind: directory, path: {files}}}\naudio: "{{name}}.{kind}"\n'
    )
    (folder / "params.yaml").write_text(
        "snapshot: bench\n"
        "stratify: {tables: [], strata: [], require: [], allocation: proportional, seed: 2017, "
        "splits: {train: 0.8, dev: 0.1, test: 0.1}}\n"
        f"subsample: {{clips: {clips}, seconds: [0.5, 20], max_rejected: 0.05, exclude: []}}\n"
        "waveforms: {sample_rate: 16000, encoding: pcm16}\nshards: {clips: 512}\n"
    )
    return folder


def compare(bench: Bench, files: Path, kind: str, clips: int, checkouts: dict[str, Path]) -> None:
    """Print what the bare loop and each checkout took."""
    project = make_project(bench.folder / "run", files, kind, clips)
    bench.stages(project, "download", "stratify", "subsample")
    bound = [sys.executable, HERE / "peers.py", "bound", files, bench.folder / "peer", bench.processes, clips]
    walls: dict[str, list[float]] = {}
    cpus: dict[str, list[float]] = {}
    for _ in range(bench.rounds):
        for name in ("the bare loop", *checkouts):
            if name in checkouts:
                shutil.rmtree(project / "data/waveforms", ignore_errors=True)
                took = bench.run([sys.executable, "-m", "pipeline", "waveforms"], project, checkouts[name])
            else:
                took = bench.run(bound, bench.folder)
            walls.setdefault(name, []).append(took.wall)
            cpus.setdefault(name, []).append(took.cpu)
    bare_wall, bare_cpu = median(walls["the bare loop"]), median(cpus["the bare loop"])
    for name, found in walls.items():
        wall, cpu = median(found), median(cpus[name])
        figures = f"{wall:.2f} | {wall / bare_wall:.2f} | {cpu:.2f} | {cpu / bare_cpu:.2f}"
        print(f"| {kind} | {name} | {figures} |", flush=True)


def excerpts(kind: str) -> str:
    """Return a row: an excerpt of 5 s out of ten minutes, against soundfile's seek, soxr, and nothing else."""
    rate = 48_000
    noise = np.random.default_rng(29).normal(0, 0.05, (_LONG_SECONDS * rate, 2))
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, 2, format=kind, subtype=KINDS[kind]) as sound:
        for start in range(0, len(noise), rate):
            sound.write(noise[start : start + rate])
    data = file.getvalue()
    walked = walk(data)
    starts = np.random.default_rng(5).uniform(0, _LONG_SECONDS - _EXCERPT_SECONDS, _EXCERPTS)

    def ours(start: float) -> None:
        decode.load_piece(walked, 16_000, (start, start + _EXCERPT_SECONDS))

    def bare(start: float) -> None:
        frames = _EXCERPT_SECONDS * rate
        samples, _ = soundfile.read(io.BytesIO(data), start=int(start * rate), frames=frames, dtype="float32")
        soxr.resample(samples.mean(axis=1), rate, 16_000, "HQ")

    times: dict[Callable[[float], None], list[float]] = {ours: [], bare: []}
    for start in starts:
        for function, found in times.items():
            begun = time.process_time()
            function(start)
            found.append(time.process_time() - begun)
    return f"| {kind} | {median(times[ours]) * 1000:.1f} | {median(times[bare]) * 1000:.1f} |"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench", help="corpus and scratch files")
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--against", type=Path, help="another checkout, which reads the same clips")
    options = parser.parse_args()
    bench = Bench(options.folder, options.processes, options.rounds, sys.executable)
    checkouts = {"`waveforms`": ROOT} | ({options.against.name: options.against.resolve()} if options.against else {})
    mp3s = bench.unpacked(corpus.make(options.folder, options.clips), options.clips)
    print(
        f"| {options.clips} clips | | wall, s | of the loop | processor, s | of the loop |\n|---|---|---|---|---|---|"
    )
    for kind in options.kinds:
        files = write_clips(mp3s, options.folder / kind, kind, options.clips)
        compare(bench, files, kind, options.clips, checkouts)
    print(f"\nBar: at most {MOST:g} of the loop's wall time.\n")
    print("| 5 s of 600, 48 kHz stereo | ours, ms | soundfile and soxr, ms |\n|---|---|---|")
    for kind in options.kinds:
        print(excerpts(kind), flush=True)


if __name__ == "__main__":
    main()
