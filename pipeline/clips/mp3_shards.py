"""The chosen MP3s in shards, and a reason for each clip that was rejected.

A shard of an earlier run that is still right is kept. Where one is not, the clips that are still wanted are copied from
it instead of being fetched again.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clips.candidates import Candidate, Candidates, Goal
from pipeline.clips.check import Check, Verdict
from pipeline.clips.fetch import Examination, Fetch
from pipeline.core import schema
from pipeline.core.errors import Rejected, SampleError
from pipeline.core.schema import Reason
from pipeline.shards import sealed

_ROW_GROUP_CLIPS = 64


@dataclass
class Tally:
    """What became of the clips that were examined, in the order of the ranking."""

    max_rejected: float
    accepted: list[int] = field(default_factory=list)  # ranks
    rejected: list[tuple[int, str, str, str]] = field(default_factory=list)  # rows of data/rejected.csv

    def add(self, seal: dict[str, Any]) -> None:
        """Count a shard."""
        refused = {rank for rank, *_ in seal["rejected"]}
        first, last = seal["ranks"]
        self.accepted += [rank for rank in range(first, last + 1) if rank not in refused]
        self.rejected += [tuple(row) for row in seal["rejected"]]

    def reasons(self) -> str:
        """Return how many were refused for which reason, in words."""
        counts = Counter(reason for _, _, reason, _ in self.rejected)
        return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())) or "none"

    def verify(self, accepted: int, more: Iterable[tuple[int, str, str, str]] = ()) -> None:
        """Raise `SampleError` where more are refused than `max_rejected` allows beside so many that are accepted."""
        refused = [row for row in (*self.rejected, *more) if row[2] != Reason.EXCLUDED]
        examined = accepted + len(refused)
        if len(refused) > self.max_rejected * examined:
            counts = Counter(reason for _, _, reason, _ in refused)
            rank, clip_id, reason, detail = refused[-1]
            raise SampleError(
                f"at least {len(refused)} of {examined} clips are bad, more than the share that "
                f"subsample.max_rejected = {self.max_rejected:g} allows: "
                f"{', '.join(f'{reason} {count}' for reason, count in sorted(counts.items()))}.\n"
                f"The last one was {clip_id} at rank {rank}: {reason}, {detail}.\n"
                "If the snapshot is like that, allow more in params.yaml; otherwise get it again."
            )


class Earlier:
    """Clips that earlier runs fetched from the same snapshot, out of the shards that they left."""

    def __init__(self, seals: Mapping[Path, dict[str, Any]], facts: dict[str, Any], check: Check) -> None:
        self._check = check
        self._place: dict[str, tuple[Path, int]] = {}
        self._refused: dict[str, tuple[list[Any], Rejected]] = {}
        for path, seal in seals.items():
            if seal["source"] != facts["source"]:
                continue
            self._place.update(_places(path))
            if {name: seal.get(name) for name in facts} == facts:
                for (_, clip_id, reason, detail), entry in zip(seal["rejected"], seal.get("entries", []), strict=False):
                    self._refused[clip_id] = entry, Rejected(Reason(reason), detail)
        self._load = lru_cache(maxsize=2)(_read_mp3s)

    def recall(self, candidate: Candidate) -> Verdict | None:
        """Return what became of a candidate before, or None where it has to be fetched."""
        entry, refused = self._refused.get(candidate.clip_id, (None, None))
        if refused is not None and refused.reason is not Reason.EXCLUDED and entry == candidate.entry():
            return Verdict(candidate, rejected=refused)
        place, member = self._place.get(candidate.clip_id), candidate.member
        if place is None or member is None:
            return None
        data = self._load(*place).get(candidate.clip_id)  # a shard of this run may be in the place of that one now
        if data is None or len(data) != member.size_bytes or member.crc32 not in (None, zlib.crc32(data)):
            return None
        return self._check.judge(candidate, data)


class ClipShards:
    """The shards of ``data/clips``.

    Parameters
    ----------
    candidates
        The ranking, joined with the snapshot's index.
    check
        What makes a clip a good one.
    shard_clips
        How many clips a full shard holds.
    facts
        What else the shards depend on; goes into their seals. ``source`` is what recognises the snapshot.
    """

    def __init__(self, candidates: Candidates, check: Check, shard_clips: int, facts: dict[str, Any]) -> None:
        self._candidates = candidates
        self._check = check
        self._shard_clips = shard_clips
        self._facts = {**facts, "seconds": list(check.seconds)}
        self._folder = sealed.ShardFolder(schema.CLIPS)
        self._seals = sealed.read_whole_seals(self._folder.existing())
        self._count = 0

    def fill(self, goal: Goal, tally: Tally, fetch: Fetch, pool: Any) -> Iterator[int]:
        """Find or make shard after shard until the goal is reached; yield how many clips each of them holds."""
        examination = Examination(self._check, self._recall, fetch, pool)
        rank = 0
        while not goal.reached() and rank < len(self._candidates):
            seal = self._find(rank, goal)
            if seal is None:
                verdicts = examination.run(self._candidates.since(rank), goal, self._shard_clips)
                seal = self._write(self._folder.new(self._count), verdicts, goal, tally)
            tally.add(seal)
            goal.add(len(seal["nanoseconds"]), sum(seal["nanoseconds"]))
            tally.verify(goal.clips or len(tally.accepted))
            yield len(seal["nanoseconds"])
            self._count, rank = self._count + 1, seal["ranks"][1] + 1

    @property
    def has_new(self) -> bool:
        """Whether there are shards to publish."""
        return self._folder.has_new

    def publish(self) -> None:
        """Give the shards that `fill` found and made their final names."""
        self._folder.publish(self._count)

    @cached_property
    def _earlier(self) -> Earlier:
        return Earlier(self._seals, self._facts, self._check)

    def _recall(self, candidate: Candidate) -> Verdict | None:
        return self._earlier.recall(candidate)

    def _find(self, rank: int, goal: Goal) -> dict[str, Any] | None:
        """Return the seal of the next shard if it is there, whole, and what would be made now."""

        def right(path: Path) -> dict[str, Any] | None:
            seal = self._seals.get(path)
            if seal is None:
                return None
            first, last = seal["ranks"]
            if first != rank or last >= len(self._candidates) or not self._ends_right(seal, goal):
                return None
            candidates = self._candidates.between(first, last + 1)
            entries = [candidates[refused - first].entry() for refused, *_ in seal["rejected"]]
            is_right = seal["fingerprint"] == self._fingerprint(candidates) and seal.get("entries", []) == entries
            return self._seals.pop(path) if is_right else None

        return self._folder.find(self._count, right)

    def _ends_right(self, seal: dict[str, Any], goal: Goal) -> bool:
        """Tell whether a shard stops just where it should: full, at the goal, or at the end of the ranking."""
        *before_last, last = seal["nanoseconds"] or [0]
        count = len(seal["nanoseconds"])
        if count > self._shard_clips or goal.reached(count - 1, sum(before_last)):
            return False
        at_goal = goal.reached(count, sum(before_last) + last)
        return at_goal or count == self._shard_clips or seal["ranks"][1] == len(self._candidates) - 1

    def _write(self, path: Path, verdicts: Iterable[Verdict], goal: Goal, tally: Tally) -> dict[str, Any]:
        """Write the good clips among `verdicts` as one shard; return its seal.

        The seal has the ranks that the shard covers and what was refused among them, with their entries of the
        index, so that shards can be told right or wrong, and reused, one by one.
        """
        examined: list[Candidate] = []
        seal: dict[str, Any] = {**self._facts, "nanoseconds": [], "rejected": [], "entries": []}
        rows: list[dict[str, Any]] = []
        with sealed.writing(path, schema.CLIPS_SCHEMA, seal, compression="none", use_dictionary=False) as writer:
            for verdict in verdicts:
                candidate = verdict.candidate
                examined.append(candidate)
                if verdict.rejected is not None:
                    reason = verdict.rejected.reason.value
                    seal["rejected"].append((candidate.rank, candidate.clip_id, reason, verdict.rejected.detail))
                    seal["entries"].append(candidate.entry())
                    tally.verify(goal.clips or len(self._candidates), seal["rejected"])
                    continue
                seal["nanoseconds"].append(verdict.nanoseconds)
                rows.append({**candidate.row, "mp3": verdict.data})
                if len(rows) == _ROW_GROUP_CLIPS:
                    writer.write_table(pa.Table.from_pylist(rows, schema=schema.CLIPS_SCHEMA))
                    rows.clear()
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema.CLIPS_SCHEMA))
            seal["ranks"] = (examined[0].rank, examined[-1].rank)
            seal["fingerprint"] = self._fingerprint(examined)
        return seal

    def _fingerprint(self, examined: list[Candidate]) -> str:
        return sealed.fingerprint([self._facts, [candidate.facts() for candidate in examined]])


def _places(path: Path) -> Iterator[tuple[str, tuple[Path, int]]]:
    """Yield the clips of a shard, each with the row group that it is in."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            for clip_id in file.read_row_group(group, columns=["clip_id"])["clip_id"].to_pylist():
                yield clip_id, (path, group)


def _read_mp3s(path: Path, group: int) -> dict[str, bytes]:
    with pq.ParquetFile(path) as file:
        if group >= file.num_row_groups:
            return {}
        table = file.read_row_group(group, columns=["clip_id", "mp3"])
    return dict(zip(table["clip_id"].to_pylist(), table["mp3"].to_pylist(), strict=True))
