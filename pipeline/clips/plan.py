"""What to fetch: the ranking joined with the places of its clips, and the goal at which the walk down it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from posixpath import splitext
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.core.errors import Rejected, SnapshotError
from pipeline.core.params import Subsample
from pipeline.core.schema import PIECE, Reason
from pipeline.snapshot.archive import Member
from pipeline.snapshot.clips import PLACE

CLIP_COLUMNS = ("clip_id", *PLACE.names)
_CHUNK = 256  # rows of the ranking taken at a time

# Of clips of unknown duration: speech in MP3 and Opus, Vorbis at its usual quality, FLAC at half the size of WAV.
_BYTES_PER_SECOND = {".mp3": 8_000, ".opus": 4_000, ".ogg": 12_000, ".oga": 12_000, ".flac": 44_100}
_UNCOMPRESSED_BYTES_PER_SECOND = 88_200  # 44.1 kHz, 16 bits, mono

Seconds = tuple[float, float | None]  # the shortest and the longest duration of a good clip; None: there is no longest
Piece = tuple[float, float]  # of a recording: start and end in seconds


@dataclass(frozen=True, slots=True)
class Candidate:
    """One place of the ranking."""

    row: dict[str, Any]  # of the ranking
    member: Member | None  # that holds the clip; None where the archive has no such member
    excluded: bool  # whether `subsample.exclude` names it
    seconds: float | None = None  # its duration, where the snapshot's tables have it

    @property
    def rank(self) -> int:
        """Its place, counted from 0."""
        return int(self.row["rank"])

    @property
    def clip_id(self) -> str:
        """The clip in that place."""
        return str(self.row["clip_id"])

    @property
    def piece(self) -> Piece | None:
        """Which piece of its recording the clip is; None where it is a whole file."""
        return (self.row[PIECE[0]], self.row[PIECE[1]]) if PIECE[0] in self.row else None

    @property
    def file_name(self) -> str:
        """The clip's id with the extension of its file; of a piece, its recording's name in the archive."""
        if self.member is None:
            return self.clip_id
        return self.clip_id + splitext(self.member.name)[1] if self.piece is None else self.member.name

    def place(self) -> list[Any]:
        """Return where the clip is in the archive; empty where it is not there."""
        return list(astuple(self.member)) if self.member else []

    def fingerprint_facts(self) -> str:
        """Return everything that a stored row of the clip depends on."""
        member = (self.file_name, self.member.size_bytes, self.member.crc32) if self.member else ()
        return repr((*self.row.values(), *member, self.excluded))

    def member_to_fetch(self) -> Member:
        """Return the member to fetch, or raise `Rejected` where the clip can be rejected without its bytes."""
        if self.excluded:
            raise Rejected(Reason.EXCLUDED, "named in subsample.exclude")
        if self.member is None:
            raise Rejected(Reason.MISSING, "named in the table, but not in the archive")
        if self.member.size_bytes == 0:
            raise Rejected(Reason.EMPTY, "a file of 0 bytes")
        return self.member

    def is_doubtful(self, reason: str) -> bool:
        """Return whether it was rejected for bytes that the snapshot's index does not vouch for."""
        if self.member is None or reason in {Reason.EXCLUDED, Reason.EMPTY}:
            return False
        return reason == Reason.CHECKSUM or self.member.crc32 is None

    def guess_nanoseconds(self) -> int:
        """Return how long the clip probably lasts: by the snapshot's tables, or else by its size."""
        if self.seconds is not None or self.member is None:
            return round((self.seconds or 0) * 1e9)
        extension = splitext(self.member.name)[1].lower()
        bytes_per_second = _BYTES_PER_SECOND.get(extension, _UNCOMPRESSED_BYTES_PER_SECOND)
        return self.member.size_bytes * 1_000_000_000 // bytes_per_second


class Candidates:
    """The ranking in its order, joined with the places of its clips in the archive.

    They are in `clips`: the `CLIP_COLUMNS` of all tables of the ranking. Clips whose ids are in `exclude` are rejected
    unread. Raises SnapshotError if `clips` lacks a clip of the ranking.
    """

    def __init__(self, ranking: pa.Table, clips: pa.Table, exclude: Iterable[str]) -> None:
        self._ranking = ranking
        self.columns = schema.clips_schema(fields(ranking.schema))  # of a shard of these clips
        self.are_pieces = PIECE[0] in self.columns.names  # of recordings
        rows = pc.index_in(ranking["clip_id"], value_set=clips["clip_id"].combine_chunks())
        if rows.null_count:
            raise SnapshotError(
                f"{schema.RANKING} lists clips that {schema.CLIP_TABLE} lacks; make it again with: dvc repro stratify"
            )
        self._places = clips.select(PLACE.names).take(rows)
        self._exclude = frozenset(exclude)

    def __len__(self) -> int:
        return int(self._ranking.num_rows)

    def between(self, start: int, stop: int) -> list[Candidate]:
        """Return the candidates of ranks `start` … `stop` − 1."""
        rows = self._ranking.slice(start, stop - start).to_pylist()
        places = self._places.slice(start, stop - start).to_pylist()
        candidates = []
        for row, place in zip(rows, places, strict=True):
            name, seconds = place.pop("path"), place.pop("seconds")
            member = None if name is None else Member(name, **place)
            candidates.append(Candidate(row, member, row["clip_id"] in self._exclude, seconds))
        return candidates

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
