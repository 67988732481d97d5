"""An excerpt is a piece of its recording, the same one in every sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from pipeline import open_waveforms
from pipeline.audio import decode
from pipeline.audio.sound import Sound
from pipeline.core.params import Excerpt
from pipeline.shards.derive import make_shard
from pipeline.waveforms.excerpts import piece_of
from pipeline.waveforms.shard import WaveformRecipe
from tests.audio.test_pieces import recording
from tests.waveforms.test_shard import recipe_for, write_clips

WAV = ("WAV", "PCM_16")
_FORMATS = [WAV, ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")]


@pytest.mark.parametrize("at", ["start", "centre", "random"])
def test_excerpt_is_that_piece_of_its_recording_in_every_format(at: Any, tmp_path: Path) -> None:
    files = [recording(kind, 48_000, 2, 3) for kind in _FORMATS] + [recording(WAV, 22_050, 2, 0.5)]
    clips, folder = write_clips(tmp_path / "clips.parquet", files), tmp_path / "waveforms"
    folder.mkdir()
    plain = recipe_for(clips, "float32")
    recipe = WaveformRecipe(16_000, "float32", plain.declared, Excerpt(0.75, at))
    make_shard(recipe, clips, folder / "part-00000.parquet", tmp_path / "nothing.parquet")
    for clip, data in zip(open_waveforms(folder), files, strict=True):
        whole = decode.load(data, 16_000).waveform
        assert clip.start_seconds is not None
        first = round(clip.start_seconds * 16_000)
        assert clip.num_samples == min(12_000, len(whole))
        assert first == clip.start_seconds * 16_000
        np.testing.assert_allclose(clip.waveform, whole[first : first + clip.num_samples], rtol=0, atol=1e-6)
    starts = pd.read_parquet(folder)["start_seconds"].tolist()
    if at == "random":
        assert len(set(starts)) == 5
        assert all(0 < start < 2.25 for start in starts[:4])
        assert starts[4] == 0  # which is shorter than its excerpt
    else:
        assert starts == [{"start": 0, "centre": 1.125}[at]] * 4 + [0]


def test_excerpts_at_random_are_spread_over_their_recordings_and_never_change() -> None:
    sound, excerpt = Sound("WAV", "PCM_16", 48_000, 1, 48_000 * 60), Excerpt(5, "random")
    starts = [piece_of(sound, 16_000, excerpt, f"clip {number}")[0] for number in range(2_000)]
    counts, _ = np.histogram(starts, bins=10, range=(0, 55))
    assert counts.min() > 150
    assert starts[:2] == [20.5349375, 8.3173125]


@pytest.mark.parametrize("samples", [79_999, 80_000, 80_001])
def test_excerpts_lie_within_the_recording(samples: int) -> None:
    sound = Sound("WAV", "PCM_16", 16_000, 1, samples)
    pieces = {piece_of(sound, 16_000, Excerpt(5, "random"), f"clip {number}") for number in range(20)}
    assert pieces == ({decode.WHOLE} if samples <= 80_000 else {(0.0, 5.0), (1 / 16_000, 80_001 / 16_000)})


def test_excerpt_is_in_the_seal_and_none_leaves_it_as_it_was(tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.parquet", [recording(WAV, 16_000, 2, 1)])
    plain = recipe_for(clips, "pcm16")
    assert plain.settings() == {"sample_rate": 16_000, "encoding": "pcm16"}
    assert "start_seconds" not in plain.columns.names
    paths = [tmp_path / f"{number}.parquet" for number in range(2)]
    for path, seconds, earlier in zip(paths, (0.5, 0.25), (tmp_path / "nothing", paths[0]), strict=True):
        recipe = WaveformRecipe(16_000, "pcm16", plain.declared, Excerpt(seconds, "start"))
        assert make_shard(recipe, clips, path, earlier) == 1
        assert pq.read_table(path)["duration_seconds"].to_pylist() == [seconds]
