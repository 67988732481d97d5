"""subsample: the first good clips of the ranking, fetched and checked; each rejected one with its reason."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa

from pipeline.clips.candidates import Candidates, Goal
from pipeline.clips.check import Check
from pipeline.clips.rejected import write_rejected
from pipeline.clips.writer import ClipShardWriter, Tally, wanted_seal
from pipeline.core import schema
from pipeline.core.errors import SampleError
from pipeline.core.params import Subsample, load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.core.terminal import amount
from pipeline.sampling import shares
from pipeline.shards.table import read_table, write_table
from pipeline.snapshot import formats
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import describe
from pipeline.snapshot.receipt import read_members, read_receipt
from pipeline.snapshot.sources import Snapshot, reopen_snapshot

_MOST_STRATA_SHOWN = 10

log = logging.getLogger(__name__)


def run() -> str:
    """Write ``data/clips/``, ``data/rejected.csv`` and ``data/sample.parquet``; return what to tell the user."""
    params = load_params()
    wanted = params.subsample
    order = read_table(schema.RANKING, schema.RANKING_SCHEMA)
    if wanted.clips is not None and wanted.clips > order.num_rows:
        raise _too_few(wanted, order, Tally(wanted.max_rejected))
    _warn_of_unknown(wanted.exclude, order)
    runtime = load_runtime()
    receipt = read_receipt()
    description = describe(params.snapshot)
    index = formats.index_clips(read_members(), receipt.format)
    candidates = Candidates(order, index, wanted.exclude, receipt.format)
    seal = wanted_seal(params, description, receipt.source_identity())
    local = not description.source.is_remote
    clips = ClipShardWriter(candidates, Check(wanted.seconds), params.shards.clips, seal, local=local)
    goal = Goal.of(wanted)
    tally = Tally(wanted.max_rejected)
    reopen = partial(reopen_snapshot, description, runtime, receipt)
    archive = _Archive(reopen, partial(clips.expected, goal), runtime.connections)
    with archive as pool, progress("clips", wanted.clips, "clips") as bar:
        if local:
            archive.open()

        def fetch(member: Member) -> bytes:
            data = archive.snapshot.read(member)
            bar.update(1, len(data))
            return data

        for _ in clips.fill(goal, tally, fetch, pool):
            bar.reach(goal.clips_so_far)
    if not goal.reached():
        raise _too_few(wanted, order, tally)
    clips.publish()
    write_rejected(tally.rejected)
    write_table(schema.SAMPLE, _sample(order, tally.accepted))
    accepted = amount(len(tally.accepted), "clip")
    return f"{accepted}, {goal.hours_so_far:.2f} hours; {len(tally.rejected)} rejected ({tally.reasons()})"


class _Archive(ThreadPoolExecutor):
    """Threads that fetch clips. A remote snapshot is opened, on the caller's thread, when the first clip is asked for.

    So a run that finds all its clips on this disk needs no network.
    """

    def __init__(
        self, reopen: Callable[[], Snapshot], expected: Callable[[], Iterable[Member]], connections: int
    ) -> None:
        super().__init__(connections)
        self._reopen = reopen
        self._expected = expected
        self._is_told = False
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot:
        """What was opened."""
        assert self._snapshot is not None
        return self._snapshot

    def open(self) -> None:
        """Open the snapshot, and verify that it is the one that `download` opened, unless that is done."""
        if self._snapshot is None:
            self._snapshot = self._reopen()

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start a job, with the snapshot open, which is told of all those that are expected to follow."""
        self.open()
        if not self._is_told:
            self.snapshot.prefetch(self._expected())
            self._is_told = True
        return super().submit(*args, **kwargs)

    def __exit__(self, *_: object) -> None:
        """Give up what is in flight."""
        if self._snapshot is not None:
            self._snapshot.close()
        self.shutdown(wait=False, cancel_futures=True)


def _sample(order: pa.Table, accepted: list[int]) -> pa.Table:
    """Return the accepted rows of the ranking, each with the number of eligible clips that it stands for."""
    chosen = order.take(accepted)
    sizes = {row["values"]: row["counts"] for row in order["stratum"].value_counts().to_pylist()}
    weights = shares.weights(chosen["stratum"].to_pylist(), sizes)
    return chosen.append_column("weight", pa.array(weights)).cast(schema.SAMPLE_SCHEMA)


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
