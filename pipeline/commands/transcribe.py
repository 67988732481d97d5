"""Transcripts of all waveforms: made, and compared with the words that are said, the column with the role `text`."""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.core import atomic, schema
from pipeline.core.errors import SampleError, ShardError
from pipeline.core.params import load_runtime
from pipeline.engines import engine_for
from pipeline.shards.derive import derive
from pipeline.shards.folder import shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.views.normalisation import word_error_rate
from pipeline.views.transcripts.engines import ENGINES, SAMPLE_RATE, Model, find_model
from pipeline.views.transcripts.recipe import recipe_for
from pipeline.waveforms.reader import Waveforms, open_waveforms
from pipeline.waveforms.worker_facts import worker_facts

_WORST = 10
_TRIED = 3  # clips that are recognised to say how long all of them will take

log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what recognises the speech."""
    parser.add_argument("--engine", choices=tuple(ENGINES), default="whisper", help="default: whisper")
    parser.add_argument("--model", metavar="NAME", help="of the engine (default: tiny.en), or a folder that has one")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    with atomic.exclusive_lock("transcribe"):
        yield f"transcribe: {transcribe(options.engine, options.model)}"


def transcribe(engine: str, model: str | None = None) -> str:
    """Write ``data/transcripts/``; return the word error rate, and the clips that differ most from their text.

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
    recipe = recipe_for(clips.about["settings"]["encoding"], found, clips.text)
    recipe.versions()
    runtime = load_runtime()
    _say_how_long(clips, found, min(runtime.processes, len(shard_paths(schema.WAVEFORMS))))
    made = derive(recipe, schema.WAVEFORMS, schema.TRANSCRIPTS, engine_for(runtime, worker_facts))
    table = read_transcripts(schema.TRANSCRIPTS)
    said = clips.metadata()[["clip_id", clips.text]].set_axis(["clip_id", "said"], axis=1)
    return "\n".join([f"{made.rows} clips, {made.computed} recognised now", *summary(said, table)])


def read_transcripts(folder: Path) -> pd.DataFrame:
    """Return all transcripts, in the order of the ranking."""
    shards = [Shard(path, DerivedSeal).read_all() for path in shard_paths(folder)]
    frame: pd.DataFrame = pa.concat_tables(shards).to_pandas()
    return frame


def summary(clips: pd.DataFrame, transcripts: pd.DataFrame) -> list[str]:
    """Return lines that say the word error rate, and which clips differ most from their text. Pure.

    Parameters
    ----------
    clips
        `clip_id` and `said`, the words that are said.
    transcripts
        `clip_id`, `text`, as recognised, and `wer`.
    """
    both = clips.merge(transcripts.rename(columns={"text": "heard"}), on="clip_id", validate="one_to_one")
    rate = word_error_rate(both["said"].tolist(), both["heard"].tolist())
    if rate is None:
        return ["no text has words to compare with"]
    worst = both[both["wer"] > 0].sort_values("wer", ascending=False, kind="stable").head(_WORST)
    return [
        f"word error rate {rate:.3f}",
        *(["clips that differ most from their text:"] if len(worst) else []),
        *(f"  {row.wer:5.2f}  {row.clip_id}  {row.said!r}, heard {row.heard!r}" for row in worst.itertuples()),
    ]


def _say_how_long(clips: Waveforms, model: Model, processes: int) -> None:
    """Load the model before workers do, so that a failure is one message, and say how long it will take."""
    recogniser = model.load()
    begun = time.perf_counter()
    for clip in clips.head(_TRIED):
        recogniser.recognise(clip.waveform)
    each = (time.perf_counter() - begun) / max(1, min(_TRIED, len(clips)))
    minutes = max(1, round(each * len(clips) / processes / 60))
    log.warning("transcripts: %.1f s a clip, about %d min for all %d if all are new", each, minutes, len(clips))
