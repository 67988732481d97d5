"""The chosen MP3s in shards, and a reason for each clip that was rejected.

A shard of an earlier run that is still right is kept. Where one is not, the clips that are still wanted are copied from
it instead of being fetched again.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from pipeline.clips.candidates import Candidate, Candidates, Goal
from pipeline.clips.check import Check, Verdict
from pipeline.clips.examine import Examiner, Fetch, expected
from pipeline.clips.rejected import Rejection
from pipeline.core import schema
from pipeline.core.errors import Rejected, SampleError
from pipeline.core.params import Params
from pipeline.core.schema import Reason
from pipeline.shards import sealed
from pipeline.shards.folder import ShardFolder, existing_shards, open_shards, whole_shards
from pipeline.shards.sealed import Seal, Shard
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import Description

_ROW_GROUP_CLIPS = 64
_KNOWN_UNREAD = frozenset({Reason.EXCLUDED, Reason.MISSING, Reason.EMPTY})  # whatever the bytes


@dataclass(frozen=True, kw_only=True)
class ClipsSeal(Seal):
    """What a shard of MP3s says of itself.

    Attributes
    ----------
    revision
        Of the rules by which its clips were checked (`pipeline.clips.check.Check.REVISION`).
    pyarrow
        The version that wrote it.
    source
        The identity of the snapshot.
    seconds
        Shortest and longest duration that was accepted.
    ranks
        The first and the last rank that it covers.
    nanoseconds
        How long each of its clips lasts.
    rejected
        The clips that were rejected among these ranks.
    entries
        What the index said of each of those.
    """

    revision: int
    pyarrow: str = pa.__version__
    source: dict[str, Any]
    seconds: tuple[float, float]
    ranks: tuple[int, int] = (0, -1)
    nanoseconds: tuple[int, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    entries: tuple[list[Any], ...] = ()

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Make a seal of what JSON gives, in which tuples are lists."""
        seal = super().of(facts)
        low, high = seal.seconds
        return replace(seal, seconds=(low, high), rejected=tuple(Rejection(*row) for row in seal.rejected))

    def facts(self) -> dict[str, Any]:
        """Return what all shards of one run have in common."""
        names = ("version", "snapshot", "title", "license", "revision", "pyarrow", "source", "seconds")
        return {name: value for name, value in asdict(self).items() if name in names}


def wanted_seal(params: Params, description: Description, source: dict[str, Any]) -> ClipsSeal:
    """Return what the shards that params.yaml asks for have in common; `source` is the identity of the snapshot."""
    return ClipsSeal(
        snapshot=params.snapshot,
        title=description.title,
        license=description.license,
        fingerprint="",
        revision=Check.REVISION,
        source=source,
        seconds=params.subsample.seconds,
    )


def clips_fingerprint(seal: ClipsSeal, examined: Sequence[Candidate]) -> str:
    """Return the fingerprint of a shard that was made of these places of the ranking."""
    return sealed.fingerprint([seal.facts(), [candidate.facts() for candidate in examined]])


@dataclass
class Tally:
    """What became of the clips that were examined, in the order of the ranking."""

    max_rejected: float
    accepted: list[int] = field(default_factory=list)  # ranks
    rejected: list[Rejection] = field(default_factory=list)

    def add(self, seal: ClipsSeal) -> None:
        """Count a shard."""
        rejected = {rejection.rank for rejection in seal.rejected}
        first, last = seal.ranks
        self.accepted += [rank for rank in range(first, last + 1) if rank not in rejected]
        self.rejected += seal.rejected

    def reasons(self) -> str:
        """Return how many were rejected for which reason, in words."""
        counts = Counter(rejection.reason for rejection in self.rejected)
        return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "none"

    def verify(self, accepted: int, more: Iterable[Rejection] = ()) -> None:
        """Raise `SampleError` where more are rejected than `max_rejected` allows beside so many that are accepted."""
        rejected = [each for each in (*self.rejected, *more) if each.reason != Reason.EXCLUDED]
        examined = accepted + len(rejected)
        if len(rejected) > self.max_rejected * examined:
            counts = Counter(each.reason for each in rejected)
            last = rejected[-1]
            raise SampleError(
                f"at least {len(rejected)} of {examined} clips are rejected, more than the share that "
                f"subsample.max_rejected = {self.max_rejected:g} allows: "
                f"{', '.join(f'{reason} {count}' for reason, count in sorted(counts.items()))}.\n"
                f"The last one was {last.clip_id} at rank {last.rank}: {last.reason}, {last.detail}.\n"
                "If the snapshot is like that, allow more in params.yaml; otherwise get it again."
            )


class Earlier:
    """Clips that earlier runs fetched from the same snapshot, out of the shards that they left."""

    def __init__(self, seals: Mapping[Path, ClipsSeal], wanted: ClipsSeal, check: Check) -> None:
        self._check = check
        self._place: dict[str, tuple[Path, int]] = {}
        self._rejected: dict[str, tuple[list[Any], Rejected]] = {}
        for path, seal in seals.items():
            if seal.source != wanted.source:
                continue
            self._place.update(_places(path))
            if seal.facts() == wanted.facts():
                for rejection, entry in zip(seal.rejected, seal.entries, strict=True):
                    self._rejected[rejection.clip_id] = entry, Rejected(Reason(rejection.reason), rejection.detail)
        self._load = lru_cache(maxsize=2)(_read_mp3s)

    def recall(self, candidate: Candidate) -> Verdict | None:
        """Return what became of a candidate before, or None where it has to be fetched."""
        if rejected := self.rejected(candidate):
            return Verdict(candidate, rejected=rejected)
        place, member = self._place.get(candidate.clip_id), candidate.member
        if place is None or member is None:
            return None
        data = self._load(*place).get(candidate.clip_id)  # a shard of this run may be in the place of that one now
        if data is None or len(data) != member.size_bytes or member.crc32 not in (None, zlib.crc32(data)):
            return None
        return self._check.judge(candidate, data)

    def has(self, candidate: Candidate) -> bool:
        """Tell whether the MP3 of a candidate is there, without looking at it."""
        return candidate.clip_id in self._place

    def rejected(self, candidate: Candidate) -> Rejected | None:
        """Return why a candidate was rejected before, if it was and the index still says the same of it."""
        entry, rejected = self._rejected.get(candidate.clip_id, ([], None))
        is_known = rejected is not None and rejected.reason is not Reason.EXCLUDED and entry == candidate.entry()
        return rejected if is_known else None


class ClipShardWriter:
    """The shards of ``data/clips``.

    Parameters
    ----------
    candidates
        The ranking, joined with the snapshot's index.
    check
        What makes a clip a good one.
    shard_clips
        How many clips a full shard holds.
    seal
        What all shards of this run have in common.
    local
        Whether the snapshot lies on this machine. There a clip that was rejected for bytes that the index does not
        vouch for is judged again by each run: the archive may have been damaged, and be whole now.
    """

    def __init__(
        self, candidates: Candidates, check: Check, shard_clips: int, seal: ClipsSeal, *, local: bool = False
    ) -> None:
        self._local = local
        self._candidates = candidates
        self._check = check
        self._shard_clips = shard_clips
        self._seal = seal
        self._folder = ShardFolder(schema.CLIPS)
        whole = whole_shards(open_shards(existing_shards(schema.CLIPS), ClipsSeal))
        self._seals = {path: shard.seal for path, shard in whole.items()}
        self._count = 0
        self._rank = 0  # the first that no shard of this run covers yet

    def fill(self, goal: Goal, tally: Tally, fetch: Fetch, pool: Executor) -> Iterator[int]:
        """Find or make shard after shard until the goal is reached; yield how many clips each of them holds."""
        examination = Examiner(self._check, self._recall, fetch, pool)
        while not goal.reached() and self._rank < len(self._candidates):
            seal = self._find(self._rank, goal, fetch)
            if seal is None:
                verdicts = examination.run(self._candidates.since(self._rank), goal, self._shard_clips)
                seal = self._write(self._folder.new(self._count), verdicts, goal, tally)
            tally.add(seal)
            goal.add(len(seal.nanoseconds), sum(seal.nanoseconds))
            tally.verify(goal.clips or len(tally.accepted))
            yield len(seal.nanoseconds)
            self._count, self._rank = self._count + 1, seal.ranks[1] + 1

    def expected(self, goal: Goal) -> Iterator[Member]:
        """Yield the members that `fill` is likely to fetch from now on."""
        earlier = self._earlier
        return expected(self._candidates.since(self._rank), goal, self._check, earlier.rejected, earlier.has)

    def publish(self) -> None:
        """Give the shards that `fill` found and made their final names."""
        self._folder.publish(self._count)

    @cached_property
    def _earlier(self) -> Earlier:
        return Earlier(self._seals, self._seal, self._check)

    def _recall(self, candidate: Candidate) -> Verdict | None:
        verdict = self._earlier.recall(candidate)
        if verdict is not None and verdict.rejected is not None and self._is_read_again(candidate, verdict.rejected):
            return None
        return verdict

    def _is_read_again(self, candidate: Candidate, rejected: Rejected) -> bool:
        """Tell whether a rejection rests on bytes of a disk that are not those of the index, or may not be."""
        if not self._local or candidate.member is None or rejected.reason in _KNOWN_UNREAD:
            return False
        return rejected.reason is Reason.CHECKSUM or candidate.member.crc32 is None

    def _is_still_rejected(self, rejection: Rejection, candidate: Candidate, fetch: Fetch) -> bool:
        before = Rejected(Reason(rejection.reason), rejection.detail)
        if not self._is_read_again(candidate, before):
            return True
        try:
            found = self._check.judge(candidate, fetch(self._check.member_to_fetch(candidate))).rejected
        except Rejected as rejected:
            found = rejected
        return found is not None and str(found) == str(before)

    def _find(self, rank: int, goal: Goal, fetch: Fetch) -> ClipsSeal | None:
        """Return the seal of the next shard if it is there, whole, and what would be made now."""

        def right(path: Path) -> ClipsSeal | None:
            seal = self._seals.get(path)
            if seal is None:
                return None
            first, last = seal.ranks
            if first != rank or last >= len(self._candidates) or not self._ends_right(seal, goal):
                return None
            candidates = self._candidates.between(first, last + 1)
            entries = [candidates[rejection.rank - first].entry() for rejection in seal.rejected]
            is_right = (
                seal.fingerprint == self._fingerprint(candidates)
                and list(seal.entries) == entries
                and all(self._is_still_rejected(each, candidates[each.rank - first], fetch) for each in seal.rejected)
            )
            return self._seals.pop(path) if is_right else None

        return self._folder.find(self._count, right)

    def _ends_right(self, seal: ClipsSeal, goal: Goal) -> bool:
        """Tell whether a shard stops just where it should: full, at the goal, or at the end of the ranking."""
        *before_last, last = seal.nanoseconds or [0]
        count = len(seal.nanoseconds)
        if count > self._shard_clips or goal.reached(count - 1, sum(before_last)):
            return False
        at_goal = goal.reached(count, sum(before_last) + last)
        return at_goal or count == self._shard_clips or seal.ranks[1] == len(self._candidates) - 1

    def _write(self, path: Path, verdicts: Iterable[Verdict], goal: Goal, tally: Tally) -> ClipsSeal:
        """Write the good clips among `verdicts` as one shard; return its seal.

        The seal has the ranks that the shard covers and what was rejected among them, with their entries of the
        index, so that shards can be told right or wrong, and reused, one by one.
        """
        examined: list[Candidate] = []
        nanoseconds: list[int] = []
        rejected: list[Rejection] = []
        entries: list[list[Any]] = []
        rows: list[dict[str, Any]] = []
        with sealed.writing(path, schema.CLIPS_SCHEMA, compression="none", use_dictionary=False) as writer:
            for verdict in verdicts:
                candidate = verdict.candidate
                examined.append(candidate)
                if verdict.rejected is not None:
                    reason, detail = verdict.rejected.reason.value, verdict.rejected.detail
                    rejected.append(Rejection(candidate.rank, candidate.clip_id, reason, detail))
                    entries.append(candidate.entry())
                    tally.verify(goal.clips or len(self._candidates), rejected)
                    continue
                nanoseconds.append(verdict.nanoseconds)
                rows.append({**candidate.row, "mp3": verdict.data})
                if len(rows) == _ROW_GROUP_CLIPS:
                    writer.write(pa.Table.from_pylist(rows, schema=schema.CLIPS_SCHEMA))
                    rows.clear()
            if rows:
                writer.write(pa.Table.from_pylist(rows, schema=schema.CLIPS_SCHEMA))
            seal = replace(
                self._seal,
                fingerprint=self._fingerprint(examined),
                ranks=(examined[0].rank, examined[-1].rank),
                nanoseconds=tuple(nanoseconds),
                rejected=tuple(rejected),
                entries=tuple(entries),
            )
            writer.seal(seal)
        return seal

    def _fingerprint(self, examined: list[Candidate]) -> str:
        return clips_fingerprint(self._seal, examined)


def _places(path: Path) -> Iterator[tuple[str, tuple[Path, int]]]:
    """Yield the clips of a shard, each with the row group that it is in."""
    shard = Shard(path, Seal)
    for group in shard.groups:
        for clip_id in shard.read(group, ["clip_id"])["clip_id"].to_pylist():
            yield clip_id, (path, group)


def _read_mp3s(path: Path, group: int) -> dict[str, bytes]:
    shard = Shard(path, Seal)
    if group not in shard.groups:
        return {}
    table = shard.read(group, ["clip_id", "mp3"])
    return dict(zip(table["clip_id"].to_pylist(), table["mp3"].to_pylist(), strict=True))
