"""Down the ranking: fetch a clip, check it, say whether it is a good one.

Comes in: the ranking, the snapshot's index, and something that fetches a member's bytes. Goes out: a verdict on one
clip after the other, in the order of the ranking, until a goal is reached. Never writes anything, and never fetches a
clip that cannot be needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import astuple, dataclass
from typing import Any

import pandas as pd
import pyarrow as pa

from pipeline import audio, mp3, schema
from pipeline.archive import Member
from pipeline.errors import Rejected
from pipeline.metadata import BYTES_PER_SECOND, clip_keys
from pipeline.schema import Reason

_CHUNK = 256  # rows of the ranking taken at a time
_MOST_ON_THE_WAY = 64
_MOST_BYTES_PER_SECOND = 40_000  # 320 kbit/s, the most that layer III has
_ROOM_FOR_TAGS = 16 << 20

Fetch = Callable[[Member], bytes]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place of the ranking: its row, and the member that holds the clip, if there is one."""

    row: dict[str, Any]
    member: Member | None
    excluded: bool

    @property
    def rank(self) -> int:
        """Its place, counted from 0."""
        return int(self.row["rank"])

    @property
    def clip_id(self) -> str:
        """The clip in that place."""
        return str(self.row["clip_id"])

    def entry(self) -> list[Any]:
        """Return all that the index says of the clip; nothing where it is not there."""
        return list(astuple(self.member)) if self.member else []

    def facts(self) -> list[Any]:
        """Return all that a stored row of it depends on."""
        member = (self.member.size_bytes, self.member.crc32) if self.member else ()
        return [*self.row.values(), *member, self.excluded]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a candidate: a good clip with its bytes and duration, or a refused one."""

    candidate: Candidate
    data: bytes = b""
    nanoseconds: int = 0  # whole ones, so that sums do not depend on their order
    rejected: Rejected | None = None


class Candidates:
    """The ranking, joined with the clips that the snapshot's index lists.

    Parameters
    ----------
    ranking
        `pipeline.schema.RANKING_SCHEMA`, in its order.
    clips
        `pipeline.schema.MEMBERS` with a ``key``, as `pipeline.metadata.index_clips` returns it.
    exclude
        Clip ids that are refused whatever their bytes.
    layout
        Of the snapshot, a key of `pipeline.metadata.FORMATS`.
    """

    def __init__(self, ranking: pa.Table, clips: pa.Table, exclude: Iterable[str], layout: str = "kaggle-v1") -> None:
        self._ranking = ranking
        self._members = clips.select(schema.MEMBERS.names)
        self._places = pd.Index(clips["key"].to_pandas())
        self._exclude = frozenset(exclude)
        self._layout = layout

    def __len__(self) -> int:
        return int(self._ranking.num_rows)

    def between(self, start: int, stop: int) -> list[Candidate]:
        """Return the candidates of ranks `start` … `stop` − 1."""
        rows = self._ranking.slice(start, stop - start).to_pylist()
        places = self._places.get_indexer(clip_keys([row["clip_id"] for row in rows], self._layout))
        members = iter(self._members.take(places[places >= 0]).to_pylist())
        return [
            Candidate(row, Member(**next(members)) if place >= 0 else None, row["clip_id"] in self._exclude)
            for row, place in zip(rows, places, strict=True)
        ]

    def since(self, start: int) -> Iterator[Candidate]:
        """Yield the candidates from rank `start` on."""
        for first in range(start, len(self), _CHUNK):
            yield from self.between(first, min(first + _CHUNK, len(self)))


@dataclass
class Goal:
    """How many clips, or nanoseconds of them, are wanted, and how many there are so far."""

    clips: int | None
    nanoseconds: int | None
    clips_so_far: int = 0
    nanoseconds_so_far: int = 0

    def add(self, clips: int, nanoseconds: int) -> None:
        """Count more good clips."""
        self.clips_so_far += clips
        self.nanoseconds_so_far += nanoseconds

    def reached(self, more_clips: int = 0, more_nanoseconds: int = 0) -> bool:
        """Tell whether what there is, and so much more, is enough."""
        if self.nanoseconds is not None:
            return self.nanoseconds_so_far + more_nanoseconds >= self.nanoseconds
        return self.clips is not None and self.clips_so_far + more_clips >= self.clips


@dataclass(frozen=True)
class Check:
    """What makes a clip a good one: whole, an MP3, and of a duration within `seconds`."""

    seconds: tuple[float, float]

    def refuse_unfetched(self, candidate: Candidate) -> Member:
        """Refuse what needs no fetching to be refused; return the member to fetch."""
        if candidate.excluded:
            raise Rejected(Reason.EXCLUDED, "named in subsample.exclude")
        if candidate.member is None:
            raise Rejected(Reason.MISSING, "named in the table, but not in the archive")
        size_bytes = candidate.member.size_bytes
        if size_bytes == 0:
            raise Rejected(Reason.EMPTY, "a file of 0 bytes")
        if size_bytes > self.seconds[1] * _MOST_BYTES_PER_SECOND + _ROOM_FOR_TAGS:
            raise Rejected(Reason.TOO_LONG, f"{size_bytes} bytes are more than any MP3 of {self.seconds[1]:g} s has")
        return candidate.member

    def judge(self, candidate: Candidate, data: bytes) -> Verdict:
        """Walk the frames of a clip, and decode it where they leave doubt."""
        try:
            declared = mp3.walk(data)
            samples = declared.num_samples
            if samples is None:
                samples = _decoded_samples(data, declared)
            self._refuse_duration(samples / declared.sample_rate)
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return Verdict(candidate, data, samples * 1_000_000_000 // declared.sample_rate)

    def _refuse_duration(self, seconds: float) -> None:
        low, high = self.seconds
        if seconds < low:
            raise Rejected(Reason.TOO_SHORT, f"{seconds:.3f} s; at least {low:g} s are asked for")
        if seconds > high:
            raise Rejected(Reason.TOO_LONG, f"{seconds:.3f} s; at most {high:g} s are asked for")


class Examination:
    """Examines candidates, fetching them side by side.

    Parameters
    ----------
    check
        What makes a clip a good one.
    recall
        Returns the verdict on a candidate that is known from an earlier run, or None.
    fetch
        Returns a member's bytes, verified, or raises `Rejected`.
    pool
        Threads to fetch with.
    """

    def __init__(
        self, check: Check, recall: Callable[[Candidate], Verdict | None], fetch: Fetch, pool: Executor
    ) -> None:
        self._check = check
        self._recall = recall
        self._fetch = fetch
        self._pool = pool

    def run(self, candidates: Iterator[Candidate], goal: Goal, most: int) -> Iterator[Verdict]:
        """Yield verdicts in the order of the ranking until `most` clips are good or the goal is reached.

        What is on its way counts as good, and as long as its size lets expect, until more is known, so that nothing is
        fetched in vain (but for clips of less than 64 kbit/s, which last longer than expected).
        """
        on_the_way: deque[tuple[Candidate, Future[bytes] | Verdict]] = deque()
        good = nanoseconds = hoped = hoped_nanoseconds = 0
        while good < most and not goal.reached(good, nanoseconds):
            enough = good + hoped >= most or goal.reached(good + hoped, nanoseconds + hoped_nanoseconds)
            candidate = None if enough or len(on_the_way) >= _MOST_ON_THE_WAY else next(candidates, None)
            if candidate is not None:
                outcome = self._start(candidate)
                on_the_way.append((candidate, outcome))
                if not _is_refused(outcome):
                    hoped, hoped_nanoseconds = hoped + 1, hoped_nanoseconds + _expected(candidate)
            elif on_the_way:
                candidate, outcome = on_the_way.popleft()
                verdict = self._finish(candidate, outcome)
                if not _is_refused(outcome):
                    hoped, hoped_nanoseconds = hoped - 1, hoped_nanoseconds - _expected(candidate)
                if verdict.rejected is None:
                    good, nanoseconds = good + 1, nanoseconds + verdict.nanoseconds
                yield verdict
            else:
                return

    def _start(self, candidate: Candidate) -> Future[bytes] | Verdict:
        try:
            member = self._check.refuse_unfetched(candidate)
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return self._recall(candidate) or self._pool.submit(self._fetch, member)

    def _finish(self, candidate: Candidate, outcome: Future[bytes] | Verdict) -> Verdict:
        if isinstance(outcome, Verdict):
            return outcome
        try:
            data = outcome.result()
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return self._check.judge(candidate, data)


def _decoded_samples(data: bytes, declared: mp3.Mp3) -> int:
    samples = len(audio.decode(data)[0])
    if not declared.declares(samples):
        raise Rejected(Reason.UNDECODABLE, f"{declared.num_frames} frames decode to {samples} samples")
    return samples


def _is_refused(outcome: Future[bytes] | Verdict) -> bool:
    return isinstance(outcome, Verdict) and outcome.rejected is not None


def _expected(candidate: Candidate) -> int:
    size_bytes = candidate.member.size_bytes if candidate.member else 0
    return size_bytes * 1_000_000_000 // BYTES_PER_SECOND
