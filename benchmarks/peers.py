"""What this pipeline is compared with: ``python benchmarks/peers.py NAME FILES OUT PROCESSES [CLIPS]``.

The peer called NAME decodes the first CLIPS of a folder of audio, and writes their waveforms at 16 kHz to the folder
OUT in its own way. Runs in any interpreter that has the peer's packages, and needs nothing of this project.
"""

# Each peer imports what it needs, before its processes fork. All are called alike.
# ruff: noqa: PLC0415, ARG001, F401

from __future__ import annotations

import io
import math
import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

_RATE = 16_000  # Hz
_CHUNK = 16
_SHARD = 512


def decode(paths: list[Path], out: Path, processes: int) -> None:
    """Read and decode with soundfile, and nothing else."""
    import soundfile

    _map(_decode, paths, processes)


def resample(paths: list[Path], out: Path, processes: int) -> None:
    """Read, decode, resample, round to 16 bits; nothing is checked, and nothing is written."""
    import soundfile
    import soxr

    _map(_pcm16, paths, processes)


def bound(paths: list[Path], out: Path, processes: int) -> None:
    """Do the same and pack the samples as pcm16 Parquet, one file for each process."""
    import pyarrow.parquet
    import soundfile
    import soxr

    tasks = [(paths[first::processes], out / f"{first}.parquet") for first in range(processes)]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        pool.starmap(_write, tasks)


def librosa_loop(paths: list[Path], out: Path, processes: int) -> None:
    """Do what a student writes: a loop over librosa.load, a list, DataFrame.to_parquet."""
    import librosa
    import pandas as pd

    rows = []
    for path in paths:
        waveform, rate = librosa.load(path, sr=_RATE)
        rows.append({"filename": path.name, "waveform": waveform, "sample_rate": rate})
    pd.DataFrame(rows).to_parquet(out / "waveforms.parquet")


def ffmpeg(paths: list[Path], out: Path, processes: int) -> None:
    """Start one ffmpeg for each clip, so many at a time."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise ModuleNotFoundError("ffmpeg")

    def convert(path: Path) -> None:
        options = ["-ar", str(_RATE), "-ac", "1", "-c:a", "pcm_s16le", str(out / f"{path.stem}.wav")]
        subprocess.run([program, "-nostdin", "-loglevel", "error", "-i", str(path), *options], check=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(convert, paths))


def lhotse(paths: list[Path], out: Path, processes: int) -> None:
    """Write lhotse's Shar with FLAC."""
    library = import_module("lhotse")

    recordings = library.RecordingSet.from_recordings(library.Recording.from_file(path) for path in paths)
    cuts = library.CutSet.from_manifests(recordings=recordings).resample(_RATE).to_eager()
    cuts.to_shar(out, fields={"recording": "flac"}, shard_size=_SHARD, num_jobs=processes)


def datasets(paths: list[Path], out: Path, processes: int) -> None:
    """Map over a data set of Hugging Face's and write it as Parquet."""
    library = import_module("datasets")
    library.disable_progress_bars()
    clips = library.Dataset.from_dict({"audio": [str(path) for path in paths]})
    clips = clips.cast_column("audio", library.Audio(sampling_rate=_RATE))
    decoded = clips.map(_decoded_by_datasets, remove_columns="audio", num_proc=processes, writer_batch_size=64)
    decoded.to_parquet(out / "waveforms.parquet")


def torchcodec(paths: list[Path], out: Path, processes: int) -> None:
    """Decode with torchcodec in threads and write pcm16 Parquet."""
    import numpy as np

    decoders = import_module("torchcodec.decoders")

    def load(path: Path) -> Any:
        samples = decoders.AudioDecoder(path, sample_rate=_RATE, num_channels=1).get_all_samples().data[0].numpy()
        return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)

    with ThreadPoolExecutor(processes) as pool, _writer(out / "waveforms.parquet") as write:
        for first in range(0, len(paths), _CHUNK):
            write(list(pool.map(load, paths[first : first + _CHUNK])))


PEERS: dict[str, Callable[[list[Path], Path, int], None]] = {
    "decode": decode,
    "resample": resample,
    "bound": bound,
    "librosa": librosa_loop,
    "ffmpeg": ffmpeg,
    "lhotse": lhotse,
    "datasets": datasets,
    "torchcodec": torchcodec,
}


def _map(function: Callable[[Path], int], paths: list[Path], processes: int) -> None:
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for _ in pool.imap_unordered(function, paths, chunksize=_CHUNK):
            pass


def _decode(path: Path) -> int:
    import soundfile

    return len(soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32")[0])


def _pcm16(path: Path) -> int:
    return len(_loaded(path))


def _loaded(path: Path) -> Any:
    import numpy as np
    import soundfile
    import soxr

    samples, rate = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32", always_2d=True)
    waveform = soxr.resample(samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0], rate, _RATE, "HQ")
    waveform = np.pad(waveform, (0, math.ceil(len(samples) * _RATE / rate) - len(waveform)))
    return np.clip(np.rint(waveform * np.float32(32768)), -32768, 32767).astype(np.int16)


def _write(paths: list[Path], out: Path) -> None:
    with _writer(out) as write:
        for first in range(0, len(paths), _CHUNK):
            write([_loaded(path) for path in paths[first : first + _CHUNK]])


class _writer:  # noqa: N801  used as a function
    """Write lists of int16 as DELTA_BINARY_PACKED Parquet, a row group for each call."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        field = pa.field("waveform", pa.list_(pa.field("element", pa.int16(), nullable=False)), nullable=False)
        self._schema = pa.schema([field])
        options: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}
        options["column_encoding"] = {"waveform.list.element": "DELTA_BINARY_PACKED"}
        self._writer = pq.ParquetWriter(path, self._schema, **options)

    def __enter__(self) -> Callable[[list[Any]], None]:
        return self._write

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def _write(self, waveforms: list[Any]) -> None:
        import numpy as np
        import pyarrow as pa

        offsets = pa.array(np.cumsum([0, *map(len, waveforms)], dtype=np.int32))
        column = pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(waveforms)), self._schema.field(0).type)
        self._writer.write_table(pa.table([column], schema=self._schema))


def _decoded_by_datasets(row: dict[str, Any]) -> dict[str, Any]:
    return {"waveform": row["audio"].get_all_samples().data[0].numpy()}


def main(name: str, files: str, out: str, processes: str, clips: str | None = None) -> None:
    """Run one peer."""
    paths = sorted(Path(files).iterdir())[: int(clips) if clips else None]
    shutil.rmtree(out, ignore_errors=True)
    Path(out).mkdir(parents=True)
    PEERS[name](paths, Path(out), int(processes))


if __name__ == "__main__":
    main(*sys.argv[1:])
