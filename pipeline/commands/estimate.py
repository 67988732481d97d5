"""What a sample will cost, before any clip is fetched. Reads only what is on this disk, and writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clips.candidates import Candidate, Candidates
from pipeline.clips.check import Check
from pipeline.core import schema
from pipeline.core.errors import Rejected, SampleError, ShardError, SnapshotError
from pipeline.core.params import Params, load_params
from pipeline.sampling import ranking, shares
from pipeline.sampling.stage import draw_from
from pipeline.shards import sealed
from pipeline.snapshot import tables
from pipeline.snapshot.description import ArchiveSource, KaggleSource, describe
from pipeline.snapshot.receipt import Receipt, read_members, read_receipt

# For one second of 16 kHz speech, measured on the snapshot's own clips.
_WAVEFORM_BYTES_PER_SECOND = {"pcm16": 17_500, "float32": 64_000, "flac": 14_800}
_MOST_STRATA_SHOWN = 8


@dataclass
class Estimate:
    """What the sample that params.yaml asks for will be, and cost."""

    rows: int
    sizes: dict[str, int]  # eligible clips of each stratum
    accepted: Counter[str]  # clips of the sample, by stratum
    seconds: float
    clip_bytes: int  # of the sample, as MP3s
    to_fetch: int  # clips, of which each is one request
    to_fetch_bytes: int
    there: int  # clips that earlier runs fetched
    reached: bool  # whether there are enough clips


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
    rows, order = _order(params, receipt.format)
    estimate = _walk(params, receipt, rows, order)
    source = describe(params.snapshot).source
    remote = isinstance(source, KaggleSource) or (isinstance(source, ArchiveSource) and source.url is not None)
    return "\n".join(f"{label:<11}{line}" for label, line in _lines(params, estimate, remote=remote))


def _order(params: Params, layout: str) -> tuple[int, pa.Table]:
    """Return the number of rows, and the ranking as `stratify` would make it now: the one on disk may be older."""
    wanted = params.stratify
    clips = tables.read_clips(wanted.tables, layout=layout)
    if wanted.estimated_seconds is not None:
        index = tables.index_clips(read_members(), layout)
        clips["estimated_seconds"] = tables.estimated_seconds(clips["clip_id"], index, layout)
    eligible, _ = draw_from(clips, wanted)
    if eligible.empty:
        raise SampleError(f"no clip of {', '.join(wanted.tables)} is eligible; loosen stratify.require in params.yaml")
    ranked = ranking.rank(
        eligible, strata=wanted.strata, allocation=wanted.allocation, seed=wanted.seed, splits=wanted.splits
    )
    return len(clips), pa.Table.from_pandas(ranked, schema=schema.RANKING_SCHEMA, preserve_index=False)


def _walk(params: Params, receipt: Receipt, rows: int, order: pa.Table) -> Estimate:
    """Go down the ranking as `subsample` will, taking every clip for good that its size does not speak against."""
    layout, wanted = receipt.format, params.subsample
    index = tables.index_clips(read_members(), layout)
    seconds = tables.estimated_seconds(order["clip_id"].to_pylist(), index, layout)
    known = pd.Series(seconds).fillna(float(pd.Series(seconds).mean())).fillna(0.0)
    there = _there(receipt.source_identity())
    check = Check(wanted.seconds)
    sizes = Counter(order["stratum"].to_pylist())
    found = Estimate(rows, dict(sizes), Counter(), 0.0, 0, 0, 0, 0, reached=False)
    for candidate, duration in zip(
        Candidates(order, index, wanted.exclude, layout).since(0), known.tolist(), strict=True
    ):
        found.reached = _enough(params, found)
        if found.reached:
            return found
        _count(found, candidate, duration, check, there)
    found.reached = _enough(params, found)
    return found


def _enough(params: Params, found: Estimate) -> bool:
    wanted = params.subsample
    if wanted.hours is not None:
        return found.seconds >= wanted.hours * 3600
    return found.accepted.total() >= (wanted.clips or 0)


def _count(found: Estimate, candidate: Candidate, duration: float, check: Check, there: dict[str, bool]) -> None:
    try:
        member = check.refuse_unfetched(candidate)
    except Rejected:
        return
    known = there.get(candidate.clip_id)
    if known is False:
        return
    if known:
        found.there += 1
    else:
        found.to_fetch += 1
        found.to_fetch_bytes += member.compressed_bytes or member.size_bytes
    if check.seconds[0] <= duration <= check.seconds[1]:
        found.accepted[candidate.row["stratum"]] += 1
        found.seconds += duration
        found.clip_bytes += member.size_bytes


def _there(source: Any) -> dict[str, bool]:
    """Return the clips of this snapshot that earlier runs examined, and whether they were good, as seals say."""
    good: dict[str, bool] = {}
    waiting = schema.CLIPS.with_name(f".{schema.CLIPS.name}")  # where a run that was killed leaves them
    for path in [path for folder in (schema.CLIPS, waiting) for path in folder.glob("part-*.parquet")]:
        try:
            seal = sealed.read_seal(path)
        except ShardError:
            continue
        if seal["source"] == source:
            good |= dict.fromkeys(pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist(), True)
            good |= {clip_id: False for _, clip_id, _, _ in seal["rejected"]}
    return good


def _lines(params: Params, found: Estimate, *, remote: bool) -> Iterable[tuple[str, str]]:
    encoding, rate = params.waveforms.encoding, params.waveforms.sample_rate
    waveform_bytes = found.seconds * _WAVEFORM_BYTES_PER_SECOND[encoding] * rate / 16_000
    eligible, accepted = sum(found.sizes.values()), found.accepted.total()
    yield "eligible", f"{eligible:,} of {found.rows:,} clips, in {len(found.sizes)} strata"
    yield "sample", f"{accepted:,} clips, about {found.seconds / 3600:.2f} hours"
    if not found.reached:
        yield "", "fewer than params.yaml asks for: that is all there is, and subsample will fail"
    yield "there", f"{found.there:,} clips"
    how = "in as many requests" if remote else "from this disk"
    yield "to fetch", f"{found.to_fetch:,} clips, {found.to_fetch_bytes / 1e6:.1f} MB, {how}"
    yield "on disk", f"{found.clip_bytes / 1e6:.1f} MB of MP3s, {waveform_bytes / 1e6:.1f} MB of waveforms ({encoding})"
    exhausted = _exhausted(found, params.stratify.allocation)
    why = ": they hold less than their share, and others take the rest" if exhausted else ""
    yield "exhausted", _named(exhausted) + why
    empty = [name for name in sorted(found.sizes) if not found.accepted[name]]
    why = ": too small for a clip in a sample of this size" if empty else ""
    yield "empty", _named(empty) + why


def _exhausted(found: Estimate, allocation: str | float) -> list[str]:
    """Return the strata whose share, by their weight alone, is more than they have."""
    names = sorted(found.sizes)
    weights = shares.Shares([found.sizes[name] for name in names], allocation).weights
    clips, weight = found.accepted.total(), sum(weights)
    return [name for name, each in zip(names, weights, strict=True) if clips * each > found.sizes[name] * weight]


def _named(strata: list[str]) -> str:
    if not strata:
        return "no stratum"
    more = f" and {len(strata) - _MOST_STRATA_SHOWN} more" * (len(strata) > _MOST_STRATA_SHOWN)
    return f"{len(strata)} strata ({'; '.join(strata[:_MOST_STRATA_SHOWN])}{more})"
