"""Whether a clip is a good one: whole, an MP3, of a duration within the bounds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pipeline.audio import decode, mp3
from pipeline.clips.candidates import Candidate
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from pipeline.snapshot.archive import Member

_MOST_BYTES_PER_SECOND = 40_000  # 320 kbit/s, the most that layer III has
_ROOM_FOR_TAGS = 16 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a candidate: a good clip with its bytes and duration, or a rejected one."""

    candidate: Candidate
    data: bytes = b""
    nanoseconds: int = 0  # whole ones, so that sums do not depend on their order
    rejected: Rejected | None = None


@dataclass(frozen=True)
class Check:
    """What makes a clip a good one: whole, an MP3, and of a duration within `seconds`.

    `REVISION` is that of these rules and of those of `pipeline.audio.mp3.walk`: it is raised when they accept or reject
    other clips than before, and every clip is judged again.
    """

    seconds: tuple[float, float]

    REVISION: ClassVar[int] = 1

    def member_to_fetch(self, candidate: Candidate) -> Member:
        """Return the member to fetch, or raise `Rejected` where the clip need not be fetched to be rejected."""
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
            self._reject_duration(samples / declared.sample_rate)
        except Rejected as rejected:
            return Verdict(candidate, rejected=rejected)
        return Verdict(candidate, data, samples * 1_000_000_000 // declared.sample_rate)

    def _reject_duration(self, seconds: float) -> None:
        low, high = self.seconds
        if seconds < low:
            raise Rejected(Reason.TOO_SHORT, f"{seconds:.3f} s; at least {low:g} s are asked for")
        if seconds > high:
            raise Rejected(Reason.TOO_LONG, f"{seconds:.3f} s; at most {high:g} s are asked for")


def _decoded_samples(data: bytes, declared: mp3.Mp3) -> int:
    samples = len(decode.decode(data)[0])
    if not declared.declares(samples):
        raise Rejected(Reason.UNDECODABLE, f"{declared.num_frames} frames decode to {samples} samples")
    return samples
