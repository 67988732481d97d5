"""subsample: the first good clips of the ranking, fetched and checked; each rejected one with its reason."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.clips.examine import Check, Examiner
from pipeline.clips.plan import CLIP_COLUMNS, Candidates, Goal
from pipeline.clips.rejected import Counts, rejected_csv
from pipeline.clips.writer import ClipShardWriter, wanted_seal
from pipeline.core import atomic, schema
from pipeline.core.columns import fields
from pipeline.core.errors import SampleError
from pipeline.core.params import Subsample, load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.core.terminal import amount, listed
from pipeline.sampling import shares
from pipeline.shards.table import read_table, write_table
from pipeline.snapshot.archive import Snapshot
from pipeline.snapshot.clips import read_clips
from pipeline.snapshot.description import describe
from pipeline.snapshot.receipt import read_receipt
from pipeline.snapshot.sources import reopen_snapshot

_MOST_STRATA_SHOWN = 10

log = logging.getLogger(__name__)


def run() -> str:
    """Write ``data/clips/``, ``data/rejected.csv`` and ``data/sample.parquet``; return what to tell the user.

    A run that has all its clips from previous ones needs no network.
    """
    params, runtime = load_params(), load_runtime()
    wanted = params.subsample
    order = read_table(schema.RANKING, schema.ranking_schema)
    counts, goal, check = Counts(wanted.max_rejected), Goal.of(wanted), Check(wanted.seconds)
    if wanted.clips is not None and wanted.clips > order.num_rows:
        raise _too_few(wanted, order, counts, goal)
    if unknown := sorted(set(wanted.exclude).difference(order["clip_id"].to_pylist())):
        log.warning("subsample.exclude: not among the eligible clips: %s", ", ".join(unknown))
    receipt = read_receipt()
    description = describe(params.snapshot)
    clip_table = read_clips(receipt, order["table"].unique().to_pylist(), CLIP_COLUMNS)
    candidates = Candidates(order, clip_table, wanted.exclude)
    seal = wanted_seal(params, description, receipt.source_identity(), order.schema)
    with ExitStack() as cleanup:
        pool = ThreadPoolExecutor(runtime.connections)
        cleanup.callback(pool.shutdown, wait=False, cancel_futures=True)

        @cache
        def snapshot() -> Snapshot:
            opened = reopen_snapshot(description, runtime, receipt)
            cleanup.callback(opened.close)  # gives up what is in flight
            return opened

        local = None if description.source.is_remote else snapshot()
        clips = ClipShardWriter(candidates, check, params.shards.clips, seal, local)
        for _ in clips.fill(goal, counts):
            pass
        if not goal.is_met:
            previous = clips.previous
            if missing := list(previous.missing(candidates.since(clips.rank), goal)):
                snapshot().prefetch(missing)
            with progress("clips", wanted.clips, "clips") as bar:
                bar.reach(goal.clips_so_far)
                examiner = Examiner(check, previous.recall, snapshot, pool, bar.update)
                for _ in clips.fill(goal, counts, examiner):
                    bar.reach(goal.clips_so_far)
    if not goal.is_met:
        raise _too_few(wanted, order, counts, goal)
    clips.publish()
    atomic.write_text(schema.REJECTED, rejected_csv(counts.rejected))
    write_table(schema.SAMPLE, _sample(order, counts.accepted))
    accepted = amount(len(counts.accepted), "clip")
    rejected = f"{len(counts.rejected)} rejected ({counts.reasons()})" if counts.rejected else "none rejected"
    return f"{accepted}, {goal.hours_so_far:.2f} hours; {rejected}"


def _sample(order: pa.Table, accepted: list[int]) -> pa.Table:
    """Return the accepted rows of the ranking, each with the number of eligible clips that it stands for."""
    chosen = order.take(_int64(accepted))
    sizes = {row["values"]: row["counts"] for row in order["stratum"].value_counts().to_pylist()}
    weights = _int64(shares.weights(chosen["stratum"].to_pylist(), sizes))
    return chosen.append_column("weight", weights).cast(schema.sample_schema(fields(order.schema)))


def _int64(numbers: npt.ArrayLike) -> pa.Int64Array:
    """Return integers as an array; `pa.array` imports pandas, a third of a run that has all its clips."""
    values = np.asarray(numbers, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _too_few(wanted: Subsample, order: pa.Table, counts: Counts, goal: Goal) -> SampleError:
    asked = f"{wanted.clips} clips (subsample.clips)"
    if wanted.hours is not None:
        asked = f"{wanted.hours:g} hours of clips (subsample.hours)"
    good = f", of which {len(counts.accepted)} are good, {goal.hours_so_far:.2f} hours" if counts.accepted else ""
    rejected = f"; rejected: {counts.reasons()}" if counts.rejected else ""
    sizes = sorted(order["stratum"].value_counts().to_pylist(), key=lambda row: (-row["counts"], row["values"]))
    strata = listed([f"    {row['values']} ({row['counts']} clips)" for row in sizes], _MOST_STRATA_SHOWN, "\n")
    return SampleError(
        f"cannot draw {asked}: only {order.num_rows} clips are eligible{good}{rejected}.\n"
        f"All strata together, the largest first:\n{strata}\n"
        "Ask for less, or make more clips eligible in params.yaml (stratify.tables, stratify.require)."
    )
