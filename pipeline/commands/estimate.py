"""What a sample will cost, before any clip is fetched. Reads only what is on this disk, and writes nothing."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from pipeline.clips.examine import Check
from pipeline.clips.plan import CLIP_COLUMNS, Candidate, Candidates, Goal
from pipeline.clips.writer import ClipsSeal, PreviousRuns, wanted_seal
from pipeline.core import schema
from pipeline.core.errors import Rejected, ShardError, SnapshotError
from pipeline.core.params import Params, load_params
from pipeline.core.terminal import amount, listed
from pipeline.sampling.order import Order, make_order
from pipeline.sampling.shares import Shares
from pipeline.shards.folder import existing_shards
from pipeline.shards.sealed import Shard
from pipeline.snapshot.clips import read_clips
from pipeline.snapshot.description import ArchiveSource, describe
from pipeline.snapshot.receipt import Receipt, read_receipt
from pipeline.waveforms.encodings import encoding_named

_UNSUPPORTED = frozenset({".m4a", ".mp4", ".aac", ".webm", ".wma", ".amr", ".3gp"})  # libsndfile decodes none of them


@dataclass
class Estimate:
    """What the sample that params.yaml asks for will be, and cost."""

    rows: int
    sizes: dict[str, int]  # eligible clips of each stratum
    goal: Goal
    accepted: Counter[str] = field(default_factory=Counter)  # clips of the sample, by stratum
    clip_bytes: int = 0  # of the sample, as published
    to_fetch: int = 0  # clips, one request each
    to_fetch_bytes: int = 0
    there: int = 0  # clips that earlier runs fetched
    guessed: int = 0  # clips of the sample whose duration is unknown, and guessed from their size
    unsupported: Counter[str] = field(default_factory=Counter)  # clips that will be rejected, by extension


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
        The table of clips of this snapshot is not there yet.
    SampleError
        No clip is eligible.
    """
    params = params or load_params()
    if not schema.RECEIPT.exists():
        raise SnapshotError("the snapshot's table of clips is not there; get it with: dvc repro stratify")
    receipt = read_receipt()
    if receipt.snapshot != params.snapshot:
        raise SnapshotError(
            f"data/snapshot is {receipt.snapshot}, and params.yaml asks for {params.snapshot}; "
            "get its table of clips with: dvc repro stratify"
        )
    estimate = _walk(params, receipt, make_order(params.stratify))  # the ranking on disk may be older
    source = describe(params.snapshot).source
    remote = source.is_remote and not (isinstance(source, ArchiveSource) and source.is_tar)  # which is here, whole
    return "\n".join(f"{label:<11}{line}" for label, line in _lines(params, estimate, remote=remote))


def _walk(params: Params, receipt: Receipt, order: Order) -> Estimate:
    """Go down the ranking as `subsample` will, accepting every clip that its name and duration do not rule out."""
    wanted, ranking = params.subsample, order.ranking
    clips = read_clips(receipt, ranking["table"].unique().to_pylist(), CLIP_COLUMNS)
    check = Check(wanted.seconds)
    seal = wanted_seal(params, describe(params.snapshot), receipt.source_identity(), ranking.schema)
    earlier = PreviousRuns(_seals(), seal, check)
    found = Estimate(order.rows, dict(Counter(ranking["stratum"].to_pylist())), Goal.of(wanted))
    for candidate in Candidates(ranking, clips, wanted.exclude).since(0):
        if found.goal.is_met:
            break
        _count(found, candidate, check, earlier)
    return found


def _count(found: Estimate, candidate: Candidate, check: Check, earlier: PreviousRuns) -> None:
    try:
        member = candidate.member_to_fetch()
    except Rejected:
        return
    if earlier.rejected(candidate):
        return
    stored = earlier.stored_nanoseconds(candidate)
    if stored is not None:
        found.there += 1
    else:
        found.to_fetch += 1
        found.to_fetch_bytes += member.compressed_bytes or member.size_bytes
    extension = PurePosixPath(member.name).suffix.lower()
    if extension in _UNSUPPORTED:
        found.unsupported[extension] += 1
        return
    nanoseconds = candidate.guess_nanoseconds() if stored is None else stored
    is_guessed = stored is None and candidate.seconds is None
    shortest, longest = check.seconds
    if is_guessed or shortest <= nanoseconds / 1e9 <= (longest or math.inf):
        found.guessed += is_guessed
        found.accepted[candidate.row["stratum"]] += 1
        found.goal.add(1, nanoseconds)
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
    waveform_bytes = seconds * encoding_named(encoding).BYTES_PER_SECOND * rate / 16_000
    eligible, accepted = sum(found.sizes.values()), found.accepted.total()
    yield "eligible", f"{eligible:,} of {found.rows:,} clips, in {len(found.sizes)} strata"
    guess = ", by the sizes of the files: their durations are not known beforehand" if found.guessed else ""
    yield "sample", f"{accepted:,} clips, about {found.goal.hours_so_far:.2f} hours{guess}"
    if found.unsupported:
        kinds = ", ".join(f"{clips:,} {extension}" for extension, clips in sorted(found.unsupported.items()))
        yield "rejected", f"{kinds}: no decoder here reads them; subsample fetches and rejects each"
    if not found.goal.is_met:
        yield "", "fewer than params.yaml asks for: that is all there is, and subsample will fail"
    yield "there", f"{found.there:,} clips"
    how = "in as many requests" if remote else "from this disk"
    yield "to fetch", f"{found.to_fetch:,} clips, {found.to_fetch_bytes / 1e6:.1f} MB, {how}"
    yield (
        "on disk",
        f"{found.clip_bytes / 1e6:.1f} MB of clips, {waveform_bytes / 1e6:.1f} MB of waveforms ({encoding})",
    )
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
