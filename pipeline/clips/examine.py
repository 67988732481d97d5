"""Down the ranking: fetch and check clips side by side, and stop when there are enough good ones.

Clips that are pieces of one recording share its file, which is fetched and checked once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from pipeline.audio.check import check
from pipeline.clips.plan import Candidate, Goal, Seconds
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from pipeline.snapshot.archive import Member, Snapshot

_MOST_IN_FLIGHT = 64
_MOST_BYTES_IN_FLIGHT = 1 << 28  # no more are fetched while as many wait to be written
_CUT_NANOSECONDS = 50_000_000  # of a piece that may lie behind its recording's end: an MP3 frame, or a rounded end


@dataclass(frozen=True, slots=True)
class File:
    """The file of a clip, or of the recording that it is a piece of: whole audio, or why it is rejected."""

    data: bytes | None = b""  # None where an earlier clip took them along
    frames: int = 0
    sample_rate: int = 1
    rejected: Rejected | None = None

    @property
    def nanoseconds(self) -> int:
        """Its duration."""
        return self.frames * 1_000_000_000 // self.sample_rate


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a candidate: a good clip with its bytes (as `File.data`) and duration, or a rejected one."""

    candidate: Candidate
    data: bytes | None = b""
    nanoseconds: int = 0  # an integer, so that sums do not depend on their order
    rejected: Rejected | None = None


@dataclass(frozen=True)
class Check:
    """What makes a clip a good one: whole audio, of a duration within `seconds`, and, of a piece, within its recording.

    `REVISION` is that of these rules, of `Candidate.member_to_fetch` and of `pipeline.audio.check`: it is raised when
    they accept or reject other clips than before, or where clips are stored in another way; every clip is judged again.
    """

    seconds: Seconds

    REVISION: ClassVar[int] = 3

    def member_to_fetch(self, candidate: Candidate) -> Member:
        """Return the member to fetch, or raise `Rejected` where the clip can be rejected without its bytes."""
        member = candidate.member_to_fetch()
        if candidate.piece is not None:
            self._require_duration(candidate.seconds or 0)
        return member

    def fetch(self, member: Member, snapshot: Snapshot) -> File:
        """Fetch a file and examine it; runs in a thread."""
        try:
            return self.examine(snapshot.read(member))
        except Rejected as rejected:
            return File(rejected=rejected)

    def examine(self, data: bytes) -> File:
        """Walk over the structure of a file, and decode it where that leaves a doubt."""
        try:
            sound = check(data)
        except Rejected as rejected:
            return File(rejected=rejected)
        return File(data, sound.frames or 0, sound.sample_rate)

    def judge(self, candidate: Candidate, file: File) -> Verdict:
        """Say whether a clip of this file is a good one."""
        nanoseconds = file.nanoseconds
        try:
            if file.rejected is not None:
                raise file.rejected
            if candidate.piece is None:
                self._require_duration(file.frames / file.sample_rate)
            else:
                start, end = (round(seconds * 1e9) for seconds in candidate.piece)
                if start >= nanoseconds or end > nanoseconds + _CUT_NANOSECONDS:
                    detail = f"ends at {end / 1e9:.3f} s of a recording of {nanoseconds / 1e9:.3f} s"
                    raise Rejected(Reason.TRUNCATED, detail)
                nanoseconds = min(end, nanoseconds) - start
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return Verdict(candidate, file.data, nanoseconds)

    def _require_duration(self, seconds: float) -> None:
        low, high = self.seconds
        if seconds < low:
            raise Rejected(Reason.TOO_SHORT, f"{seconds:.3f} s; at least {low:g} s are asked for")
        if high is not None and seconds > high:
            raise Rejected(Reason.TOO_LONG, f"{seconds:.3f} s; at most {high:g} s are asked for")


class _Started(NamedTuple):
    """A candidate that is rejected already, or whose file is here or is being fetched."""

    candidate: Candidate
    file: Rejected | File | Future[File]
    guess: int | None = None  # how long it may last if it is good
    size_bytes: int = 0  # of the file, if it is held in memory for this candidate


Files = dict[str, File | Future[File]]  # by `Candidate.file_name`


@dataclass(frozen=True)
class Examiner:
    """Examines candidates, fetching them side by side."""

    check: Check  # what makes a clip a good one
    recall: Callable[[Candidate], File | None]  # what an earlier run found of a candidate; None if it is not known
    snapshot: Callable[[], Snapshot]  # what to fetch from; not called where `recall` knows every candidate
    pool: Executor  # threads to fetch and check with
    on_fetched: Callable[[int, int], None]  # is called for each file that was fetched, with 1 and its bytes
    rejected: Files = field(default_factory=dict)  # recordings

    def run(self, candidates: Iterator[Candidate], goal: Goal, most: int) -> Iterator[Verdict]:
        """Yield verdicts in the order of the ranking until `most` clips are good or the goal is met.

        Requests in flight are counted as good clips of their estimated length, so none is wasted except where clips
        last longer than estimated. The first good piece of a recording takes its bytes along, the others have none.
        """
        in_flight: deque[_Started] = deque()
        recordings = dict(self.rejected)
        good = nanoseconds = 0
        while good < most and not goal.is_met_with(good, nanoseconds):
            likely = [each.guess for each in in_flight if each.guess is not None]
            probably_good, probably_nanoseconds = good + len(likely), nanoseconds + sum(likely)
            is_enough = probably_good >= most or goal.is_met_with(probably_good, probably_nanoseconds)
            is_full = len(in_flight) >= _MOST_IN_FLIGHT
            is_full = is_full or sum(each.size_bytes for each in in_flight) >= _MOST_BYTES_IN_FLIGHT
            candidate = None if is_enough or is_full else next(candidates, None)
            if candidate is not None:
                in_flight.append(self._start(candidate, recordings))
                continue
            if not in_flight:
                return
            verdict = self._finish(in_flight.popleft(), recordings)
            if verdict.rejected is None:
                good, nanoseconds = good + 1, nanoseconds + verdict.nanoseconds
            yield verdict

    def _start(self, candidate: Candidate, recordings: Files) -> _Started:
        """Get a candidate's file: from those of the recordings, from an earlier run, or by a request."""
        try:
            member = self.check.member_to_fetch(candidate)
        except Rejected as rejected:
            return _Started(candidate, rejected)
        size_bytes = 0
        file = recordings.get(candidate.file_name)
        if file is None:
            file, size_bytes = self.recall(candidate), member.size_bytes
        if file is None:
            file = self.pool.submit(self.check.fetch, member, self.snapshot())
        guess = candidate.guess_nanoseconds()
        if isinstance(file, File):
            verdict = self.check.judge(candidate, file)
            if verdict.rejected is not None:
                return _Started(candidate, verdict.rejected)
            guess = verdict.nanoseconds
        if candidate.piece is not None:
            recordings[candidate.file_name] = file
        return _Started(candidate, file, guess, size_bytes)

    def _finish(self, started: _Started, recordings: Files) -> Verdict:
        """Wait for a candidate's file, and judge the candidate."""
        candidate, file = started.candidate, started.file
        if isinstance(file, Rejected):
            return Verdict(candidate, rejected=file)
        if isinstance(file, Future):
            file = file.result()
            if started.size_bytes:
                self.on_fetched(1, len(file.data or b""))
        verdict = self.check.judge(candidate, file)
        if candidate.piece is None:
            return verdict
        known = recordings.get(candidate.file_name)
        if isinstance(known, File) and known.data is None:
            return replace(verdict, data=None)
        if file.rejected is not None:
            recordings[candidate.file_name] = self.rejected[candidate.file_name] = file
        elif verdict.rejected is None:
            recordings[candidate.file_name] = replace(file, data=None)
        else:  # only the piece is bad: rather get its recording again than keep any number of them
            recordings.pop(candidate.file_name, None)
        return verdict
