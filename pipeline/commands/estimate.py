"""What a sample will cost, before any clip is fetched. Reads only what is on this disk, and changes nothing there."""

from __future__ import annotations

import argparse
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from pipeline.clips.examine import Check
from pipeline.clips.plan import CLIP_COLUMNS, Candidate, Candidates, Goal
from pipeline.clips.writer import ClipsSeal, PreviousRuns, wanted_seal
from pipeline.commands.rates import measured_rates
from pipeline.core import schema
from pipeline.core.errors import ParameterError, Rejected, SnapshotError
from pipeline.core.params import Params, load_params, load_runtime, read_yaml
from pipeline.core.schema import Reason
from pipeline.core.settings import validated
from pipeline.core.terminal import amount, listed
from pipeline.sampling.order import Order, make_order
from pipeline.sampling.shares import Shares
from pipeline.shards.folder import existing_shards, open_shards
from pipeline.snapshot.clips import read_clips
from pipeline.snapshot.description import describe
from pipeline.snapshot.patterns import UNDECODED_EXTENSIONS
from pipeline.snapshot.receipt import Receipt, read_receipt
from pipeline.waveforms.encodings import encoding_named

_NETWORK_BYTES_PER_SECOND = 10_000_000
_BYTES_OF_FEATURES = 500  # of a clip


@dataclass
class Estimate:
    """What the sample that params.yaml asks for will be, and cost."""

    rows: int
    sizes: dict[str, int]  # eligible clips of each stratum
    goal: Goal
    accepted: Counter[str] = field(default_factory=Counter)  # clips of the sample, by stratum
    clip_bytes: int = 0  # of the sample, as published
    to_fetch: int = 0  # files, one request each
    to_fetch_bytes: int = 0
    there: int = 0  # files that earlier runs fetched
    guessed: int = 0  # clips of the sample whose duration is unknown, and guessed from their size
    unsupported: Counter[str] = field(default_factory=Counter)  # clips that will be rejected, by extension
    rejected: Counter[Reason] = field(default_factory=Counter)  # clips, as far as is known beforehand; none excluded
    files: str = "clips"  # what they are called
    counted: set[str] = field(default_factory=set)  # files so far: pieces of a recording have one together
    held: set[tuple[str, int]] = field(default_factory=set)  # files, and the numbers of the shards that hold them


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what may differ from params.yaml."""
    parser.add_argument("--clips", type=int, metavar="N", help="a sample of N clips; short for -S subsample.clips=N")
    parser.add_argument(
        "-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", help="as dvc exp run takes it"
    )


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    clips = [] if options.clips is None else [f"++subsample.clips={options.clips}", "++subsample.hours=null"]
    yield report(params_with([*options.set_param, *clips]))


def params_with(overrides: Sequence[str]) -> Params:
    """Return the parameters that ``dvc exp run --set-param`` would put into params.yaml, which stays as it is.

    Raises ParameterError if a key is not there, or the result is not valid.
    """
    params = load_params()  # where it is wrong, the message is about the file
    if not overrides:
        return params
    from dvc.exceptions import InvalidArgumentError  # noqa: PLC0415  takes longer than all the rest
    from dvc.utils.hydra import apply_overrides  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        path = Path(shutil.copy(schema.PARAMS, folder))
        try:
            apply_overrides(path, [each.removeprefix(f"{schema.PARAMS}:") for each in overrides])
        except InvalidArgumentError as error:
            raise ParameterError("the command line", [f"--set-param: {error.__cause__ or error}"]) from None
        return validated(Params, read_yaml(path), f"{schema.PARAMS} with --set-param")


def report(params: Params | None = None) -> str:
    """Return what ``python -m pipeline estimate`` prints.

    Raises SnapshotError if the table of clips of this snapshot is not there yet, SampleError if no clip is eligible.
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
    remote = source.is_remote and not source.is_tar  # which is here, whole
    return "\n".join(f"{label:<11}{line}" for label, line in _lines(params, estimate, remote=remote))


def _walk(params: Params, receipt: Receipt, order: Order) -> Estimate:
    """Go down the ranking as `subsample` will, accepting every clip that its name and duration do not rule out."""
    wanted, ranking = params.subsample, order.ranking
    clips = read_clips(receipt, ranking["table"].unique().to_pylist(), CLIP_COLUMNS)
    check = Check(wanted.seconds)
    seal = wanted_seal(params, describe(params.snapshot), receipt.source_identity(), ranking.schema)
    left = open_shards(existing_shards(schema.CLIPS), ClipsSeal)  # by earlier runs, whole or not
    earlier = PreviousRuns({path: shard.seal for path, shard in left.items()}, seal, check)
    found = Estimate(order.rows, dict(Counter(ranking["stratum"].to_pylist())), Goal.of(wanted))
    candidates = Candidates(ranking, clips, wanted.exclude)
    found.files = "recordings" if candidates.are_pieces else "clips"
    for candidate in candidates.since(0):
        if found.goal.is_met:
            break
        _count(found, candidate, check, earlier, params.shards.clips)
    return found


def _count(found: Estimate, candidate: Candidate, check: Check, earlier: PreviousRuns, shard_clips: int) -> None:
    try:
        member = check.member_to_fetch(candidate)
    except Rejected as rejected:
        if rejected.reason is not Reason.EXCLUDED:
            found.rejected[rejected.reason] += 1
        return
    if again := earlier.rejected(candidate):
        found.rejected[again.reason] += 1
        return
    stored = earlier.stored_nanoseconds(candidate)
    if candidate.file_name not in found.counted:
        found.counted.add(candidate.file_name)
        if earlier.has_file(candidate):
            found.there += 1
        else:
            found.to_fetch += 1
            found.to_fetch_bytes += member.compressed_bytes or member.size_bytes
    extension = PurePosixPath(member.name).suffix.lower()
    if extension[1:] in UNDECODED_EXTENSIONS:
        found.unsupported[extension] += 1
        found.rejected[Reason.UNSUPPORTED] += 1
        return
    nanoseconds = candidate.guess_nanoseconds() if stored is None else stored
    is_guessed = stored is None and candidate.seconds is None
    shortest, longest = check.seconds
    if is_guessed or shortest <= nanoseconds / 1e9 <= (longest or math.inf):
        found.guessed += is_guessed
        found.accepted[candidate.row["stratum"]] += 1
        place = candidate.file_name, found.goal.clips_so_far // shard_clips
        if place not in found.held:
            found.held.add(place)
            found.clip_bytes += member.size_bytes
        found.goal.add(1, nanoseconds)
    else:
        found.rejected[Reason.TOO_SHORT if nanoseconds / 1e9 < shortest else Reason.TOO_LONG] += 1


def _lines(params: Params, found: Estimate, *, remote: bool) -> Iterable[tuple[str, str]]:
    encoding, rate = params.waveforms.encoding, params.waveforms.sample_rate
    seconds = found.goal.nanoseconds_so_far / 1e9
    eligible, accepted = sum(found.sizes.values()), found.accepted.total()
    if params.waveforms.excerpt:
        seconds = min(seconds, accepted * params.waveforms.excerpt.seconds)
    waveform_bytes = seconds * encoding_named(encoding).BYTES_PER_SECOND * rate / 16_000
    yield "eligible", f"{eligible:,} of {found.rows:,} clips, in {len(found.sizes)} strata"
    guess = ", by the sizes of the files: their durations are not known beforehand" if found.guessed else ""
    yield "sample", f"{accepted:,} clips, about {found.goal.hours_so_far:.2f} hours{guess}"
    if found.unsupported:
        kinds = ", ".join(f"{clips:,} {extension}" for extension, clips in sorted(found.unsupported.items()))
        yield "rejected", f"{kinds}: no decoder here reads them; subsample fetches and rejects each"
    if not found.goal.is_met:
        yield "", "fewer than params.yaml asks for: that is all there is, and subsample will fail"
    rejected = found.rejected.total()
    if rejected > params.subsample.max_rejected * (accepted + rejected):
        reasons = ", ".join(f"{reason.value} {clips:,}" for reason, clips in sorted(found.rejected.items()))
        yield "", f"{rejected:,} more are rejected ({reasons}), which is known beforehand: more than"
        yield "", "subsample.max_rejected allows, and subsample will fail; stratify.where can leave out known durations"
    yield "there", f"{found.there:,} {found.files}"
    how = "in as many requests" if remote else "from this disk"
    yield "to fetch", f"{found.to_fetch:,} {found.files}, {found.to_fetch_bytes / 1e6:.1f} MB, {how}"
    yield (
        "on disk",
        f"{found.clip_bytes / 1e6:.1f} MB of {found.files}, {waveform_bytes / 1e6:.1f} MB of waveforms ({encoding})",
    )
    names = sorted(found.sizes)
    shares = Shares([found.sizes[name] for name in names], params.stratify.allocation)
    exhausted = [names[place] for place in shares.exhausted(accepted)]
    why = ": they hold less than their share, and others take the rest" if exhausted else ""
    yield "exhausted", _named(exhausted) + why
    empty = [name for name in names if not found.accepted[name]]
    why = ": too small for a clip in a sample of this size" if empty else ""
    yield "empty", _named(empty) + why
    copies = found.clip_bytes + waveform_bytes + accepted * _BYTES_OF_FEATURES
    yield "in cache", f"{copies / 1e6:.1f} MB more: DVC keeps a copy of each output, features among them"
    if found.to_fetch:
        yield "time", _times(params, found, seconds, remote=remote)


def _times(params: Params, found: Estimate, seconds: float, *, remote: bool) -> str:
    """Return how long it takes to make the missing part of a sample of that many seconds."""
    new_clips = found.to_fetch / max(1, found.to_fetch + found.there)
    processes = min(load_runtime().processes, math.ceil(found.accepted.total() / params.shards.clips) or 1)
    rates = measured_rates(params)
    decode, measure = (seconds * new_clips * rate / processes for rate in (rates.decode, rates.measure))
    download = found.to_fetch_bytes / _NETWORK_BYTES_PER_SECOND
    network = f"{_minutes(download)} to download at 10 MB/s (a guess: no network is tried), " if remote else ""
    how = f"in {amount(processes, 'process', 'processes')} of this machine"
    return f"{network}{_minutes(decode)} to decode, {_minutes(measure)} to measure {how}"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 6 else f"{math.ceil(seconds)} s"


def _named(strata: list[str]) -> str:
    return f"{amount(len(strata), 'stratum', 'strata')} ({listed(strata, separator='; ')})" if strata else "no stratum"
