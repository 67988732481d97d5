"""Where the excerpt of a recording begins and ends. Pure."""

from __future__ import annotations

import math
from hashlib import blake2b

from pipeline.audio.decode import WHOLE, Piece, count_frames
from pipeline.audio.sound import Sound
from pipeline.core.params import Excerpt


def piece_of(sound: Sound, sample_rate: int, excerpt: Excerpt, clip_id: str, within: Piece = WHOLE) -> Piece:
    """Return start and end of the excerpt of a recording, or of a piece of it, in seconds, each on a sample.

    A random excerpt begins where a salted hash of the clip's id says, scaled to the length of the recording: it does
    not depend on the rest of the sample. A recording that is not longer than its excerpt is kept whole.

    The samples are those of the waveform, which may have another rate than the recording.
    """
    samples = math.ceil(count_frames(sound) * (sample_rate / sound.sample_rate))
    begin = round(within[0] * sample_rate)
    end = samples if within[1] is None else min(samples, round(within[1] * sample_rate))
    wanted = round(excerpt.seconds * sample_rate)
    spare = end - begin - wanted
    if spare <= 0:
        return within
    hashed = int.from_bytes(blake2b(clip_id.encode(), digest_size=8, person=b"excerpt").digest())
    first = begin + {"start": 0, "centre": spare // 2, "random": hashed * (spare + 1) >> 64}[excerpt.at]
    return first / sample_rate, (first + wanted) / sample_rate
