"""What to fetch: the ranking joined with the snapshot's index, and the goal at which the walk down it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.errors import Rejected
from pipeline.core.params import Subsample
from pipeline.core.schema import Reason
from pipeline.snapshot.archive import Member
from pipeline.snapshot.formats import BYTES_PER_SECOND, clip_keys

_CHUNK = 256  # rows of the ranking taken at a time
_MOST_BYTES_PER_SECOND = 40_000  # 320 kbit/s, the most that layer III has
_ROOM_FOR_TAGS = 16 << 20


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

    def index_row(self) -> list[Any]:
        """Return the clip's row of the snapshot's index; empty where it has none."""
        return list(astuple(self.member)) if self.member else []

    def fingerprint_facts(self) -> list[Any]:
        """Return everything that a stored row of the clip depends on."""
        member = (self.member.size_bytes, self.member.crc32) if self.member else ()
        return [*self.row.values(), *member, self.excluded]

    def member_to_fetch(self, seconds: tuple[float, float]) -> Member:
        """Return the member to fetch, or raise `Rejected` where the clip can be rejected without its bytes.

        Parameters
        ----------
        seconds
            Shortest and longest duration of a good clip.
        """
        if self.excluded:
            raise Rejected(Reason.EXCLUDED, "named in subsample.exclude")
        if self.member is None:
            raise Rejected(Reason.MISSING, "named in the table, but not in the archive")
        size_bytes = self.member.size_bytes
        if size_bytes == 0:
            raise Rejected(Reason.EMPTY, "a file of 0 bytes")
        if size_bytes > seconds[1] * _MOST_BYTES_PER_SECOND + _ROOM_FOR_TAGS:
            raise Rejected(Reason.TOO_LONG, f"{size_bytes} bytes are more than any MP3 of {seconds[1]:g} s has")
        return self.member

    def guess_nanoseconds(self) -> int:
        """Return how long the clip probably lasts, by its size."""
        return self.member.size_bytes * 1_000_000_000 // BYTES_PER_SECOND if self.member else 0


class Candidates:
    """The ranking, joined with the clips that the snapshot's index lists.

    Parameters
    ----------
    ranking
        `schema.RANKING_SCHEMA`, in its order.
    clips
        `schema.MEMBERS` with a ``key``, as `pipeline.snapshot.formats.index_clips` returns it.
    exclude
        Clip ids that are rejected unread.
    format_name
        Of the snapshot, a key of `pipeline.snapshot.formats.FORMATS`.
    """

    def __init__(
        self, ranking: pa.Table, clips: pa.Table, exclude: Iterable[str], format_name: str = "kaggle-v1"
    ) -> None:
        self._ranking = ranking
        self._members = clips.select(schema.MEMBERS.names)
        keys = pa.array(clip_keys(ranking["clip_id"].to_pylist(), format_name), pa.string())
        self._places = pc.index_in(keys, value_set=clips["key"].combine_chunks())
        self._exclude = frozenset(exclude)

    def __len__(self) -> int:
        return int(self._ranking.num_rows)

    def between(self, start: int, stop: int) -> list[Candidate]:
        """Return the candidates of ranks `start` … `stop` − 1."""
        rows = self._ranking.slice(start, stop - start).to_pylist()
        places = self._places.slice(start, stop - start)
        members = iter(self._members.take(places.drop_null()).to_pylist())
        return [
            Candidate(row, Member(**next(members)) if place.is_valid else None, row["clip_id"] in self._exclude)
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

    @classmethod
    def of(cls, wanted: Subsample) -> Goal:
        """Return the goal that params.yaml sets: one clip or more."""
        return cls(wanted.clips, None if wanted.hours is None else max(1, round(wanted.hours * 3600e9)))

    @property
    def hours_so_far(self) -> float:
        """The duration of the clips that there are so far."""
        return self.nanoseconds_so_far / 3600e9

    def add(self, clips: int, nanoseconds: int) -> None:
        """Count more good clips."""
        self.clips_so_far += clips
        self.nanoseconds_so_far += nanoseconds

    @property
    def is_met(self) -> bool:
        """Whether there is enough."""
        return self.is_met_with(0, 0)

    def is_met_with(self, clips: int, nanoseconds: int) -> bool:
        """Return whether there is enough once these clips are added."""
        if self.nanoseconds is not None:
            return self.nanoseconds_so_far + nanoseconds >= self.nanoseconds
        return self.clips is not None and self.clips_so_far + clips >= self.clips


def members_to_prefetch(
    candidates: Iterable[Candidate],
    goal: Goal,
    seconds: tuple[float, float],
    rejected: Callable[[Candidate], Rejected | None],
    stored_nanoseconds: Callable[[Candidate], int | None],
) -> Iterator[Member]:
    """Yield the members that will probably be fetched until the goal is met; none where all clips are here already.

    Parameters
    ----------
    candidates
        In the order of the ranking.
    goal
        Left as it is.
    seconds
        Shortest and longest duration of a good clip.
    rejected, stored_nanoseconds
        Return why a previous run rejected a clip, and how long one lasts that a previous run stored.
    """
    so_far = replace(goal)
    for candidate in candidates:
        if so_far.is_met:
            return
        try:
            member = candidate.member_to_fetch(seconds)
        except Rejected:
            continue
        nanoseconds = stored_nanoseconds(candidate)
        is_too_short_or_long = nanoseconds is not None and not seconds[0] <= nanoseconds / 1e9 <= seconds[1]
        if is_too_short_or_long or rejected(candidate):
            continue
        if nanoseconds is None:
            nanoseconds = candidate.guess_nanoseconds()
            yield member
        so_far.add(1, nanoseconds)
