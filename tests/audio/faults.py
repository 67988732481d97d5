"""Whole audio files of each format, and damaged copies of them: the same ones for the same seed."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache

import numpy as np

from tests.support.miniatures.making import encoded

FORMATS = {
    "MP3": ("MP3", "MPEG_LAYER_III", 22_050, 1),
    "WAV 8": ("WAV", "PCM_U8", 11_025, 1),
    "WAV 16": ("WAV", "PCM_16", 16_000, 1),
    "WAV 24": ("WAVEX", "PCM_24", 48_000, 2),
    "WAV 32": ("WAV", "PCM_32", 384_000, 1),
    "WAV float": ("WAV", "FLOAT", 96_000, 1),
    "WAV double": ("WAV", "DOUBLE", 4_000, 8),
    "WAV A-law": ("WAV", "ALAW", 8_000, 1),
    "WAV u-law": ("WAV", "ULAW", 8_000, 2),
    "WAV IMA ADPCM": ("WAV", "IMA_ADPCM", 22_050, 1),
    "WAV MS ADPCM": ("WAV", "MS_ADPCM", 22_050, 2),
    "RF64": ("RF64", "PCM_16", 16_000, 2),
    "W64": ("W64", "PCM_16", 32_000, 1),
    "AIFF": ("AIFF", "PCM_16", 44_100, 2),
    "AIFF-C": ("AIFF", "FLOAT", 16_000, 1),
    "AU": ("AU", "PCM_16", 8_000, 1),
    "CAF": ("CAF", "PCM_24", 48_000, 1),
    "SPHERE": ("NIST", "PCM_16", 16_000, 1),
    "Vorbis": ("OGG", "VORBIS", 44_100, 2),
    "Opus": ("OGG", "OPUS", 48_000, 1),
    "FLAC": ("FLAC", "PCM_16", 16_000, 1),
    "FLAC 24": ("FLAC", "PCM_24", 44_100, 2),
}

# Where structures begin: chunks, pages, frames.
_STRUCTURES = re.compile(
    rb"OggS|fmt |data|fact|ds64|PEAK|LIST|COMM|SSND|FVER|desc|end_head|\xff[\xf8\xf9].|\xff[\xfb\xf3\xe3]", re.DOTALL
)
_SIZES = (0, 1, 2**31 - 1, 2**32 - 1, 2**32 - 8)


@cache
def whole(name: str, seconds: float = 0.5) -> bytes:
    """Return a file of noise that swells and fades."""
    form, subtype, rate, channels = FORMATS[name]
    count = round(seconds * rate)
    swell = np.sin(np.arange(count) / rate * 9)[:, np.newaxis]
    noise = np.random.default_rng(2017).standard_normal((count, channels)) * swell * 0.1
    return encoded(noise, rate, form, subtype)


def damaged(data: bytes, count: int, seed: int = 2017) -> Iterator[tuple[str, bytes]]:  # noqa: C901  a list of kinds
    """Yield `count` damaged copies, each with the name of its damage; all kinds in turn."""
    dice = random.Random(seed)
    borders = [match.start() for match in _STRUCTURES.finditer(data)] or [0]
    for number in range(count):
        at, size, border = dice.randrange(len(data)), dice.randint(1, 2000), dice.choice(borders)
        kind = number % 10
        if kind == 0:
            yield f"cut at {at}", data[:at]
        elif kind == 1:
            cut = max(0, border + dice.randint(-1, 8))
            yield f"cut at a structure, {cut}", data[:cut]
        elif kind == 2:
            yield f"without its last {number // 10 + 1} bytes", data[: -(number // 10 + 1)]
        elif kind == 3:
            yield f"a bit flipped at {at}", _flipped(data, at, dice)
        elif kind == 4:
            place = min(len(data) - 1, border + dice.randrange(40))
            yield f"a bit flipped in a header, at {place}", _flipped(data, place, dice)
        elif kind == 5:
            yield f"{size} bytes of garbage at {at}", data[:at] + dice.randbytes(size) + data[at:]
        elif kind == 6:
            yield f"{size} bytes taken out at {at}", data[:at] + data[at + size :]
        elif kind == 7:
            low, high = sorted((border, dice.choice(borders)))
            moved = data[high:] + data[low:high] if dice.random() < 0.5 else data[high : high + size] + data[low:]
            yield f"structures at {low} and {high} swapped or repeated", data[:low] + moved
        elif kind == 8:
            place = border + dice.choice((4, 8, 12, 16)) if number % 20 == 8 else 4 * dice.randrange(16)
            near = int.from_bytes(data[place : place + 4], "little") + dice.choice((-8, -1, 1, 8))
            octets = (dice.choice((*_SIZES, near)) % 2**32).to_bytes(4, "little")[:: dice.choice((1, -1))]
            yield f"{octets.hex()} for a size at {place}", data[:place] + octets + data[place + 4 :]
        else:
            yield f"a hole of {size} bytes at {at}", data[:at] + bytes(min(size, len(data) - at)) + data[at + size :]


def _flipped(data: bytes, at: int, dice: random.Random) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
