"""What a sample will cost, before any clip is fetched. Reads only what is on this disk, and writes nothing."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pipeline.clips.examine import Check
from pipeline.clips.plan import Candidate, Candidates, Goal
from pipeline.clips.writer import ClipsSeal, PreviousRuns, wanted_seal
from pipeline.core import schema
from pipeline.core.errors import Rejected, ShardError, SnapshotError
from pipeline.core.params import Params, load_params
from pipeline.core.terminal import amount, listed
from pipeline.sampling.order import Order, make_order
from pipeline.sampling.shares import Shares
from pipeline.shards.folder import existing_shards
from pipeline.shards.sealed import Shard
from pipeline.snapshot import formats, tables
from pipeline.snapshot.description import ArchiveSource, describe
from pipeline.snapshot.receipt import Receipt, read_members, read_receipt
from pipeline.waveforms.encodings import ENCODINGS


@dataclass
class Estimate:
    """What the sample that params.yaml asks for will be, and cost."""

    rows: int
    sizes: dict[str, int]  # eligible clips of each stratum
    goal: Goal
    accepted: Counter[str] = field(default_factory=Counter)  # clips of the sample, by stratum
    clip_bytes: int = 0  # of the sample, as MP3s
    to_fetch: int = 0  # clips, one request each
    to_fetch_bytes: int = 0
    there: int = 0  # clips that earlier runs fetched
    guessed: int = 0  # clips of the sample whose duration is unknown, and guessed from their size


def arguments(_: argparse.ArgumentParser) -> None:
    """Add none."""


def run(_: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    yield report()


def report(params: Params | None = None) -> str:
    """Return what ``python -m pipeline estimate`` prints.

    Raises
    ------
    SnapshotError
        The tables and the index of this snapshot are not there yet.
    SampleError
        No clip is eligible.
    """
    params = params or load_params()
    if not schema.RECEIPT.exists():
        raise SnapshotError("the snapshot's tables and index are not there; get them with: dvc repro stratify")
    receipt = read_receipt()
    if receipt.snapshot != params.snapshot:
        raise SnapshotError(
            f"data/snapshot is {receipt.snapshot}, and params.yaml asks for {params.snapshot}; "
            "get its tables and index with: dvc repro stratify"
        )
    estimate = _walk(params, receipt, make_order(params.stratify))  # the ranking on disk may be older
    source = describe(params.snapshot).source
    remote = source.is_remote and not (isinstance(source, ArchiveSource) and source.is_tar)  # which is here, whole
    return "\n".join(f"{label:<11}{line}" for label, line in _lines(params, estimate, remote=remote))


def _walk(params: Params, receipt: Receipt, order: Order) -> Estimate:
    """Go down the ranking as `subsample` will, accepting every clip whose size does not rule it out."""
    format_name, wanted = receipt.format, params.subsample
    index = formats.index_clips(read_members(), format_name)
    estimated = pd.Series(tables.estimated_seconds(order.ranking["clip_id"].to_pylist(), index, format_name))
    seconds = estimated.fillna(estimated.mean()).tolist()  # NaN if no duration is known
    candidates = Candidates(order.ranking, index, wanted.exclude, format_name)
    check = Check(wanted.seconds)
    earlier = PreviousRuns(_seals(), wanted_seal(params, describe(params.snapshot), receipt.source_identity()), check)
    found = Estimate(order.rows, dict(Counter(order.ranking["stratum"].to_pylist())), Goal.of(wanted))
    for candidate, duration in zip(candidates.since(0), seconds, strict=True):
        if found.goal.is_met:
            break
        _count(found, candidate, duration, check, earlier)
    return found


def _count(found: Estimate, candidate: Candidate, seconds: float, check: Check, earlier: PreviousRuns) -> None:
    try:
        member = candidate.member_to_fetch(check.seconds)
    except Rejected:
        return
    if earlier.rejected(candidate):
        return
    if earlier.stored_nanoseconds(candidate) is not None:
        found.there += 1
    else:
        found.to_fetch += 1
        found.to_fetch_bytes += member.compressed_bytes or member.size_bytes
    is_unknown = math.isnan(seconds)
    if is_unknown:
        seconds = member.size_bytes / formats.BYTES_PER_SECOND
        found.guessed += 1
    if is_unknown or check.seconds[0] <= seconds <= check.seconds[1]:
        found.accepted[candidate.row["stratum"]] += 1
        found.goal.add(1, round(seconds * 1e9))
        found.clip_bytes += member.size_bytes


def _seals() -> dict[Any, ClipsSeal]:
    """Return the seals of the shards that earlier runs left, whole or not."""
    seals = {}
    for path in existing_shards(schema.CLIPS):
        try:
            seals[path] = Shard(path, ClipsSeal).seal
        except ShardError:
            continue
    return seals


def _lines(params: Params, found: Estimate, *, remote: bool) -> Iterable[tuple[str, str]]:
    encoding, rate = params.waveforms.encoding, params.waveforms.sample_rate
    seconds = found.goal.nanoseconds_so_far / 1e9
    waveform_bytes = seconds * ENCODINGS[encoding].BYTES_PER_SECOND * rate / 16_000
    eligible, accepted = sum(found.sizes.values()), found.accepted.total()
    yield "eligible", f"{eligible:,} of {found.rows:,} clips, in {len(found.sizes)} strata"
    guess = ", if all have 64 kbit/s: this snapshot has no table of durations" if found.guessed else ""
    yield "sample", f"{accepted:,} clips, about {found.goal.hours_so_far:.2f} hours{guess}"
    if not found.goal.is_met:
        yield "", "fewer than params.yaml asks for: that is all there is, and subsample will fail"
    yield "there", f"{found.there:,} clips"
    how = "in as many requests" if remote else "from this disk"
    yield "to fetch", f"{found.to_fetch:,} clips, {found.to_fetch_bytes / 1e6:.1f} MB, {how}"
    yield "on disk", f"{found.clip_bytes / 1e6:.1f} MB of MP3s, {waveform_bytes / 1e6:.1f} MB of waveforms ({encoding})"
    names = sorted(found.sizes)
    shares = Shares([found.sizes[name] for name in names], params.stratify.allocation)
    exhausted = [names[place] for place in shares.exhausted(accepted)]
    why = ": they hold less than their share, and others take the rest" if exhausted else ""
    yield "exhausted", _named(exhausted) + why
    empty = [name for name in names if not found.accepted[name]]
    why = ": too small for a clip in a sample of this size" if empty else ""
    yield "empty", _named(empty) + why


def _named(strata: list[str]) -> str:
    return f"{amount(len(strata), 'stratum', 'strata')} ({listed(strata, separator='; ')})" if strata else "no stratum"
