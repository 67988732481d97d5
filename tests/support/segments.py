"""A data set of pieces: a table says which bird sings from when to when in long recordings, WAV and Ogg."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.support.miniatures.making import encoded

BIRDS = ("wren", "robin", "owl", "crane", "stork")
RECORDINGS = 26
TWICE, BACKWARDS = 7, 8  # rows: one that stands twice, and one that ends before it starts
PIECES_OF_MISSING, PIECES_OF_TRUNCATED = 3, 11  # recordings

DESCRIPTION = {
    "title": "Birds at dawn",
    "license": "CC-BY-4.0",
    "citation": "Made by tests/support/segments.py of this repository.",
    "audio": "{site}/{name}.*",
    "tables": "songs.csv",
    "clip": "{site}/{recording}.*",
    "columns": {
        "bird": {"values": list(BIRDS), "description": "who sings"},
        "site": None,
        "rating": {"type": "integer"},
    },
    "label": "bird",
    "apart": ["site"],
    "segment": {"start": "from", "end": "to", "unit": "clock"},
}


def path_of(recording: int) -> str:
    """Return the path of a recording; two or three of them are of one site."""
    return f"site{recording % 11:02}/r{recording:02}.{'ogg' if recording % 2 else 'wav'}"


def length(recording: int) -> float:
    """Return how long a recording is, in seconds."""
    return 10 + recording % 5 * 3.25


@cache
def sound(recording: int) -> bytes:
    """Return a rising tone in noise, of which no two seconds are equal."""
    rate, channels = [(16_000, 1), (22_050, 1), (24_000, 2)][recording % 3]
    times = np.arange(round(length(recording) * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * (300 + 20 * recording + 25 * times) * times)
    samples = tone + 0.05 * np.random.default_rng(recording).standard_normal(len(times))
    kind = "OGG" if path_of(recording).endswith("ogg") else "WAV"
    return encoded(np.stack([samples, samples / 2][:channels], axis=1), rate, kind)


def pieces_of(recording: int) -> list[tuple[int, int]]:
    """Return the pieces of a recording, in milliseconds: some touch, some overlap, and gaps are between others."""
    starts = [round(1000 * length(recording) * place / 9) + 7 * place for place in range(recording % 6 + 4)]
    return [(start, start + 600 + 137 * (recording + place) % 700) for place, start in enumerate(starts)]


def clip_id(recording: int, piece: tuple[int, int]) -> str:
    """Return the id of a piece."""
    return f"{path_of(recording).rpartition('.')[0]}@{piece[0]}-{piece[1]}"


# Pieces that lie outside of their recordings: the last by more than is cut, the other one by less.
OUTSIDE = {0: (9_400, 10_051), 1: (12_600, 13_290)}
SHORT = {2: (1_000, 1_250)}  # shorter than a clip may be
_FAULTY = {PIECES_OF_MISSING: "missing", PIECES_OF_TRUNCATED: "truncated"}

FAULTS = {clip_id(recording, piece): fault for recording, fault in _FAULTY.items() for piece in pieces_of(recording)}
FAULTS |= {clip_id(0, OUTSIDE[0]): "truncated", clip_id(2, SHORT[2]): "too_short"}


def rows() -> list[tuple[int, tuple[int, int]]]:
    """Return recording and piece of each row."""
    all_pieces = [(recording, piece) for recording in range(RECORDINGS) for piece in pieces_of(recording)]
    return [*all_pieces, *OUTSIDE.items(), *SHORT.items()]


GOOD = len(rows()) - 1 - len(FAULTS)  # but for the row that ends before it starts


def clock(milliseconds: int) -> str:
    """Return a time as h:m:s."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest:03}"


def segment_files() -> dict[str, bytes]:
    """Return its files."""
    lines = ["site,recording,from,to,bird,rating"]
    for row, (recording, piece) in enumerate(rows()):
        start, end = reversed(piece) if row == BACKWARDS else piece
        site, _, name = path_of(recording).rpartition(".")[0].rpartition("/")
        line = f"{site},{name},{clock(start)},{clock(end)},{BIRDS[(recording + row) % 5]},{row % 5 + 1}"
        lines += [line] * (2 if row == TWICE else 1)
    files = {f"dawn/{path_of(each)}": sound(each) for each in range(RECORDINGS) if each != PIECES_OF_MISSING}
    truncated = f"dawn/{path_of(PIECES_OF_TRUNCATED)}"
    files[truncated] = files[truncated][:-5_000]
    return {**files, "dawn/songs.csv": "\n".join([*lines, ""]).encode()}
