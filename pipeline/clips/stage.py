"""subsample: the first good clips of the ranking, fetched and checked; each refused one with its reason."""

from __future__ import annotations

import csv
import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clips.candidates import Candidates, Goal
from pipeline.clips.check import Check
from pipeline.clips.mp3_shards import ClipShards, Rejection, Tally, wanted_seal
from pipeline.core import atomic, schema
from pipeline.core.errors import SampleError
from pipeline.core.params import Subsample, load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.core.schema import Reason
from pipeline.sampling import shares
from pipeline.snapshot import tables
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import describe
from pipeline.snapshot.sources import open_snapshot

_MOST_STRATA_SHOWN = 10

log = logging.getLogger(__name__)


def run() -> str:
    """Write ``data/clips/``, ``data/rejected.csv`` and ``data/sample.parquet``; return what to tell the user."""
    params = load_params()
    wanted = params.subsample
    order = pq.read_table(schema.RANKING)
    if wanted.clips is not None and wanted.clips > order.num_rows:
        raise _too_few(wanted, order, Tally(wanted.max_rejected))
    _warn_of_unknown(wanted.exclude, order)
    runtime = load_runtime()
    receipt = json.loads(schema.RECEIPT.read_bytes())
    description = describe(params.snapshot)
    snapshot = open_snapshot(description, runtime)
    snapshot.verify(receipt["validators"], receipt.get("transport", {}))
    index = tables.index_clips(pq.read_table(schema.MEMBERS_FILE), receipt["format"])
    candidates = Candidates(order, index, wanted.exclude, receipt["format"])
    seal = wanted_seal(params, description, source_of(receipt))
    clips = ClipShards(candidates, Check(wanted.seconds), params.shards.clips, seal)
    goal = Goal.of(wanted)
    tally = Tally(wanted.max_rejected)
    with ThreadPoolExecutor(runtime.connections) as pool, progress("clips", wanted.clips, "clips") as bar:

        def fetch(member: Member) -> bytes:
            data = snapshot.read(member)
            bar.update(1, len(data))
            return data

        try:
            for _ in clips.fill(goal, tally, fetch, pool):
                bar.reach(goal.clips_so_far)
            if any(rejection.reason != Reason.EXCLUDED for rejection in tally.rejected):
                snapshot.confirm()
        except SampleError:  # more are bad than may be: the archive's fault, or that of its index
            snapshot.confirm()
            raise
        finally:
            snapshot.close()
            pool.shutdown(wait=False, cancel_futures=True)
    if not goal.reached():
        raise _too_few(wanted, order, tally)
    clips.publish()
    atomic.write_text(schema.REJECTED, _as_csv(tally.rejected))
    sample = _sample(order, tally.accepted)
    with atomic.replacing(schema.SAMPLE) as temporary:
        pq.write_table(sample, temporary, compression="zstd", store_schema=False)
    accepted, rejected = len(tally.accepted), len(tally.rejected)
    return f"{accepted} clips, {goal.hours_so_far:.2f} hours; {rejected} rejected ({tally.reasons()})"


def source_of(receipt: dict[str, Any]) -> dict[str, Any]:
    """Return what of a receipt goes into seals: not the digest of an index, which has the CRC-32 of each clip."""
    return {name: value for name, value in receipt["validators"].items() if name != "directory_sha256"}


def _sample(order: pa.Table, accepted: list[int]) -> pa.Table:
    """Return the accepted rows of the ranking, each with the number of eligible clips that it stands for."""
    chosen = order.take(accepted)
    sizes = {row["values"]: row["counts"] for row in order["stratum"].value_counts().to_pylist()}
    weights = shares.weights(chosen["stratum"].to_pylist(), sizes)
    return chosen.append_column("weight", pa.array(weights)).cast(schema.SAMPLE_SCHEMA)


def _as_csv(rows: list[Rejection]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([schema.REJECTED_COLUMNS, *rows])
    return buffer.getvalue()


def _warn_of_unknown(exclude: tuple[str, ...], order: pa.Table) -> None:
    unknown = sorted(set(exclude).difference(order["clip_id"].to_pylist()))
    if unknown:
        log.warning("subsample.exclude: not among the eligible clips: %s", ", ".join(unknown))


def _too_few(wanted: Subsample, order: pa.Table, tally: Tally) -> SampleError:
    asked = f"clips = {wanted.clips}" if wanted.clips is not None else f"hours = {wanted.hours:g}"
    examined = len(tally.accepted) + len(tally.rejected)
    good = f", of which {len(tally.accepted)} are good; rejected: {tally.reasons()}" if examined else ""
    sizes = sorted(order["stratum"].value_counts().to_pylist(), key=lambda row: (-row["counts"], row["values"]))
    strata = "\n".join(f"    {row['values']} ({row['counts']} clips)" for row in sizes[:_MOST_STRATA_SHOWN])
    more = f"\n    and {len(sizes) - _MOST_STRATA_SHOWN} more" if len(sizes) > _MOST_STRATA_SHOWN else ""
    return SampleError(
        f"subsample.{asked} cannot be had: there are {order.num_rows} eligible clips{good}.\n"
        f"All strata together, the largest first:\n{strata}{more}\n"
        "Ask for less, or make more clips eligible in params.yaml (stratify.tables, stratify.require)."
    )
