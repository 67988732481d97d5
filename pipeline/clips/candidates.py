"""The ranking joined with the snapshot's index: candidates in order, and the goal at which their examination stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.params import Subsample
from pipeline.snapshot.archive import Member
from pipeline.snapshot.formats import clip_keys

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


class Candidates:
    """The ranking, joined with the clips that the snapshot's index lists.

    Parameters
    ----------
    ranking
        `schema.RANKING_SCHEMA`, in its order.
    clips
        `schema.MEMBERS` with a ``key``, as `pipeline.snapshot.formats.index_clips` returns it.
    exclude
        Clip ids that are rejected whatever their bytes.
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

    def reached(self, more_clips: int = 0, more_nanoseconds: int = 0) -> bool:
        """Tell whether what there is, and so much more, is enough."""
        if self.nanoseconds is not None:
            return self.nanoseconds_so_far + more_nanoseconds >= self.nanoseconds
        return self.clips is not None and self.clips_so_far + more_clips >= self.clips
