"""`show`: what is known of a clip, and its picture; an unknown clip is answered with the nearest ones."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from pipeline import open_waveforms
from pipeline.__main__ import main
from pipeline.commands import drawing, show
from pipeline.core import schema
from pipeline.core.columns import Column
from pipeline.core.errors import SampleError
from tests.support.project import Project


@pytest.fixture
def inside(staged_once: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(staged_once.root)
    return staged_once.root


@pytest.fixture
def row(inside: Path) -> pd.Series:
    return pd.read_parquet(inside / "data/waveforms/part-00001.parquet").iloc[3]


def test_show_says_what_the_shards_say(row: pd.Series, inside: Path, tmp_path: Path) -> None:
    lines = show.show(row["clip_id"], tmp_path / "clip.png").splitlines()
    shown = dict(line.split(maxsplit=1) for line in lines)
    clips = pd.concat(map(pd.read_parquet, sorted((inside / "data/clips").glob("*.parquet")))).set_index("clip_id")
    original = clips.loc[row["clip_id"], "audio"]["bytes"]
    source = soundfile.info(io.BytesIO(original))
    values = [float(value) for value in shown["waveform"].strip("[]… ,").replace("…", "").split(",") if value.strip()]
    assert shown["clip"] == row["clip_id"]
    assert np.allclose(values, row["waveform"][:8] / 32768, atol=1e-8)
    assert shown["samples"] == str(len(row["waveform"]))
    assert shown["rate"] == "16000 Hz"
    assert shown["source"] == f"MP3, {source.samplerate} Hz, channels: {source.channels}, {len(original)} bytes"
    for name in [*(column.name for column in open_waveforms().declared), "table", "split", "rank"]:
        assert shown[name] == ("(missing)" if row[name] is None else str(row[name]))
    features = open_waveforms().features().set_index("clip_id").loc[row["clip_id"]]
    weight = pd.read_parquet("data/sample.parquet").set_index("clip_id").loc[row["clip_id"], "weight"]
    assert shown["pitch"] == f"{features['f0_median_hz']:.0f} Hz, median of the voiced frames"
    assert shown["speech"] == f"{features['words_per_second']:.1f} words per second"
    assert shown["weight"] == f"stands for {weight} eligible clip{'s' if weight > 1 else ''}"
    show.show(row["clip_id"], tmp_path / "other.png")
    assert (tmp_path / "clip.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.png", "other.png"]


def test_show_draws_the_loudest_samples_where_they_are() -> None:
    """A click at a quarter of the time is the only thing that is drawn above the middle."""
    samples = np.zeros(16_000, dtype=np.float32)
    samples[4000] = 0.9
    pixels = np.asarray(Image.open(io.BytesIO(drawing.png(samples, 16_000))).convert("RGB")).astype(int)
    blue = (np.abs(pixels - (0x24, 0x59, 0xA6)).sum(axis=2) == 0)[:300]
    rows, columns = np.nonzero(blue)
    middle = np.bincount(rows).argmax()
    assert len(set(rows.tolist())) > 100
    assert set(columns[rows < middle - 1].tolist()) == {84 + (1176 - 84) // 4}


@pytest.mark.parametrize("samples", [1, 100, pytest.param(320_000, marks=pytest.mark.more)])
def test_show_draws_a_clip_of_any_length(samples: int) -> None:
    noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    assert Image.open(io.BytesIO(drawing.png(noise, 16_000))).size == (1200, 600)


def test_show_escapes_what_a_terminal_would_obey_and_adds_units(row: pd.Series, inside: Path) -> None:
    clip = open_waveforms(inside / "data/waveforms")[row["clip_id"]]
    clip = replace(clip, columns={"said": "\x1b[2J\x07 one\ntwo \u202e\x9b é 💥", "distance": 3})
    shown = show.described(clip, 1, [Column("said"), Column("distance", "integer", unit="m")]).splitlines()
    assert "said          \\x1b[2J\\x07 one\\ntwo \\u202e\\x9b é 💥" in shown
    assert "distance      3 m" in shown


def test_show_answers_an_unknown_clip_with_near_ones_and_a_rejected_one_with_the_reason(
    row: pd.Series, inside: Path
) -> None:
    with pytest.raises(SampleError, match=row["clip_id"]):
        show.show(row["clip_id"].replace("sample-", "sample"))
    with pytest.raises(SampleError, match=r"is not among the 120 clips .* Nearest: valid-"):
        show.show("💥")
    with (inside / schema.REJECTED).open(encoding="utf-8", newline="") as file:
        rejected = list(csv.DictReader(file))
    assert rejected
    for each in rejected:
        with pytest.raises(SampleError, match=f"^{each['clip_id']} was rejected: {each['reason']}"):
            show.show(each["clip_id"])


def test_show_overwrites_only_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["show", "valid-test/sample-000003", "--out", "params.yaml"])
    assert "should be a file whose name ends in .png; got 'params.yaml'" in capsys.readouterr().err
