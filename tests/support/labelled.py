"""A labelled data set of no one's format: folds, recordings that were cut into sounds, WAV and FLAC, and no words."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.support.miniatures.making import encoded

KINDS = ("dog", "siren", "rain", "drill", "engine")
ROWS = 160
RECORDINGS = np.repeat(np.arange(26), np.arange(26) % 13 + 1)[:ROWS]  # the recording of each row; of 1 to 13 rows each
LOUD, COPY, TWICE = 25, 26, 27  # rows: of a gain that is no number, of a copy of the row before the last, in line twice

DESCRIPTION = {
    "title": "Sounds of a street",
    "license": "CC-BY-4.0",
    "citation": "Made by tests/support/labelled.py of this repository.",
    "audio": "fold{fold:d}/{name}.*",
    "tables": "sounds.csv",
    "clip": "fold{fold}/{file}",
    "id": "{fold}/{name}",
    "columns": {
        "kind": {"from": "class", "values": list(KINDS), "description": "what is heard"},
        "fold": {"type": "integer"},
        "recording": None,
        "salience": {"map": {"1": "foreground", "2": "background"}},
        "gain": {"type": "integer", "unit": "dB", "missing": ["-"]},
    },
    "label": "kind",
    "apart": ["recording"],
    "lookups": [{"tables": "recorders.csv", "on": {"name": "{recorder}"}, "columns": {"device": "model"}}],
    "seconds": {"from": "length"},
}

# The clips that are rejected, with the reason.
FAULTS = {
    "1/00002": "missing",
    "2/00003": "truncated",
    "3/00005": "not_audio",
    "4/00002": "undecodable",
    "1/00009": "empty",
}


def file_of(row: int) -> tuple[int, str]:
    """Return fold and file name; the names of one fold stand in the others, too."""
    return row % 4 + 1, f"{row // 4:05}.{'flac' if row % 3 == 2 else 'wav'}"


@cache
def sound(row: int) -> bytes:
    """Return a tone in noise, 0.5 to 0.8 s long, of one of several rates, numbers of channels and subtypes."""
    rate, channels, subtype = [(16_000, 1, "PCM_16"), (22_050, 2, "PCM_16"), (44_100, 1, "PCM_24")][row % 5 % 3]
    times = np.arange(round(length(row) * rate)) / rate
    tone = np.sin(2 * np.pi * (200 + 10 * row) * times)
    samples = 0.5 * tone + 0.05 * np.random.default_rng(row).standard_normal(len(times))
    kind = "FLAC" if file_of(row)[1].endswith("flac") else "WAV"
    return encoded(np.stack([samples] * channels, axis=1), rate, kind, subtype)


def length(row: int) -> float:
    """Return the duration of a sound in seconds."""
    return 0.5 + row % 7 / 20


def labelled_files(*, with_copy: bool = True, with_faults: bool = True) -> dict[str, bytes]:
    """Return its files; the copy is known as one by its CRC-32, which a folder does not have."""
    files, lines = {}, ["file,fold,class,recording,salience,gain,recorder,length"]
    for row, recording in enumerate(RECORDINGS.tolist()):
        fold, name = file_of(row)
        gain = "loud" if row == LOUD else ["-", "0", "-12"][row % 3]
        kind, recorder = KINDS[recording % len(KINDS)], "abc"[recording % 3]
        line = f"{name},{fold},{kind},r{recording:02},{row % 2 + 1},{gain},{recorder},{length(row):g}"
        lines += [line] * (2 if row == TWICE else 1)
        data = sound(COPY - 2 if with_copy and row == COPY else row)
        match FAULTS.get(f"{fold}/{name.partition('.')[0]}") if with_faults else None:
            case "missing":
                continue
            case "truncated":
                data = data[: len(data) // 2]
            case "not_audio":
                data = b"<!doctype html><title>404</title>"
            case "undecodable":
                data = data[:-900] + bytes(200) + data[-700:]
            case "empty":
                data = b""
        files[f"street/fold{fold}/{name}"] = data
    files["street/fold1/99999.wav"] = sound(ROWS)  # which no row names
    files["street/sounds.csv"] = "\n".join([*lines, ""]).encode()
    files["street/recorders.csv"] = b"name,model,serial\na,Zoom H2,1\nb,Telephone,2\nb,Telephone,3\n"
    return files
