"""How long the report takes for a large sample, and how much memory.

Run from the root: ``python benchmarks/report.py [--clips 10000] [--rows 200000] [--runs 3] [--against CHECKOUT]``.
Tables, a ranking and shards of that size are generated in a temporary folder, the shards from noise of 4.4 seconds a
clip, as Common Voice's clips last on average. With another checkout of this project, one that reads the same shards,
both are run in turns. Prints a table in Markdown: the median of the runs, and the highest peak.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the package is not installed, it lies here

from pipeline.clips.writer import wanted_seal  # noqa: E402
from pipeline.core import schema  # noqa: E402
from pipeline.core.columns import fields  # noqa: E402
from pipeline.core.params import load_params  # noqa: E402
from pipeline.sampling import stage as stratify  # noqa: E402
from pipeline.shards import sealed  # noqa: E402
from pipeline.shards.derive import make_shard  # noqa: E402
from pipeline.shards.folder import shard_name  # noqa: E402
from pipeline.shards.table import read_table, write_table  # noqa: E402
from pipeline.snapshot import stage as download  # noqa: E402
from pipeline.snapshot.description import describe  # noqa: E402
from pipeline.views.features.recipe import FeatureRecipe  # noqa: E402
from pipeline.waveforms.shard import WaveformRecipe  # noqa: E402

RATE, SECONDS = 48_000, 4.4
SHARD = 512


def write_snapshot(rows: int) -> bytes:
    """Write tables of so many rows, of 7,000 sentences and 24 strata, and one of their clips, which is returned."""
    numbers = np.arange(rows)
    words = np.array(["river", "window", "seven", "quiet", "market", "the", "of", "and", "slowly"])
    sentence = [" ".join(words[(n * np.arange(2, 10)) % len(words)]) + f" {n}" for n in range(7_000)]
    folder = Path("snapshot")
    for part, (table, share) in enumerate({"valid-train": 0.96, "valid-dev": 0.02, "valid-test": 0.02}.items()):
        count = round(rows * share)
        chosen = numbers[:count] * 7 + part
        frame = pd.DataFrame({"filename": [f"cv-{table}/sample-{n:06}.mp3" for n in range(count)]})
        frame["text"] = [sentence[n % 7_000] for n in chosen]
        frame["up_votes"], frame["down_votes"] = 1, 0
        frame["age"] = np.array(["teens", "twenties", "thirties", "fourties"])[chosen % 4 * (chosen % 2)]
        frame["gender"] = np.array(["male", "male", "female", "other"])[chosen % 4]
        frame["accent"] = frame["duration"] = ""
        (folder / f"cv-{table}").mkdir(parents=True)
        frame.to_csv(folder / f"cv-{table}.csv", index=False, lineterminator="\n")
    noise = np.random.default_rng(0).standard_normal(round(RATE * SECONDS)).astype(np.float32) / 20
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, RATE, format="MP3")
    (folder / "cv-valid-train/sample-000000.mp3").write_bytes(buffer.getvalue())
    path = schema.SNAPSHOTS / "demo.yaml"
    YAML().dump({**YAML(typ="safe").load(path), "source": {"kind": "directory", "path": str(folder)}}, path)
    return buffer.getvalue()


def write_sample(clips: int) -> pa.Table:
    """Take the first rows of the ranking for a sample; return it."""
    sample = read_table(schema.RANKING, schema.ranking_schema).slice(0, clips)
    weighted = sample.append_column("weight", pa.array(np.ones(clips, dtype=np.int64)))
    write_table(schema.SAMPLE, weighted.cast(schema.sample_schema(fields(sample.schema))))
    schema.REJECTED.write_text(",".join(schema.REJECTED_COLUMNS) + "\n")
    return sample


def write_shards(sample: pa.Table, mp3: bytes) -> None:
    """Write shards of clips, of their waveforms and of their features, with the recipes that the stages use."""
    declared = fields(sample.schema)
    columns = schema.clips_schema(declared)
    seal = wanted_seal(load_params(), describe("demo"), {}, sample.schema)
    waveforms, features = WaveformRecipe(16_000, "pcm16", tuple(declared)), FeatureRecipe((65, 500))
    for number, start in enumerate(range(0, sample.num_rows, SHARD)):
        rows = sample.slice(start, SHARD)
        audio = pa.array([{"bytes": mp3, "path": "noise.mp3"}] * rows.num_rows, schema.AUDIO_FILE)
        rows = rows.append_column("audio", audio).select(columns.names).cast(columns)
        path = schema.CLIPS / shard_name(number)
        with sealed.writing(path, columns, compression="none", use_dictionary=False) as writer:
            for group in range(0, rows.num_rows, 64):
                writer.write(rows.slice(group, 64))
            writer.seal(replace(seal, fingerprint=sealed.fingerprint(path.name)))
        source = schema.WAVEFORMS / path.name
        make_shard(waveforms, path, source, source)
        make_shard(features, source, schema.FEATURES / path.name, schema.FEATURES / path.name)


def measured(checkout: Path) -> dict[str, float]:
    """Run the report of a checkout; return what it took."""
    command = [sys.executable, str(ROOT / "benchmarks" / "measure.py"), "taken.json"]
    command += [sys.executable, "-m", "pipeline", "report"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(checkout)}, stdout=subprocess.DEVNULL)
    return {**json.loads(Path("taken.json").read_bytes()), "page_mb": schema.REPORT.stat().st_size / 1e6}


def main() -> None:
    """Generate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=200_000, help="of the tables")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="another checkout of this project")
    options = parser.parse_args()
    checkouts = [ROOT] + ([options.against.resolve()] if options.against else [])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name in ("configs", "params.yaml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, name)
        mp3 = write_snapshot(options.rows)
        download.run()
        stratify.run()
        write_shards(write_sample(options.clips), mp3)
        taken = [[measured(checkout) for checkout in checkouts] for _ in range(options.runs)]
        os.chdir(ROOT)
    print("| checkout | clips | rows of the tables | seconds | peak memory (MB) | report.html (MB) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for checkout, runs in zip(checkouts, zip(*taken, strict=True), strict=True):
        seconds = statistics.median(run["wall"] for run in runs)
        peak, page = (max(run[what] for run in runs) for what in ("peak_mb", "page_mb"))
        print(f"| {checkout.name} | {options.clips:,} | {options.rows:,} | {seconds:.2f} | {peak:.0f} | {page:.2f} |")


if __name__ == "__main__":
    main()
