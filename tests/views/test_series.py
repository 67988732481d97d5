"""Arrays, windows and envelopes are what their definitions say, for clips of any length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.views import padding, series
from pipeline.waveforms.reader import Waveforms
from tests.support.waveforms import voice, waveforms_of

LENGTHS = [0, 1, 2, 159, 160, 161, 799, 800, 801, 1599, 16_000, 7, 40_000]
RATE = 16_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Waveforms:
    return waveforms_of(tmp_path_factory.mktemp("series") / "waveforms", [voice(length) for length in LENGTHS], shard=5)


@pytest.mark.parametrize("seconds", [1 / RATE, 0.05, 1, 3.0])
def test_array_is_cut_or_filled_with_zeros(clips: Waveforms, seconds: float) -> None:
    samples, lengths = series.array(clips, seconds)
    wanted = round(seconds * RATE)
    assert samples.shape == (len(LENGTHS), 1, wanted)
    assert samples.dtype == np.float32
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [min(length, wanted) for length in LENGTHS]
    for row, clip in zip(samples[:, 0], clips, strict=True):
        np.testing.assert_array_equal(row[: len(clip.waveform)], clip.waveform[:wanted])
        assert not row[len(clip.waveform) :].any()


def test_windows_are_whole_and_start_every_hop(clips: Waveforms) -> None:
    samples, clip_ids, starts = series.windows(clips, seconds=0.05, hop_seconds=0.02)
    expected = [
        (clip.clip_id, start / RATE, clip.waveform[start : start + 800])
        for clip in clips
        for start in range(0, len(clip.waveform) - 799, 320)
    ]
    assert samples.shape == (len(expected), 1, 800)
    assert samples.dtype == np.float32
    assert clip_ids.tolist() == [clip_id for clip_id, _, _ in expected]
    np.testing.assert_allclose(starts, [start for _, start, _ in expected], rtol=1e-12)
    np.testing.assert_array_equal(samples[:, 0], [window for _, _, window in expected])
    assert series.windows(clips, seconds=10)[0].shape == (0, 1, 160_000)


@pytest.mark.parametrize(("rate", "seconds"), [(100, 0.01), (1000, 0.5), (100, 3.0)])
def test_envelopes_are_means_of_the_analytic_signal(clips: Waveforms, rate: int, seconds: float) -> None:
    from scipy.signal import hilbert  # slow to import, in each worker

    drawn, lengths = series.envelopes(clips, rate=rate, seconds=seconds)
    hop, wanted = RATE // rate, round(seconds * RATE)
    assert drawn.shape == (len(LENGTHS), 1, wanted // hop)
    assert drawn.dtype == np.float32
    for row, length, clip in zip(drawn[:, 0], lengths.tolist(), clips, strict=True):
        cut = clip.waveform[:wanted]
        assert length == len(cut) // hop
        assert not row[length:].any()
        if length:
            magnitude = np.abs(hilbert(cut.astype(np.float64)))[: length * hop]
            np.testing.assert_allclose(row[:length], magnitude.reshape(length, hop).mean(axis=1), atol=1e-5)


def test_envelopes_of_a_tone_that_swells_are_its_swell(tmp_path: Path) -> None:
    times = np.arange(RATE) / RATE
    swell = 0.25 + 0.2 * np.sin(2 * np.pi * 2 * times)
    tone = (swell * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    drawn, _ = series.envelopes(waveforms_of(tmp_path / "waveforms", [tone]), seconds=1)
    np.testing.assert_allclose(drawn[0, 0], swell.reshape(100, 160).mean(axis=1), atol=0.002)


Made = Callable[..., tuple[Any, ...]]


@pytest.mark.parametrize("make", [series.array, series.windows, series.envelopes])
def test_series_of_a_view_are_its_rows_in_its_order(clips: Waveforms, make: Made) -> None:
    view = clips.head(12)[::-1][np.arange(12) % 2 == 0]
    whole, *_ = make(view, seconds=0.05)
    one_by_one = [make(view[place : place + 1], seconds=0.05)[0] for place in range(len(view))]
    np.testing.assert_array_equal(whole, np.concatenate(one_by_one))
    in_batches = [make(batch, seconds=0.05)[0] for batch in view.batches(4)]
    np.testing.assert_array_equal(whole, np.concatenate(in_batches))
    assert len(make(view.head(0), seconds=0.05)[0]) == 0


@pytest.mark.parametrize("make", [series.array, series.windows, series.envelopes])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9, 1 / 16_001])
def test_series_of_seconds_out_of_range_are_an_error(clips: Waveforms, make: Made, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"^seconds is a time of one sample .* to 3600 s; got "):
        make(clips, seconds=seconds)


def test_series_with_an_impossible_hop_or_rate_are_an_error(clips: Waveforms) -> None:
    with pytest.raises(ValueError, match=r"^hop_seconds is a time"):
        series.windows(clips, 1.0, 0)
    for rate in (0, -100, 101, 32_000, 0.5):
        with pytest.raises(ValueError, match="rate"):
            series.envelopes(clips, rate=rate)  # type: ignore[arg-type]


def test_series_larger_than_memory_are_an_error_at_once(clips: Waveforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(padding, "_memory_bytes", lambda: 1e6)
    with pytest.raises(MemoryError, match=r"takes 2\.5 GB, .*clips\.batches\(512\)"):
        series.array(clips, seconds=3000)
