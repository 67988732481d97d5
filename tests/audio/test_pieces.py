"""A decoded piece of a recording is that part of the whole one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.audio import decode
from pipeline.audio.check import check
from pipeline.audio.walk import walk
from pipeline.core.errors import Rejected
from tests.support.miniatures.making import encoded

FORMATS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("AIFF", "PCM_24"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
    ("MP3", "MPEG_LAYER_III"),
]
_PIECES = [(0.0, 1.0), (0.5, 1.75), (2.0, 2.001), (1.2345, None), (3.0, 99.0), (0.0, 99.0)]


def recording(kind: tuple[str, str], rate: int, channels: int, seconds: float = 3.5) -> bytes:
    """Return a file of noise and a rising tone."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(29).standard_normal((len(time), channels)) * 0.05
    samples = 0.4 * np.sin(2 * np.pi * (200 + 150 * time) * time)[:, None] + noise
    return encoded(samples, rate, *kind)


@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("kind", FORMATS, ids="/".join)
def test_piece_is_that_part_of_the_whole(kind: tuple[str, str], rate: int) -> None:
    sound = walk(recording(kind, rate, 2))
    whole = decode.load_piece(sound, 16_000, decode.WHOLE).waveform
    for start, end in _PIECES:
        piece = decode.load_piece(sound, 16_000, (start, end)).waveform
        expected = whole[round(start * 16_000) : None if end is None else round(end * 16_000)]
        if rate == 16_000:
            np.testing.assert_array_equal(piece, expected)
        np.testing.assert_allclose(piece, expected, rtol=0, atol=1e-6)


@pytest.mark.more
@pytest.mark.parametrize("target", [8_000, 11_025, 16_000, 44_100])
@pytest.mark.parametrize("rate", [4_000, 11_025, 16_001, 22_050, 44_100, 44_101, 96_000, 192_000, 384_000])
def test_piece_is_that_part_of_the_whole_at_every_rate(rate: int, target: int) -> None:
    sound = walk(recording(("WAV", "FLOAT"), rate, 1))
    whole = decode.load_piece(sound, target, decode.WHOLE).waveform
    tolerance = 1e-6 if max(rate, target) // math.gcd(rate, target) < 1000 else 1e-5
    for start, end in _PIECES:
        piece = decode.load_piece(sound, target, (start, end)).waveform
        expected = whole[round(start * target) : None if end is None else round(end * target)]
        np.testing.assert_allclose(piece[:-1], expected[:-1], rtol=0, atol=tolerance)  # load may pad the last one


@pytest.mark.parametrize("piece", [(3.5, None), (2.0, 2.0), (9.0, 10.0), (-1.0, 2.0)])
def test_piece_outside_of_the_recording_is_refused(piece: decode.Piece) -> None:
    sound = check(recording(("WAV", "PCM_16"), 8_000, 1))
    with pytest.raises(Rejected, match=r"no piece from .* it is 3\.5 s long"):
        decode.load_piece(sound, 16_000, piece)
