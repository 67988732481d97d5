"""Where in a clip speech starts and ends. Pure.

Speech starts with the sound that leads to the first voice: from there back in time, as long as the level is above the
background just before. It ends with the last sound that follows the last voice: endings fade, or lose their voice, and
come closer to the background than beginnings do. A threshold follows from the background, not from the clip's peak, so
that a click hides nothing: it is loud, but short, and has no pitch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

VOICE_SECONDS = 0.05  # pitch without a break is a voice from here on
PAUSE_SECONDS = 0.2  # a gap within a word, such as before a plosive, is shorter
CLOSURE_SECONDS = 0.1  # what comes so soon before or after is part of the word, however short,
CLICK_SECONDS = 0.04  # and what is further off only if it is longer
LEAD_SECONDS = 0.1  # a voice may be led by a consonant; what is further off is background,
BACKGROUND_SECONDS = 0.4  # at most this much of it,
LEAST_BACKGROUND_SECONDS = 0.05  # and at least this much
QUIETEST_SHARE = 0.05  # of all frames; the background of a clip that has none before or after the voice
LOUD_SHARE = 0.75  # of the frames with pitch are below what is taken for the level of the voice
VOICE_SHARE_OF_RANGE = 0.5  # from background to voice: pitch below belongs to a hum, or to somebody further off
ABOVE_BACKGROUND_DB = 5.0  # a mean over bands seldom gets that far above its own median by chance
BELOW_VOICE_DB = 25.0  # what is fainter than the voice by more is no part of it, however quiet the background

TAIL_BACKGROUND_SHARE = 0.25  # of the frames after the last voice: however long its ending, the quietest are background
TAIL_ABOVE_BACKGROUND_DB = 3.0  # an ending fades


def bounds(mel_db: Float64, voiced: Bool, hop_seconds: float) -> tuple[float, float] | None:
    """Return when speech starts and ends, in seconds, or None where no voice stands out of the background.

    `mel_db` has levels of shape (frames, bands), in dB: their mean over the bands rises with a voice as with the hiss
    of a consonant, and hardly with a hum. `voiced` says whether a frame has pitch. The first frame is centred on the
    start of the clip.
    """
    level = mel_db.mean(axis=1)
    voice = _voice(level, voiced, hop_seconds)
    if not voice.any():
        return None
    start = _start(level, voice, hop_seconds)
    end = _end(level, voice, hop_seconds)
    return start * hop_seconds, end * hop_seconds


def _voice(level: Float64, voiced: Bool, hop_seconds: float) -> Bool:
    """Return which frames have pitch for long enough, and loud enough."""
    if not voiced.any():
        return voiced
    quiet = _at_rank(level, QUIETEST_SHARE)
    loud = _at_rank(level[voiced], LOUD_SHARE)
    voice = voiced & (level > quiet + max(ABOVE_BACKGROUND_DB, VOICE_SHARE_OF_RANGE * (loud - quiet)))
    for start, stop in _stretches(voice):
        if (stop - start) * hop_seconds < VOICE_SECONDS - hop_seconds / 2:
            voice[start:stop] = False
    return voice


def _start(level: Float64, voice: Bool, hop_seconds: float) -> int:
    """Return the frame in which the sound starts that leads to the first frame of `voice`."""
    first = int(voice.argmax())
    durations = (LEAD_SECONDS, BACKGROUND_SECONDS, LEAST_BACKGROUND_SECONDS)
    lead, background, least = (round(seconds / hop_seconds) for seconds in durations)
    far = level[max(0, first - lead - background) : max(0, first - lead)]
    quiet = _at_rank(far, 0.5) if len(far) >= least else _at_rank(level, QUIETEST_SHARE)
    threshold = max(quiet + ABOVE_BACKGROUND_DB, _at_rank(level[voice], LOUD_SHARE) - BELOW_VOICE_DB)
    return _begin_of_sound(level[:first] > threshold, hop_seconds)


def _end(level: Float64, voice: Bool, hop_seconds: float) -> int:
    """Return the frame in which the sound ends that follows the last frame of `voice`."""
    last = len(voice) - 1 - int(voice[::-1].argmax())
    after = level[last + 1 :]
    least = round((LEAD_SECONDS + LEAST_BACKGROUND_SECONDS) / hop_seconds)
    quiet = _at_rank(after, TAIL_BACKGROUND_SHARE) if len(after) >= least else _at_rank(level, QUIETEST_SHARE)
    threshold = max(quiet + TAIL_ABOVE_BACKGROUND_DB, _at_rank(level[voice], LOUD_SHARE) - BELOW_VOICE_DB)
    return len(level) - 1 - _begin_of_sound(after[::-1] > threshold, hop_seconds)


def _begin_of_sound(loud: Bool, hop_seconds: float) -> int:
    """Return the first frame of the sound that goes on behind the last frame; that frame if all before is silent."""
    start = len(loud)
    for begun, ended in reversed(_stretches(loud)):
        gap, length = (start - ended) * hop_seconds, (ended - begun) * hop_seconds
        if gap >= PAUSE_SECONDS:
            break
        if gap < CLOSURE_SECONDS or length > CLICK_SECONDS:
            start = begun
    return start


def _at_rank(values: Float64, share: float) -> float:
    """Return the value that this share of the others are below."""
    return float(np.sort(values)[int(share * (len(values) - 1))])


def _stretches(flags: Bool) -> list[tuple[int, int]]:
    """Return where each run of true values starts and stops."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
