"""The way from the files of an archive, of any format, to waveforms: download, stratify, subsample, waveforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import soundfile

from pipeline import open_waveforms
from pipeline.clips.reader import read_originals
from pipeline.views import pictures, series
from tests.support.project import Project

DESCRIPTION = """\
title: Birds
license: CC0-1.0
citation: made by a test
source: {kind: directory, path: birds}
audio: "{bird}/{name}.{extension}"
columns: {bird: {description: who sings}, extension: {}}
label: bird
"""
FORMATS: dict[str, dict[str, Any]] = {
    "WAV/PCM_16": {},
    "FLAC/PCM_16": {},
    "AIFF/PCM_16": {},
    "WAV/PCM_24": {"samplerate": 48_000, "channels": 2},
    "OGG/VORBIS": {"samplerate": 22_050},
    "MP3": {"samplerate": 44_100, "channels": 2},
}


@pytest.fixture
def birds(fresh: Project) -> Project:
    """Return a project with a folder of clips, one of each format, before its first run."""
    for kind, facts in FORMATS.items():
        channels, rate = facts.get("channels", 1), facts.get("samplerate", 16_000)
        samples = np.random.default_rng(2017).normal(0, 0.1, (rate, channels))
        name, _, subtype = kind.partition("/")
        path = fresh.root / "birds" / ("wren" if channels == 1 else "robin") / f"{kind.replace('/', '-')}.{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, format=name, subtype=subtype or "MPEG_LAYER_III")
    (fresh.root / "configs/snapshots/birds.yaml").write_text(DESCRIPTION)
    fresh.set(snapshot="birds", stratify__tables=[], stratify__strata=["bird"], stratify__require=[])
    fresh.set(stratify__splits={"train": 1.0}, subsample__clips=len(FORMATS), subsample__seconds=[0.5, None])
    return fresh


def test_waveforms_are_made_of_files_of_any_format(birds: Project) -> None:
    birds.stage("download", "stratify", "subsample", "waveforms")
    clips = list(open_waveforms(birds.root / "data/waveforms"))
    assert {clip.source_format for clip in clips} == set(FORMATS)
    wanted = [(clip.clip_id, clip.source_sha256) for clip in clips]
    for clip, original in zip(clips, read_originals(wanted, birds.root / "data/clips"), strict=True):
        path = birds.root / f"birds/{clip.clip_id}{original.extension}"
        assert path.read_bytes() == original.data
        assert clip.columns == {"bird": clip.label, "extension": original.extension[1:]}
        assert (clip.bird, clip.text) == (path.parent.name, None)
        assert clip.num_samples == 16_000
        if clip.source_format in {"WAV/PCM_16", "FLAC/PCM_16", "AIFF/PCM_16"}:  # 16 kHz, mono, 16 bits
            samples, _ = soundfile.read(path, dtype="int16")
            np.testing.assert_array_equal(clip.waveform * 32768, samples)


@pytest.mark.more
def test_excerpts_of_files_of_any_format_reach_every_view(birds: Project, capsys: pytest.CaptureFixture[str]) -> None:
    birds.set(waveforms__excerpt={"seconds": 0.25, "at": "centre"})
    birds.run("git", "init", "--quiet")
    birds.run("dvc", "repro")
    clips = open_waveforms(birds.root / "data/waveforms")
    assert [(clip.num_samples, clip.start_seconds) for clip in clips] == [(4_000, 0.375)] * len(FORMATS)
    assert series.array(clips, seconds=0.25)[0].shape == (len(FORMATS), 1, 4_000)
    assert len(pictures.spectrograms(clips, seconds=0.25)[0]) == len(FORMATS)
    features = clips.features()
    assert len(features) == len(FORMATS)
    assert features["words"].isna().all()
    assert "data:audio/flac" in (birds.root / "reports/report.html").read_text()
    for clip in clips:
        assert birds.main("show", clip.clip_id) == 0
        shown = capsys.readouterr().out
        assert clip.source_format in shown
        assert "begins        0.375 s" in shown
    count = str(len(FORMATS))
    for file_format in ("original", "mp3", "flac"):
        assert birds.main("export", "--clips", count, "--to", file_format, "--format", file_format) == 0
        suffixes = sorted(path.suffix.lower() for path in (birds.root / file_format).glob("sample-*"))
        names = [f".{kind.partition('/')[0].lower()}" for kind in FORMATS]
        assert suffixes == ([".flac"] * len(FORMATS) if file_format == "flac" else sorted(names))
    assert birds.main("publish", "--for", "huggingface", "--to", "published") == 0
