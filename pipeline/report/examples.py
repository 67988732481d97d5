"""Clips of the sample to look at and to listen to: examples from the head of the ranking, and the outliers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.clips import reader
from pipeline.report import sound
from pipeline.report.material import Material
from pipeline.report.sound import Sound
from pipeline.report.voices import Outlier
from pipeline.waveforms.reader import Clip, Waveforms

_EXAMPLES = 6
# Of all MP3s of a section, which base64 makes a third larger.
_MOST_EXAMPLE_BYTES = 1_200_000
_MOST_OUTLIER_BYTES = 600_000


@dataclass(frozen=True)
class Example:
    """A clip, its pictures, and its MP3 for a player; None where the page has no room for it."""

    clip: Clip
    sound: Sound
    mp3: bytes | None


@dataclass(frozen=True)
class OutlierExample:
    """An outlier, its row in the tables, and its MP3 for a player; None where the page has no room for it."""

    outlier: Outlier
    clip_id: str
    text: str | None
    gender: str | None
    age: str | None
    duration_seconds: float
    mp3: bytes | None


def choose_examples(sample: pa.Table) -> list[int]:
    """Return places in the sample: the first clips of up to six different strata, in the order of the ranking."""
    strata = sample["stratum"]
    first_of_each = [strata.index(name).as_py() for name in strata.unique().to_pylist()[:_EXAMPLES]]
    others = [place for place in range(min(_EXAMPLES, len(strata))) if place not in first_of_each]
    return sorted([*first_of_each, *others][:_EXAMPLES])


def read_examples(waveforms: Waveforms, places: Sequence[int]) -> list[Example]:
    """Read and draw the clips at these places of the sample."""
    clips = [waveforms[place] for place in places]
    mp3s = _with_room(reader.read_mp3s((clip.clip_id, clip.mp3_sha256) for clip in clips), _MOST_EXAMPLE_BYTES)
    return [
        Example(clip, sound.draw(clip.waveform, clip.sample_rate), mp3) for clip, mp3 in zip(clips, mp3s, strict=True)
    ]


def read_outliers(material: Material, outliers: Sequence[Outlier]) -> list[OutlierExample]:
    """Read the MP3s of outliers, and their rows in the tables."""
    places = sorted({outlier.place for outlier in outliers})
    sample, waveforms = material.sample, material.waveforms
    wanted = [(waveforms["clip_id"][place].as_py(), waveforms["mp3_sha256"][place].as_py()) for place in places]
    mp3s = dict(zip(places, _with_room(reader.read_mp3s(wanted), _MOST_OUTLIER_BYTES), strict=True))
    return [
        OutlierExample(
            outlier=outlier,
            clip_id=waveforms["clip_id"][outlier.place].as_py(),
            text=sample["text"][outlier.place].as_py(),
            gender=sample["gender"][outlier.place].as_py(),
            age=sample["age"][outlier.place].as_py(),
            duration_seconds=waveforms["duration_seconds"][outlier.place].as_py(),
            mp3=mp3s[outlier.place],
        )
        for outlier in outliers
    ]


def _with_room(mp3s: Iterable[bytes], room: int) -> Iterator[bytes | None]:
    """Yield each MP3 that still fits into `room` bytes, and None in the place of the others."""
    for mp3 in mp3s:
        fits = len(mp3) <= room
        room -= len(mp3) if fits else 0
        yield mp3 if fits else None
