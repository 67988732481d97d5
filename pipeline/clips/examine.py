"""Down the ranking: fetch clips side by side, check each, and stop when there are enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import replace

from pipeline.clips.candidates import Candidate, Goal
from pipeline.clips.check import Check, Verdict
from pipeline.core.errors import Rejected
from pipeline.snapshot.archive import Member
from pipeline.snapshot.formats import BYTES_PER_SECOND

_MOST_IN_FLIGHT = 64
_SPARE = 0.05  # of the clips that are expected to be fetched

Fetch = Callable[[Member], bytes]


class Examiner:
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

        What is in flight counts as good, and as long as its size suggests, until more is known, so that no request is
        redundant (but for clips of less than 64 kbit/s, which last longer than estimated).
        """
        in_flight: deque[tuple[Candidate, Future[bytes] | Verdict]] = deque()
        good = nanoseconds = likely = likely_nanoseconds = 0
        while good < most and not goal.reached(good, nanoseconds):
            enough = good + likely >= most or goal.reached(good + likely, nanoseconds + likely_nanoseconds)
            candidate = None if enough or len(in_flight) >= _MOST_IN_FLIGHT else next(candidates, None)
            if candidate is not None:
                outcome = self._start(candidate)
                in_flight.append((candidate, outcome))
                if not _is_rejected(outcome):
                    likely, likely_nanoseconds = likely + 1, likely_nanoseconds + _expected(candidate)
            elif in_flight:
                candidate, outcome = in_flight.popleft()
                verdict = self._finish(candidate, outcome)
                if not _is_rejected(outcome):
                    likely, likely_nanoseconds = likely - 1, likely_nanoseconds - _expected(candidate)
                if verdict.rejected is None:
                    good, nanoseconds = good + 1, nanoseconds + verdict.nanoseconds
                yield verdict
            else:
                return

    def _start(self, candidate: Candidate) -> Future[bytes] | Verdict:
        try:
            member = self._check.member_to_fetch(candidate)
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


def expected(
    candidates: Iterator[Candidate],
    goal: Goal,
    check: Check,
    rejected: Callable[[Candidate], Rejected | None],
    has: Callable[[Candidate], bool],
) -> Iterator[Member]:
    """Yield the members that are likely to be fetched until the goal is reached, and spare ones for those that are bad.

    Parameters
    ----------
    candidates
        In the order of the ranking.
    goal
        At which the examination stops; it is left as it is.
    check
        What makes a clip a good one.
    rejected, has
        What is known of a candidate from earlier runs: why it was rejected, and whether its MP3 is there.
    """
    so_far, spare = replace(goal), 0.0
    for candidate in candidates:
        if so_far.reached() and spare < 1:
            return
        try:
            member = check.member_to_fetch(candidate)
        except Rejected:
            continue
        if rejected(candidate):
            continue
        is_new = not has(candidate)
        if is_new:
            yield member
        if so_far.reached():
            spare -= 1
        else:
            so_far.add(1, _expected(candidate))
            spare += _SPARE * is_new


def _is_rejected(outcome: Future[bytes] | Verdict) -> bool:
    return isinstance(outcome, Verdict) and outcome.rejected is not None


def _expected(candidate: Candidate) -> int:
    size_bytes = candidate.member.size_bytes if candidate.member else 0
    return size_bytes * 1_000_000_000 // BYTES_PER_SECOND
