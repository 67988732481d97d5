"""Down the ranking: fetch and check clips side by side, and stop when there are enough good ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import ClassVar

from pipeline.audio.check import check
from pipeline.clips.plan import Candidate, Goal, Seconds
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from pipeline.snapshot.archive import Snapshot

_MOST_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a candidate: a good clip with its bytes and duration, or a rejected one."""

    candidate: Candidate
    data: bytes = b""
    nanoseconds: int = 0  # an integer, so that sums do not depend on their order
    rejected: Rejected | None = None


@dataclass(frozen=True)
class Check:
    """What makes a clip a good one: whole audio, and of a duration within `seconds`.

    `REVISION` is that of these rules, of `Candidate.member_to_fetch` and of `pipeline.audio.check`: it is raised when
    they accept or reject other clips than before, or where clips are stored in another way; every clip is judged again.
    """

    seconds: Seconds

    REVISION: ClassVar[int] = 2

    def fetch(self, candidate: Candidate, snapshot: Snapshot) -> Verdict:
        """Fetch a clip and judge it; runs in a thread."""
        try:
            data = snapshot.read(candidate.member_to_fetch())
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return self.judge(candidate, data)

    def judge(self, candidate: Candidate, data: bytes) -> Verdict:
        """Walk over the structure of a clip, and decode it where that leaves a doubt."""
        low, high = self.seconds
        try:
            sound = check(data)
            frames = sound.frames or 0
            seconds = frames / sound.sample_rate
            if seconds < low:
                raise Rejected(Reason.TOO_SHORT, f"{seconds:.3f} s; at least {low:g} s are asked for")
            if high is not None and seconds > high:
                raise Rejected(Reason.TOO_LONG, f"{seconds:.3f} s; at most {high:g} s are asked for")
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return Verdict(candidate, data, frames * 1_000_000_000 // sound.sample_rate)


@dataclass(frozen=True)
class Examiner:
    """Examines candidates, fetching them side by side.

    Attributes
    ----------
    check
        What makes a clip a good one.
    recall
        Returns the verdict on a candidate that is known from an earlier run, or None.
    snapshot
        What to fetch from; None where `recall` knows every candidate.
    pool
        Threads to fetch and check with.
    on_fetched
        Is called for each clip that was fetched, with 1 and its bytes.
    """

    check: Check
    recall: Callable[[Candidate], Verdict | None]
    snapshot: Snapshot | None
    pool: Executor
    on_fetched: Callable[[int, int], None]

    def run(self, candidates: Iterator[Candidate], goal: Goal, most: int) -> Iterator[Verdict]:
        """Yield verdicts in the order of the ranking until `most` clips are good or the goal is met.

        Requests in flight are counted as good clips of their estimated length, so none is wasted except where clips
        last longer than estimated.
        """
        in_flight: deque[tuple[Verdict | Future[Verdict], int | None]] = deque()  # with how long a good one may last
        good = nanoseconds = 0
        while good < most and not goal.is_met_with(good, nanoseconds):
            likely = [guess for _, guess in in_flight if guess is not None]
            probably_good, probably_nanoseconds = good + len(likely), nanoseconds + sum(likely)
            is_enough = probably_good >= most or goal.is_met_with(probably_good, probably_nanoseconds)
            candidate = None if is_enough or len(in_flight) >= _MOST_IN_FLIGHT else next(candidates, None)
            if candidate is not None:
                in_flight.append(self._start(candidate))
                continue
            if not in_flight:
                return
            outcome, _ = in_flight.popleft()
            if isinstance(outcome, Verdict):
                verdict = outcome
            else:
                verdict = outcome.result()
                self.on_fetched(1, len(verdict.data))
            if verdict.rejected is None:
                good, nanoseconds = good + 1, nanoseconds + verdict.nanoseconds
            yield verdict

    def _start(self, candidate: Candidate) -> tuple[Verdict | Future[Verdict], int | None]:
        """Return the verdict on a candidate, or the future one, and how long the clip may last if it is good."""
        try:
            candidate.member_to_fetch()
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected), None
        if verdict := self.recall(candidate):
            return verdict, None if verdict.rejected else verdict.nanoseconds
        assert self.snapshot is not None, candidate.clip_id
        return self.pool.submit(self.check.fetch, candidate, self.snapshot), candidate.guess_nanoseconds()
