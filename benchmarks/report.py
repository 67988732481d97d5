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
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the package is not installed, it lies here

from pipeline.clips.examine import Check  # noqa: E402
from pipeline.clips.writer import ClipsSeal  # noqa: E402
from pipeline.core import schema  # noqa: E402
from pipeline.core.params import load_params  # noqa: E402
from pipeline.sampling import ranking  # noqa: E402
from pipeline.shards import sealed  # noqa: E402
from pipeline.shards.derive import make_shard  # noqa: E402
from pipeline.shards.folder import shard_name  # noqa: E402
from pipeline.shards.table import write_table  # noqa: E402
from pipeline.snapshot import tables  # noqa: E402
from pipeline.snapshot.receipt import FolderIdentity, Receipt, write_receipt  # noqa: E402
from pipeline.views.features.recipe import FeatureRecipe  # noqa: E402
from pipeline.waveforms.shard import WaveformRecipe  # noqa: E402

RATE, SECONDS = 48_000, 4.4
SHARD = 512


def write_tables(rows: int) -> None:
    """Write tables of so many rows, with the sentences, ages and genders of 7,000 sentences and 24 strata."""
    numbers = np.arange(rows)
    words = np.array(["river", "window", "seven", "quiet", "market", "the", "of", "and", "slowly"])
    sentence = [" ".join(words[(n * np.arange(2, 10)) % len(words)]) + f" {n}" for n in range(7_000)]
    schema.TABLES.mkdir(parents=True)
    for part, (table, share) in enumerate({"valid-train": 0.96, "valid-dev": 0.02, "valid-test": 0.02}.items()):
        count = round(rows * share)
        chosen = numbers[:count] * 7 + part
        frame = pd.DataFrame({"filename": [f"cv-{table}/sample-{n:06}.mp3" for n in range(count)]})
        frame["text"] = [sentence[n % 7_000] for n in chosen]
        frame["up_votes"], frame["down_votes"] = 1, 0
        frame["age"] = np.array([*sorted(schema.VOCABULARY["age"])])[chosen % 9 * (chosen % 2)]
        frame["gender"] = np.array(["male", "male", "female", "other"])[chosen % 4]
        frame["accent"] = frame["duration"] = ""
        frame.to_csv(schema.TABLES / f"cv-{table}.csv", index=False, lineterminator="\n")


def write_ranking(clips: int) -> pa.Table:
    """Rank all rows; return the sample."""
    params = load_params().stratify
    table = tables.read_clips(params.tables)
    ranked = ranking.rank(
        table, strata=params.strata, allocation=params.allocation, seed=params.seed, splits=params.splits
    )
    order = pa.Table.from_pandas(ranked, preserve_index=False).cast(schema.RANKING_SCHEMA)
    write_table(schema.RANKING, order)
    sample = order.slice(0, clips).append_column("weight", pa.array(np.ones(clips, dtype=np.int64)))
    write_table(schema.SAMPLE, sample.cast(schema.SAMPLE_SCHEMA))
    schema.REJECTED.write_text(",".join(schema.REJECTED_COLUMNS) + "\n")
    return sample


def write_shards(sample: pa.Table) -> None:
    """Write shards of clips, of their waveforms and of their features, with the recipes that the stages use."""
    noise = np.random.default_rng(0).standard_normal(round(RATE * SECONDS)).astype(np.float32) / 20
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, RATE, format="MP3")
    mp3 = buffer.getvalue()
    waveforms, features = WaveformRecipe(16_000, "pcm16"), FeatureRecipe((65, 500))
    for number, start in enumerate(range(0, sample.num_rows, SHARD)):
        rows = sample.slice(start, SHARD)
        rows = rows.append_column("mp3", pa.array([mp3] * rows.num_rows)).select(schema.CLIPS_SCHEMA.names)
        path = schema.CLIPS / shard_name(number)
        with sealed.writing(path, schema.CLIPS_SCHEMA, compression="none", use_dictionary=False) as writer:
            for group in range(0, rows.num_rows, 64):
                writer.write(rows.slice(group, 64).cast(schema.CLIPS_SCHEMA))
            writer.seal(
                ClipsSeal(
                    snapshot="generated",
                    title="",
                    license="",
                    fingerprint=sealed.fingerprint(path.name),
                    revision=Check.REVISION,
                    source={},
                    seconds=(0.5, 20.0),
                )
            )
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
        write_tables(options.rows)
        identity = FolderIdentity(options.clips, "0" * 64)
        digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in schema.TABLES.iterdir()}
        source: dict[str, str | int] = {"kind": "generated"}
        write_receipt(schema.RECEIPT, Receipt("generated", "kaggle-v1", source, options.clips, identity, digests))
        write_shards(write_ranking(options.clips))
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
