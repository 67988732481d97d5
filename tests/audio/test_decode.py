"""A decoded clip is what librosa gives, bit for bit; what is stored is within half a step of it."""

from __future__ import annotations

import importlib
import io
import math
import os
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.audio import decode
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from tests.support.project import REAL_CLIPS

FRAME = 1152


def mp3(rate: int, channels: int, samples: int) -> bytes:
    """Return a genuine MP3 of a chord, different on each channel."""
    time = np.arange(samples)[:, np.newaxis] / rate
    chord = 0.3 * np.sin(2 * np.pi * time * (220 * np.arange(1, channels + 1))) + 0.2 * np.sin(2 * np.pi * 1870 * time)
    buffer = io.BytesIO()
    soundfile.write(buffer, chord, rate, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


Load = Callable[..., decode.Float32]


@pytest.fixture
def by_librosa(librosa: Any, tmp_path: Path) -> Load:
    """Return a function that loads an MP3 with librosa."""

    def load(data: bytes, sample_rate: int = 16_000) -> decode.Float32:
        path = tmp_path / "clip.mp3"
        path.write_bytes(data)
        waveform, _ = librosa.load(path, sr=sample_rate, mono=True)
        return np.asarray(waveform)

    return load


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 8_000])
@pytest.mark.parametrize("samples", [1, 2, 99, 100, 101, FRAME, FRAME + 1, 30_011])
def test_it_is_what_librosa_gives(rate: int, channels: int, samples: int, by_librosa: Load) -> None:
    data = mp3(rate, channels, samples)
    decoded = decode.load(data, 16_000)
    assert decoded.waveform.dtype == np.float32
    np.testing.assert_array_equal(decoded.waveform, by_librosa(data))
    assert (decoded.source_sample_rate, decoded.source_channels) == (rate, channels)
    assert len(decoded.waveform) == math.ceil(decoded.source_samples * (16_000 / rate))


@pytest.mark.parametrize("sample_rate", [8_000, 11_025, 22_050, 48_000])
def test_other_rates_are_librosas_too(sample_rate: int, by_librosa: Load) -> None:
    data = mp3(48_000, 1, 20_000)
    np.testing.assert_array_equal(decode.load(data, sample_rate).waveform, by_librosa(data, sample_rate))


@pytest.mark.skipif(not REAL_CLIPS.exists(), reason="the real clips are not here")
def test_real_clips_are_librosas(by_librosa: Load) -> None:
    with zipfile.ZipFile(REAL_CLIPS) as archive:
        clips = [archive.read(name) for name in archive.namelist() if name.endswith(".mp3")]
    for data in clips:
        np.testing.assert_array_equal(decode.load(data, 16_000).waveform, by_librosa(data))


@given(st.lists(st.floats(-1.5, 1.5, width=32), max_size=50))
@example([1.0])  # one step too many, and no more
@example([-1.0])
@settings(max_examples=200)
def test_pcm16_is_the_nearest_step_and_counts_what_it_clips(values: list[float]) -> None:
    waveform = np.array(values, dtype=np.float32)
    pcm, clipped = decode.to_pcm16(waveform)
    exact = waveform.astype(np.float64) * 32768
    inside = (np.rint(exact) >= -32768) & (np.rint(exact) <= 32767)
    assert np.all(np.abs(pcm[inside] - exact[inside]) <= 0.5)
    assert np.all(pcm[~inside] == np.where(exact[~inside] > 0, 32767, -32768))
    assert clipped == np.count_nonzero(~inside)


@given(st.lists(st.integers(-32768, 32767), max_size=50))
def test_16_bits_go_there_and_back(values: list[int]) -> None:
    pcm = np.array(values, dtype=np.int16)
    back, clipped = decode.to_pcm16(decode.from_pcm16(pcm))
    np.testing.assert_array_equal(back, pcm)
    assert clipped == 0


def test_flac_keeps_every_sample() -> None:
    pcm, _ = decode.to_pcm16(decode.load(mp3(48_000, 1, 48_000), 16_000).waveform)
    np.testing.assert_array_equal(decode.from_flac(decode.to_flac(pcm, 16_000)), decode.from_pcm16(pcm))


def test_levels_are_relative_to_full_scale() -> None:
    tone = np.sin(2 * np.pi * np.arange(16_000) / 160).astype(np.float32)
    peak, rms = decode.levels(tone)
    assert peak == pytest.approx(0, abs=1e-5)
    assert rms == pytest.approx(-3.0103, abs=1e-3)
    assert decode.levels(np.zeros(10, dtype=np.float32)) == (-math.inf, -math.inf)


@pytest.mark.parametrize("data", [b"", b"<html>", bytes(5000)])
def test_what_is_no_mp3_is_refused(data: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode.load(data, 16_000)
    assert caught.value.reason is Reason.UNDECODABLE
    assert "0x" not in caught.value.detail  # no address in memory


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory here")
def test_a_clip_beyond_the_limit_on_files_is_an_error_and_not_cut_off() -> None:
    """Which holds for files in memory too."""
    resource = importlib.import_module("resource")
    data = mp3(22_050, 1, 20_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            decode.decode(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_libsndfile_reads_through_python_it_decodes_the_same_and_a_ctrl_c_ends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On Linux it reads a file in memory."""
    data = mp3(22_050, 1, 20_000)
    expected, _ = decode.decode(data)
    monkeypatch.delattr(os, "memfd_create", raising=False)
    np.testing.assert_array_equal(decode.decode(data)[0], expected)

    class Interrupted(io.BytesIO):
        def readinto(self, buffer: Any) -> int:
            signal.raise_signal(signal.SIGINT)
            return super().readinto(buffer)

    monkeypatch.setattr(decode, "io", SimpleNamespace(BytesIO=Interrupted))
    with pytest.raises(KeyboardInterrupt):
        decode.decode(data)


def test_a_ctrl_c_waits_until_soxr_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its extension module ends the process where one arrives meanwhile."""
    decode._soxr.cache_clear()
    done = []

    def import_module(name: str) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(name)

    monkeypatch.setattr("importlib.import_module", import_module)
    with pytest.raises(KeyboardInterrupt):
        decode.decoder_versions()
    assert done == ["soxr"]
