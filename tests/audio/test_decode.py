"""A decoded clip is what librosa gives, bit for bit; what is stored is within half a step of it."""

from __future__ import annotations

import importlib
import io
import math
import os
import signal
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.audio import decode
from pipeline.audio.sound import Sound
from pipeline.audio.walk import walk
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from tests.audio.librosa_answers import ANSWERS, RATES, mp3
from tests.support.project import REAL_CLIPS

ANSWERED = dict(np.load(ANSWERS))


@pytest.mark.parametrize("answer", [name for name in ANSWERED if not name.startswith("clip ")])
def test_decode_gives_the_answers_of_librosa(answer: str) -> None:
    target, _, name = answer.partition(" ")
    sound = walk(ANSWERED[f"clip {name}"].tobytes())
    waveform = decode.load_piece(sound, int(target), decode.WHOLE).waveform
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform, ANSWERED[answer])
    assert len(waveform) == math.ceil(decode.count_frames(sound) * (int(target) / sound.sample_rate))


@pytest.mark.more
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_decode_is_librosas_at_every_length(rate: int, channels: int, librosa: Any, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp3"
    for samples in (1, 2, 99, 100, 101, 1152, 1153, 30_011):
        path.write_bytes(mp3(rate, channels, samples))
        for target in (8_000, 11_025, 16_000, 48_000):
            expected, _ = librosa.load(path, sr=target, mono=True)
            np.testing.assert_array_equal(decode.load(path.read_bytes(), target).waveform, expected)


@pytest.mark.more
@pytest.mark.skipif(not REAL_CLIPS.exists(), reason="the real clips are not here")
def test_decode_of_real_clips_is_librosas(librosa: Any, tmp_path: Path) -> None:
    with zipfile.ZipFile(REAL_CLIPS) as archive:
        paths = [Path(archive.extract(name, tmp_path)) for name in archive.namelist() if name.endswith(".mp3")]
    for path in paths:
        expected, _ = librosa.load(path, sr=16_000, mono=True)
        np.testing.assert_array_equal(decode.load(path.read_bytes(), 16_000).waveform, expected)


@given(st.lists(st.floats(-1.5, 1.5, width=32), max_size=50))
@example([1.0])  # one step too many, and no more
@example([-1.0])
def test_pcm16_is_the_nearest_step_and_counts_clipped_samples(values: list[float]) -> None:
    waveform = np.array(values, dtype=np.float32)
    pcm, clipped = decode.to_pcm16(waveform)
    exact = waveform.astype(np.float64) * 32768
    inside = (np.rint(exact) >= -32768) & (np.rint(exact) <= 32767)
    assert np.all(np.abs(pcm[inside] - exact[inside]) <= 0.5)
    assert np.all(pcm[~inside] == np.where(exact[~inside] > 0, 32767, -32768))
    assert clipped == np.count_nonzero(~inside)


def test_flac_keeps_every_sample() -> None:
    pcm, _ = decode.to_pcm16(decode.load(mp3(48_000, 1, 48_000), 16_000).waveform)
    np.testing.assert_array_equal(decode.from_flac(decode.to_file(pcm, 16_000, "FLAC")), pcm / np.float32(32768))


def test_levels_are_relative_to_full_scale() -> None:
    tone = np.sin(2 * np.pi * np.arange(16_000) / 160).astype(np.float32)
    peak, rms = decode.levels(tone)
    assert peak == pytest.approx(0, abs=1e-5)
    assert rms == pytest.approx(-3.0103, abs=1e-3)
    assert decode.levels(np.zeros(10, dtype=np.float32)) == (-math.inf, -math.inf)


def test_decode_refuses_what_the_decoder_does_not_read() -> None:
    with pytest.raises(Rejected) as caught:
        decode.samples(Sound("WAV", "PCM_16", 16_000, 1, 9, readable=bytes(5000)))
    assert caught.value.reason is Reason.UNDECODABLE
    assert "0x" not in caught.value.detail  # no address in memory


def test_decode_refuses_another_number_of_samples_than_declared() -> None:
    sound = walk(mp3(22_050, 1, 2000))
    with pytest.raises(Rejected, match=r"2000 samples .* declares 2001"):
        decode.samples(replace(sound, frames=2001))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory here")
def test_decode_beyond_the_limit_on_files_is_an_error_and_cuts_nothing_off() -> None:
    """Which holds for files in memory too."""
    resource = importlib.import_module("resource")
    data = mp3(22_050, 1, 20_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            decode.load(data, 22_050)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", [AttributeError, OSError])
def test_decode_without_files_in_memory_is_the_same_and_a_ctrl_c_ends_it(
    missing: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> int:
        raise missing(name)

    data = mp3(22_050, 1, 20_000)
    expected = decode.load(data, 22_050).waveform
    monkeypatch.setattr(os, "memfd_create", refuse, raising=False)
    np.testing.assert_array_equal(decode.load(data, 22_050).waveform, expected)

    class Interrupted(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            signal.raise_signal(signal.SIGINT)
            return super().readinto(buffer)

    monkeypatch.setattr(decode, "io", SimpleNamespace(BytesIO=Interrupted))
    with pytest.raises(KeyboardInterrupt):
        decode.load(data, 22_050)


def test_ctrl_c_waits_until_soxr_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    decode._soxr.cache_clear()
    done = []

    def import_module(name: str) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(name)

    monkeypatch.setattr("importlib.import_module", import_module)
    with pytest.raises(KeyboardInterrupt):
        decode.decoder_versions()
    assert done == ["soxr"]
