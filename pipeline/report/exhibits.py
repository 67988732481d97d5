"""Clips of the sample to look at and to listen to: those at the head of the ranking, and those furthest out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.clips import originals
from pipeline.report import sound
from pipeline.report.material import Material
from pipeline.report.sound import Sound
from pipeline.report.voices import Outlier
from pipeline.waveforms.reader import Clip, Waveforms

_CLIPS = 6
# Of all MP3s of a section, which base64 makes a third larger.
_MOST_PLAYER_BYTES = 1_200_000
_MOST_OUTLIER_BYTES = 600_000


@dataclass(frozen=True)
class Exhibit:
    """A clip, what to draw of it, and its MP3 for a player; None where there is no room for one."""

    clip: Clip
    sound: Sound
    mp3: bytes | None


@dataclass(frozen=True)
class Furthest:
    """A clip that is furthest out, what the tables say of it, and its MP3 for a player; None where there is no room."""

    outlier: Outlier
    clip_id: str
    text: str | None
    gender: str | None
    age: str | None
    duration_seconds: float
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


def gather_furthest(material: Material, outliers: Sequence[Outlier]) -> list[Furthest]:
    """Read the MP3s of the clips that are furthest out, and what is known of each."""
    places = sorted({outlier.place for outlier in outliers})
    waveforms = material.waveforms
    wanted = [(waveforms["clip_id"].iloc[place], waveforms["mp3_sha256"].iloc[place]) for place in places]
    mp3s: dict[int, bytes] = {}
    room = _MOST_OUTLIER_BYTES
    for place, mp3 in zip(places, originals.read_mp3s(wanted), strict=True):
        if len(mp3) <= room:
            mp3s[place] = mp3
            room -= len(mp3)
    tables_say = material.sample[["text", "gender", "age"]].astype("object")
    tables_say = tables_say.where(tables_say.notna(), None)
    return [
        Furthest(
            outlier=outlier,
            clip_id=waveforms["clip_id"].iloc[outlier.place],
            text=tables_say["text"].iloc[outlier.place],
            gender=tables_say["gender"].iloc[outlier.place],
            age=tables_say["age"].iloc[outlier.place],
            duration_seconds=float(waveforms["duration_seconds"].iloc[outlier.place]),
            mp3=mp3s.get(outlier.place),
        )
        for outlier in outliers
    ]
