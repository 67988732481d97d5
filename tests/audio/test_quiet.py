"""What libmpg123 writes does not reach stderr; what others write does."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.audio import decode
from pipeline.audio.quiet import without_mpg123
from pipeline.audio.walk import walk
from pipeline.core.errors import Rejected
from tests.audio.librosa_answers import mp3


def damaged(count: int) -> list[bytes]:
    """Return MP3s whose frames are there, and whose main data are damaged."""
    whole, dice = mp3(44_100, 1, 44_100), random.Random(1)
    files: list[bytes] = []
    while len(files) < count:
        data = bytearray(whole)
        for _ in range(30):
            data[dice.randrange(1000, len(data))] ^= 1 << dice.randrange(8)
        try:
            walk(bytes(data))
        except Rejected:
            continue
        files.append(bytes(data))
    return files


def test_mpg123_is_quiet_about_damaged_mp3s_in_several_threads(capfd: pytest.CaptureFixture[str]) -> None:
    sounds = [walk(data) for data in damaged(60)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode.samples, sounds))
    assert capfd.readouterr().err == ""


def test_mpg123_lines_alone_are_held_back(capfd: pytest.CaptureFixture[str]) -> None:
    with without_mpg123():
        with without_mpg123():
            os.write(2, b"a warning\n[src/libmpg123/layer3.c:1804] error: dequantization failed!\n")
        os.write(2, b"another\n")
    os.write(2, b"after it\n")
    assert capfd.readouterr().err == "a warning\nanother\nafter it\n"
