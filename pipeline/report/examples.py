"""Clips of the sample to look at and to listen to: those at the head of the ranking, and those furthest out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.clips import reader
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
class Example:
    """A clip, what to draw of it, and its MP3 for a player; None where there is no room for one."""

    clip: Clip
    sound: Sound
    mp3: bytes | None


@dataclass(frozen=True)
class OutlierExample:
    """A clip that is furthest out, what the tables say of it, and its MP3 for a player; None where there is no room."""

    outlier: Outlier
    clip_id: str
    text: str | None
    gender: str | None
    age: str | None
    duration_seconds: float
    mp3: bytes | None


def choose(sample: pa.Table) -> list[int]:
    """Return the places of the first clips of as many strata as there is room for, in the order of the ranking."""
    strata = sample["stratum"]
    first_of_each = [strata.index(name).as_py() for name in strata.unique().to_pylist()[:_CLIPS]]
    others = [place for place in range(min(_CLIPS, len(strata))) if place not in first_of_each]
    return sorted([*first_of_each, *others][:_CLIPS])


def gather(waveforms: Waveforms, places: list[int]) -> list[Example]:
    """Read and draw the clips at these places of the sample."""
    clips = [waveforms[place] for place in places]
    mp3s = reader.read_mp3s((clip.clip_id, clip.mp3_sha256) for clip in clips)
    exhibits, room = [], _MOST_PLAYER_BYTES
    for clip, mp3 in zip(clips, mp3s, strict=True):
        plays = len(mp3) <= room
        room -= len(mp3) if plays else 0
        exhibits.append(Example(clip, sound.draw(clip.waveform, clip.sample_rate), mp3 if plays else None))
    return exhibits


def gather_furthest(material: Material, outliers: Sequence[Outlier]) -> list[OutlierExample]:
    """Read the MP3s of the clips that are furthest out, and what is known of each."""
    places = sorted({outlier.place for outlier in outliers})
    sample, waveforms = material.sample, material.waveforms
    wanted = [(waveforms["clip_id"][place].as_py(), waveforms["mp3_sha256"][place].as_py()) for place in places]
    mp3s: dict[int, bytes] = {}
    room = _MOST_OUTLIER_BYTES
    for place, mp3 in zip(places, reader.read_mp3s(wanted), strict=True):
        if len(mp3) <= room:
            mp3s[place] = mp3
            room -= len(mp3)
    return [
        OutlierExample(
            outlier=outlier,
            clip_id=waveforms["clip_id"][outlier.place].as_py(),
            text=sample["text"][outlier.place].as_py(),
            gender=sample["gender"][outlier.place].as_py(),
            age=sample["age"][outlier.place].as_py(),
            duration_seconds=waveforms["duration_seconds"][outlier.place].as_py(),
            mp3=mp3s.get(outlier.place),
        )
        for outlier in outliers
    ]
