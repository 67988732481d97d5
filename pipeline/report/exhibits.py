"""Clips of the sample to look at and to listen to."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from pipeline.clips import originals
from pipeline.report import sound
from pipeline.report.sound import Sound
from pipeline.waveforms.reader import Clip, Waveforms

_CLIPS = 6
_MOST_PLAYER_BYTES = 1_200_000  # of all MP3s in the page, which base64 makes a third larger


@dataclass(frozen=True)
class Exhibit:
    """A clip, what to draw of it, and its MP3 for a player; None where there is no room for one."""

    clip: Clip
    sound: Sound
    mp3: bytes | None


def choose(sample: pd.DataFrame) -> list[int]:
    """Return the places of the first clips of as many strata as there is room for, in the order of the ranking."""
    first_of_each = ~sample["stratum"].duplicated()
    return sorted([*sample.index[first_of_each], *sample.index[~first_of_each]][:_CLIPS])


def gather(waveforms: Waveforms, places: list[int]) -> list[Exhibit]:
    """Read and draw the clips at these places of the sample."""
    clips = [waveforms[place] for place in places]
    mp3s = originals.read_mp3s((clip.clip_id, clip.mp3_sha256) for clip in clips)
    exhibits, room = [], _MOST_PLAYER_BYTES
    for clip, mp3 in zip(clips, mp3s, strict=True):
        plays = len(mp3) <= room
        room -= len(mp3) if plays else 0
        exhibits.append(Exhibit(clip, sound.draw(clip.waveform, clip.sample_rate), mp3 if plays else None))
    return exhibits
