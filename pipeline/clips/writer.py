"""The good clips in shards, each sealed with the clips that were rejected among its ranks.

A shard of an earlier run that is still right is kept. Where one is not, its clips are copied instead of being fetched
again.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from pipeline.clips.examine import Check, Examiner, File, Verdict
from pipeline.clips.plan import Candidate, Candidates, Goal, Seconds
from pipeline.clips.rejected import Counts, Rejection
from pipeline.core import schema
from pipeline.core.columns import declared
from pipeline.core.errors import Rejected
from pipeline.core.params import Params
from pipeline.core.schema import Reason
from pipeline.shards import sealed
from pipeline.shards.folder import ShardFolder, existing_shards, open_shards, whole_shards
from pipeline.shards.sealed import Seal, Shard
from pipeline.snapshot.archive import Member, Snapshot
from pipeline.snapshot.description import Description

_ROW_GROUP_CLIPS = 64
_ROW_GROUP_BYTES = 1 << 25  # a row group ends at whichever is reached first


@dataclass(frozen=True, kw_only=True)
class ClipsSeal(Seal):
    """The seal of a shard of clips."""

    revision: int  # of the rules by which its clips were checked (`pipeline.clips.examine.Check`)
    pyarrow: str = pa.__version__  # which wrote it
    source: dict[str, Any]  # the identity of the snapshot
    columns: str  # a digest of the declared columns, and all that is declared of them
    seconds: Seconds  # shortest and longest duration that was accepted
    ranks: tuple[int, int] = (0, -1)  # the first and the last that it covers
    nanoseconds: tuple[int, ...] = ()  # the duration of each of its clips
    rejected: tuple[Rejection, ...] = ()  # the clips that were rejected among these ranks
    places: tuple[list[Any], ...] = ()  # where each of those is in the archive

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Make a seal of what JSON gives, in which tuples are lists."""
        seal = super().of(facts)
        low, high = seal.seconds
        return replace(seal, seconds=(low, high), rejected=tuple(Rejection(*row) for row in seal.rejected))

    def facts(self) -> dict[str, Any]:
        """Return what all shards of one run have in common."""
        names = ("version", "snapshot", "title", "license", "revision", "pyarrow", "source", "columns", "seconds")
        return {name: value for name, value in asdict(self).items() if name in names}


def wanted_seal(params: Params, description: Description, source: dict[str, Any], ranking: pa.Schema) -> ClipsSeal:
    """Return what the shards that params.yaml asks for have in common; `source` is the identity of the snapshot."""
    return ClipsSeal(
        snapshot=params.snapshot,
        title=description.title,
        license=description.license,
        fingerprint="",
        revision=Check.REVISION,
        source=source,
        columns=sealed.fingerprint([asdict(column) for column in declared(ranking)]),
        seconds=params.subsample.seconds,
    )


def clips_fingerprint(seal: ClipsSeal, examined: Sequence[Candidate]) -> str:
    """Return the fingerprint of a shard that was made of these places of the ranking."""
    return sealed.fingerprint([seal.facts(), [candidate.fingerprint_facts() for candidate in examined]])


class PreviousRuns:
    """The clips that previous runs fetched from the same snapshot, and what they rejected.

    `seals` are of the shards that they left, `wanted` is that of this run. Where the snapshot is local, a clip that was
    rejected for bytes that the index does not vouch for is not known, but read again: the archive may have been
    damaged, and be whole now.
    """

    def __init__(
        self, seals: Mapping[Path, ClipsSeal], wanted: ClipsSeal, check: Check, *, is_local: bool = False
    ) -> None:
        self._check = check
        self._is_local = is_local
        self._nanoseconds: dict[str, int] = {}  # the duration of each clip
        self._files: dict[str, tuple[Path, int]] = {}  # shard and row group that have each file, by its name
        self._rejected: dict[str, tuple[list[Any], Rejected]] = {}
        self._load = lru_cache(maxsize=2)(_read_files)
        for path, seal in seals.items():
            if seal.source != wanted.source:
                continue
            self.add(path, seal)
            if (seal.revision, seal.seconds) == (wanted.revision, wanted.seconds):
                for rejection, place in zip(seal.rejected, seal.places, strict=True):
                    self._rejected[rejection.clip_id] = place, Rejected(Reason(rejection.reason), rejection.detail)

    def add(self, path: Path, seal: ClipsSeal) -> None:
        """Take in the clips of a shard; of a recording's pieces, the first there has the file."""
        self._load.cache_clear()  # the shard may have taken another's place
        shard, nanoseconds = Shard(path, Seal), iter(seal.nanoseconds)
        found: dict[str, tuple[Path, int]] = {}
        for group in shard.groups:
            for row in shard.read(group, ["clip_id", "audio.path"]).to_pylist():
                self._nanoseconds[row["clip_id"]] = next(nanoseconds)
                found.setdefault(row["audio"]["path"], (path, group))
        self._files |= found

    def recall(self, candidate: Candidate) -> File | None:
        """Return a candidate's file, or why it was rejected before; None where it has to be fetched."""
        if rejected := self.rejected(candidate):
            return File(rejected=rejected)
        if candidate.member is None or not self.has_file(candidate):
            return None
        data = self._load(*self._files[candidate.file_name]).get(candidate.file_name)  # this run may have replaced it
        if data is None or len(data) != candidate.member.size_bytes:
            return None
        if candidate.member.crc32 not in (None, zlib.crc32(data)):
            return None
        return self._check.examine(data)

    def rejected(self, candidate: Candidate) -> Rejected | None:
        """Return why a candidate was rejected before, if it was and is still in the same place of the archive."""
        place, rejected = self._rejected.get(candidate.clip_id, ([], None))
        if rejected is None or rejected.reason is Reason.EXCLUDED or place != candidate.place():
            return None
        return None if self._is_local and candidate.is_doubtful(rejected.reason) else rejected

    def missing(self, candidates: Iterable[Candidate], goal: Goal) -> Iterator[Member]:
        """Yield the members that will probably be fetched until the goal is met."""
        low, high = self._check.seconds
        so_far = replace(goal)
        recordings: set[str] = set()
        for candidate in candidates:
            if so_far.is_met:
                return
            try:
                member = self._check.member_to_fetch(candidate)
            except Rejected:
                continue
            if self.rejected(candidate):
                continue
            nanoseconds = self.stored_nanoseconds(candidate)
            if nanoseconds is None:
                if not (self.has_file(candidate) or candidate.file_name in recordings):
                    recordings.add(candidate.file_name)
                    yield member
                so_far.add(1, candidate.guess_nanoseconds())
            elif low <= nanoseconds / 1e9 <= (high or math.inf):
                so_far.add(1, nanoseconds)

    def stored_nanoseconds(self, candidate: Candidate) -> int | None:
        """Return the duration of a candidate that is stored, without looking at it."""
        return self._nanoseconds.get(candidate.clip_id)

    def has_file(self, candidate: Candidate) -> bool:
        """Return whether a candidate's file is stored, without looking at it."""
        return candidate.file_name in self._files


class ClipShardWriter:
    """The shards of ``data/clips``, of `shard_clips` clips each; `seal` has what all of them have in common.

    `local` is the snapshot, where it lies on this machine.
    """

    def __init__(
        self,
        candidates: Candidates,
        check: Check,
        shard_clips: int,
        seal: ClipsSeal,
        local: Snapshot | None = None,
    ) -> None:
        self._candidates = candidates
        self._check = check
        self._shard_clips = shard_clips
        self._seal = seal
        self._local = local
        self._folder = ShardFolder(schema.CLIPS)
        whole = whole_shards(open_shards(existing_shards(schema.CLIPS), ClipsSeal))
        self._seals = {path: shard.seal for path, shard in whole.items()}
        self._count = 0
        self.rank = 0  # the first that no shard of this run covers yet

    @cached_property
    def previous(self) -> PreviousRuns:
        """The clips of the shards that lie there."""
        return PreviousRuns(self._seals, self._seal, self._check, is_local=self._local is not None)

    def fill(self, goal: Goal, counts: Counts, examiner: Examiner | None = None) -> Iterator[int]:
        """Yield the clips of shard after shard, kept or made, until the goal is met.

        Without an `examiner` it ends at the first shard that has to be made.
        """
        while not goal.is_met and self.rank < len(self._candidates):
            found = self._find(goal)
            if found is None:
                if examiner is None:
                    return
                verdicts = examiner.run(self._candidates.since(self.rank), goal, self._shard_clips)
                path = self._folder.new(self._count)
                found = path, self._write(path, verdicts, goal, counts)
            _, seal = found
            if self._candidates.are_pieces:
                self.previous.add(*found)  # a later shard may have other pieces of its recordings
            counts.add(seal.ranks, seal.rejected)
            goal.add(len(seal.nanoseconds), sum(seal.nanoseconds))
            counts.verify(self._most_accepted(goal, counts) if goal.clips else len(counts.accepted))
            yield len(seal.nanoseconds)
            self._count, self.rank = self._count + 1, seal.ranks[1] + 1

    def publish(self) -> None:
        """Give the shards that `fill` kept and made their final names."""
        self._folder.publish(self._count)

    def _find(self, goal: Goal) -> tuple[Path, ClipsSeal] | None:
        """Return the next shard and its seal if it is there, whole, and what would be made now."""

        def right(path: Path) -> tuple[Path, ClipsSeal] | None:
            seal = self._seals.get(path)
            if seal is None or seal.ranks[0] != self.rank or seal.ranks[1] >= len(self._candidates):
                return None
            # Does it stop where it should: full, at the goal, or at the end of the ranking?
            *before_last, last = seal.nanoseconds or [0]
            count = len(seal.nanoseconds)
            if count > self._shard_clips or goal.is_met_with(count - 1, sum(before_last)):
                return None
            is_at_goal = goal.is_met_with(count, sum(before_last) + last)
            if not (is_at_goal or count == self._shard_clips or seal.ranks[1] == len(self._candidates) - 1):
                return None
            candidates = self._candidates.between(self.rank, seal.ranks[1] + 1)
            rejected = [candidates[rejection.rank - self.rank] for rejection in seal.rejected]
            is_right = (
                seal.fingerprint == clips_fingerprint(self._seal, candidates)
                and list(seal.places) == [candidate.place() for candidate in rejected]
                and all(map(self._is_still_rejected, rejected, seal.rejected))
            )
            return (path, self._seals.pop(path)) if is_right else None

        return self._folder.find(self._count, right)

    def _is_still_rejected(self, candidate: Candidate, rejection: Rejection) -> bool:
        if self._local is None or not candidate.is_doubtful(rejection.reason):
            return True
        try:
            file = self._check.fetch(self._check.member_to_fetch(candidate), self._local)
        except Rejected as rejected:
            file = File(rejected=rejected)
        again = self._check.judge(candidate, file).rejected
        return again is not None and (again.reason, again.detail) == (rejection.reason, rejection.detail)

    def _most_accepted(self, goal: Goal, counts: Counts, rejected: Sequence[Rejection] = ()) -> int:
        """Return how many clips can be accepted: the goal, or all that are eligible and not rejected yet."""
        left = len(self._candidates) - len(counts.rejected) - len(rejected)
        return min(goal.clips or left, left)

    def _write(self, path: Path, verdicts: Iterable[Verdict], goal: Goal, counts: Counts) -> ClipsSeal:
        """Write the good clips among `verdicts` as one shard; return its seal.

        The seal has the ranks that the shard covers and the rejected clips among them, with their places in the
        archive, so that each shard can be verified, and kept, by itself.
        """
        examined: list[Candidate] = []
        nanoseconds: list[int] = []
        rejected: list[Rejection] = []
        places: list[list[Any]] = []
        rows: list[dict[str, Any]] = []
        size_bytes = 0
        columns = self._candidates.columns
        small = [name for name in columns.names if name != "audio"]  # statistics of files would be copies of them
        with sealed.writing(path, columns, compression="none", use_dictionary=False, write_statistics=small) as writer:
            for verdict in verdicts:
                candidate = verdict.candidate
                examined.append(candidate)
                if verdict.rejected is not None:
                    reason, detail = verdict.rejected.reason.value, verdict.rejected.detail
                    rejected.append(Rejection(candidate.rank, candidate.clip_id, reason, detail))
                    places.append(candidate.place())
                    counts.verify(self._most_accepted(goal, counts, rejected), rejected)
                    continue
                nanoseconds.append(verdict.nanoseconds)
                rows.append({**candidate.row, "audio": {"bytes": verdict.data, "path": candidate.file_name}})
                size_bytes += len(verdict.data or b"")
                if len(rows) == _ROW_GROUP_CLIPS or size_bytes >= _ROW_GROUP_BYTES:
                    writer.write(pa.Table.from_pylist(rows, schema=columns))
                    rows, size_bytes = [], 0
            if rows:
                writer.write(pa.Table.from_pylist(rows, schema=columns))
            seal = replace(
                self._seal,
                fingerprint=clips_fingerprint(self._seal, examined),
                ranks=(examined[0].rank, examined[-1].rank),
                nanoseconds=tuple(nanoseconds),
                rejected=tuple(rejected),
                places=tuple(places),
            )
            writer.seal(seal)
        return seal


def _read_files(path: Path, group: int) -> dict[str, bytes | None]:
    shard = Shard(path, Seal)
    if group not in shard.groups:
        return {}
    files = shard.read(group, ["audio"])["audio"].to_pylist()
    return {file["path"]: file["bytes"] for file in reversed(files)}  # of several pieces, the first has the bytes
