"""Clips of the sample to look at and to listen to: examples from the head of the ranking, and the outliers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.audio import decode
from pipeline.clips import reader
from pipeline.report import sound
from pipeline.report.sound import Sound
from pipeline.report.voices import Outlier
from pipeline.waveforms.reader import Clip, Waveforms

_EXAMPLES = 6
# Of all files of a section, which base64 makes a third larger.
_MOST_EXAMPLE_BYTES = 1_200_000
_MOST_OUTLIER_BYTES = 600_000
# Of the formats that browsers play: https://developer.mozilla.org/en-US/docs/Web/Media/Guides/Formats/Containers.
_MIME_TYPES = {"MP3": "audio/mpeg", "FLAC": "audio/flac", "OGG": "audio/ogg", "WAV": "audio/wav"}
_WAV = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ALAW", "ULAW")  # what they play of WAV


@dataclass(frozen=True)
class Player:
    """A clip's file as published, or its excerpt as FLAC, and the MIME type; without data, why there is no player."""

    data: bytes | None
    mime_type: str
    reason: str = ""


@dataclass(frozen=True)
class Example:
    """A clip to listen to; with pictures, or as an outlier."""

    clip: Clip
    player: Player
    sound: Sound | None = None
    outlier: Outlier | None = None


def choose_examples(sample: pa.Table) -> list[int]:
    """Return places in the sample: the first clips of up to six different strata, in the order of the ranking."""
    strata = sample["stratum"]
    first_of_each = [strata.index(name).as_py() for name in strata.unique().to_pylist()[:_EXAMPLES]]
    others = [place for place in range(min(_EXAMPLES, len(strata))) if place not in first_of_each]
    return sorted([*first_of_each, *others][:_EXAMPLES])


def read_examples(waveforms: Waveforms, places: Sequence[int]) -> list[Example]:
    """Read and draw the clips at these places of the sample."""
    return [
        Example(clip, player, sound=sound.draw(clip.waveform, clip.sample_rate))
        for clip, player in _read(waveforms, places, _MOST_EXAMPLE_BYTES).values()
    ]


def read_outliers(waveforms: Waveforms, outliers: Sequence[Outlier]) -> list[Example]:
    """Read the outliers."""
    read = _read(waveforms, {outlier.place for outlier in outliers}, _MOST_OUTLIER_BYTES)
    return [Example(*read[outlier.place], outlier=outlier) for outlier in outliers]


def _read(waveforms: Waveforms, places: Iterable[int], room: int) -> dict[int, tuple[Clip, Player]]:
    """Return the clips at these places, with players as long as their files fit into `room` bytes."""
    clips = {place: waveforms[place] for place in sorted(places)}
    originals = reader.read_originals((clip.clip_id, clip.source_sha256) for clip in clips.values())
    read = {}
    for (place, clip), original in zip(clips.items(), originals, strict=True):
        if clip.start_seconds is None:
            player = player_of(clip.source_format, original.data, room)
        else:
            pcm, _ = decode.to_pcm16(clip.waveform)
            player = player_of("FLAC", decode.to_file(pcm, clip.sample_rate, "FLAC"), room)
        room -= len(player.data or b"")
        read[place] = (clip, player)
    return read


def player_of(source_format: str, data: bytes, room: int) -> Player:
    """Return the player of a file: none for a format that browsers do not play, or for more than `room` bytes."""
    container, _, subtype = source_format.partition("/")
    mime_type = _MIME_TYPES.get(container, "")
    if not mime_type or (mime_type == "audio/wav" and subtype not in _WAV):
        return Player(None, mime_type, f"No player: browsers do not play {source_format}.")
    if len(data) > room:
        return Player(None, mime_type, "Too long for a player in this page.")
    return Player(data, mime_type)
