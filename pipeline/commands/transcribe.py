"""Transcripts of all waveforms: made, and compared with the words that are said, the column with the role `text`."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.commands.export import count
from pipeline.core import atomic, schema
from pipeline.core.errors import SampleError, ShardError
from pipeline.core.params import load_runtime
from pipeline.core.terminal import amount
from pipeline.engines import engine_for
from pipeline.shards.derive import derive
from pipeline.shards.folder import open_shards, shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.views.normalisation import word_error_rate
from pipeline.views.transcripts.engines import ENGINES, SAMPLE_RATE, Model, find_model
from pipeline.views.transcripts.recipe import TranscriptRecipe
from pipeline.waveforms.encodings import ENCODINGS
from pipeline.waveforms.reader import Waveforms, open_waveforms
from pipeline.waveforms.worker_facts import worker_facts

_WORST = 10
_TRIED = 3  # clips, at most, that are recognised to say how long all of them will take
_LONG_SECONDS = 120

log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what recognises the speech."""
    parser.add_argument("--engine", choices=tuple(ENGINES), default="whisper", help="default: whisper")
    parser.add_argument("--model", metavar="NAME", help="of the engine (default: tiny.en), or a folder that has one")
    parser.add_argument("--clips", type=count, metavar="N", help="how many, from the first on (default: all)")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    with atomic.exclusive_lock("transcribe"):
        yield f"transcribe: {transcribe(options.engine, options.model, options.clips)}"


def transcribe(engine: str, model: str | None = None, number: int | None = None) -> str:
    """Write ``data/transcripts/``; return the word error rate, and the clips that differ most from their text.

    Of the first `number` clips, or all; transcripts of more clips that are there stay.

    Raises
    ------
    MissingPackage, EngineError, ParameterError
        The engine or the model cannot be had.
    ShardError
        There are no waveforms, or they are damaged or not of 16,000 Hz.
    SampleError
        No column has the words that are said.
    """
    clips = open_waveforms()
    if clips.text is None:
        raise SampleError(
            "no column has the words that are said, which transcripts are compared with; "
            f"where the snapshot has one, name it in its description: text: COLUMN ({schema.SNAPSHOTS}/)"
        )
    if clips.sample_rate != SAMPLE_RATE:
        raise ShardError(
            f"speech is recognised at {SAMPLE_RATE} Hz, and these waveforms have {clips.sample_rate} Hz; "
            f"make them with: dvc repro -S waveforms.sample_rate={SAMPLE_RATE}"
        )
    found = find_model(engine, model)
    recipe = TranscriptRecipe(found, clips.text, ENCODINGS[clips.about["settings"]["encoding"]].FIELD.name)
    recipe.versions()
    runtime = load_runtime()
    there = min(_rows_made_by(recipe), len(clips))
    wanted = max(there, min(number or len(clips), len(clips)))
    if wanted > there:
        _say_how_long(clips.head(wanted)[there:], found, min(runtime.processes, len(shard_paths(schema.WAVEFORMS))))
    made = derive(recipe, schema.WAVEFORMS, schema.TRANSCRIPTS, engine_for(runtime, worker_facts), wanted)
    table = read_transcripts(schema.TRANSCRIPTS)
    return "\n".join([f"{amount(made.rows, 'clip')}, {made.computed} recognised now", *summary(table)])


def _rows_made_by(recipe: TranscriptRecipe) -> int:
    """Return how many transcripts this recipe has made before."""
    shards = open_shards(sorted(schema.TRANSCRIPTS.glob("part-*.parquet")), DerivedSeal).values()
    return sum(
        shard.num_rows
        for shard in shards
        if (shard.seal.revision, shard.seal.settings) == (recipe.REVISION, recipe.settings())
    )


def read_transcripts(folder: Path) -> pd.DataFrame:
    """Return all transcripts, in the order of the ranking."""
    shards = [Shard(path, DerivedSeal).read_all() for path in shard_paths(folder)]
    frame: pd.DataFrame = pa.concat_tables(shards).to_pandas()
    return frame


def summary(transcripts: pd.DataFrame) -> list[str]:
    """Return lines that say the word error rate, and which clips differ most from their text. Pure.

    The columns are `clip_id`, `text` (the words that are said), `recognised`, and `wer`.
    """
    rate = word_error_rate(transcripts["text"].tolist(), transcripts["recognised"].tolist())
    if rate is None:
        return ["no text has words to compare with"]
    differing = transcripts[transcripts["wer"] > 0]
    worst = differing.sort_values("wer", ascending=False, kind="stable").head(_WORST)
    return [
        f"word error rate {rate:.3f}",
        *(["clips that differ most from their text:"] if len(worst) else []),
        *(
            f"  {row.wer:5.2f}  {row.clip_id}  {row.text!r}, recognised {row.recognised!r}"
            for row in worst.itertuples()
        ),
    ]


def _say_how_long(new: Waveforms, model: Model, processes: int) -> None:
    """Load the model before workers do, so that a failure is one message, and say how long the new clips will take."""
    recogniser = model.load()
    tried = new.head(max(1, min(_TRIED, len(new) // 10)))
    begun = time.perf_counter()
    for clip in tried:
        recogniser.recognise(clip.waveform)
    each = (time.perf_counter() - begun) / len(tried)
    seconds = each * len(new) / processes
    duration = f"{seconds:.0f} s" if seconds < _LONG_SECONDS else f"{seconds / 60:.0f} min"
    log.warning("transcripts: %.1f s a clip, about %s for %s", each, duration, amount(len(new), "clip"))
