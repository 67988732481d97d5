"""Features are what can be measured of a clip, the same on any processor and beside any other clips."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.logarithms import exp2, log2
from pipeline.audio.spectrum import analyse
from pipeline.views.features import columns
from pipeline.views.features.measure import measure
from tests.support.project import ROOT, environment
from tests.support.voices import Float32, demo_voices, noise, pulses, tone

DESIGN = """
clip_id rank split
f0_mean_hz f0_median_hz f0_std_hz f0_p05_hz f0_p95_hz voiced_fraction
{mfccs}
centroid_mean_hz centroid_std_hz bandwidth_mean_hz bandwidth_std_hz rolloff_mean_hz rolloff_std_hz
flatness_mean flatness_std zcr_mean zcr_std rms_mean rms_std
speech_start_seconds speech_end_seconds words words_per_second
"""
VOICES = demo_voices(6)
SILENCE = np.zeros(16_000, dtype=np.float32)
CLIPS = [*VOICES, noise(1), SILENCE, tone(200)[:700], np.ones(1, dtype=np.float32), np.zeros(0, dtype=np.float32)]


def measured(*waveforms: Float32, text: str | None = "one two three") -> pa.Table:
    return measure(waveforms, 16_000, [text] * len(waveforms), (65.0, 500.0))


def row(waveform: Float32, text: str | None = "one two three") -> dict[str, float | None]:
    found: dict[str, float | None] = measured(waveform, text=text).to_pylist()[0]
    return found


def nulls(waveform: Float32) -> set[str]:
    return {name for name, value in row(waveform).items() if value is None}


PITCH = {f"f0_{statistic}_hz" for statistic in ("mean", "median", "std", "p05", "p95")}
SPEECH = {"speech_start_seconds", "speech_end_seconds", "words_per_second"}
LEVEL = {"zcr_mean", "zcr_std", "rms_mean", "rms_std"}


def test_features_have_the_agreed_columns_each_with_its_unit() -> None:
    mfccs = " ".join(f"mfcc_{number:02}_{statistic}" for number in range(20) for statistic in ("mean", "std"))
    assert columns.COLUMNS.names == DESIGN.format(mfccs=mfccs).split()
    for field in columns.MEASURED:
        assert field.type == (pa.int32() if field.name == "words" else pa.float32())
        unit = field.metadata[b"unit"].decode()
        assert unit in {"Hz", "dB", "s", "1", "1/s"}
        assert field.name.endswith("_hz") == (unit == "Hz")
        assert field.name.endswith("_seconds") == (unit == "s")


def test_features_of_a_voice_are_complete() -> None:
    assert measured().num_rows == 0
    table = measured(*VOICES)
    assert table.schema.equals(columns.MEASURED, check_metadata=True)
    assert all(column.null_count == 0 for column in table.columns)
    frame = table.to_pandas()
    assert frame["f0_median_hz"].between(65, 300).all()
    assert (frame["f0_p05_hz"] <= frame["f0_median_hz"]).all()
    assert (frame["f0_median_hz"] <= frame["f0_p95_hz"]).all()
    assert frame["voiced_fraction"].between(0.3, 1).all()
    assert (frame["speech_start_seconds"] < frame["speech_end_seconds"]).all()


def test_features_are_null_where_there_is_nothing_to_measure() -> None:
    assert nulls(noise(1)) == PITCH | SPEECH
    assert row(noise(1))["voiced_fraction"] == 0
    assert nulls(SILENCE) == set(columns.MEASURED.names) - LEVEL - {"words", "voiced_fraction"}
    assert row(SILENCE)["rms_mean"] == 0
    assert nulls(tone(200)[:700]) == PITCH | SPEECH | {"voiced_fraction"}  # shorter than three periods of 65 Hz
    assert nulls(np.zeros(0, dtype=np.float32)) == set(columns.MEASURED.names) - LEVEL - {"words"}


def test_features_are_mean_and_deviation_over_the_frames() -> None:
    frames, found = analyse(VOICES[0], 16_000), row(VOICES[0])
    for name, values in (
        ("mfcc_07_{}", frames.mfcc[:, 7]),
        ("rms_{}", frames.rms),
        ("rolloff_{}_hz", frames.rolloff_hz),
    ):
        assert found[name.format("mean")] == pytest.approx(np.mean(values), rel=1e-6)
        assert found[name.format("std")] == pytest.approx(np.std(values), rel=1e-6)


def test_features_have_pitch_in_hertz() -> None:
    found = row(pulses(150))
    assert [found[name] for name in sorted(PITCH - {"f0_std_hz"})] == pytest.approx([150] * 4, rel=0.001)
    assert found["f0_std_hz"] == pytest.approx(0, abs=0.1)


def test_features_count_words_over_the_time_of_speech() -> None:
    found = row(np.pad(pulses(150, seconds=1.5), 16_000), "it's the  boy - again ...")
    assert found["words"] == 4
    assert found["words_per_second"] == pytest.approx(4 / 1.5, rel=0.03)
    for without_count in (None, "東京"):
        assert row(VOICES[0], without_count)["words"] is None
        assert row(VOICES[0], without_count)["words_per_second"] is None
    assert row(VOICES[0], "")["words_per_second"] == 0


@pytest.mark.more
@given(st.lists(st.integers(0, len(CLIPS) - 1), min_size=1, max_size=10))
def test_features_of_a_clip_do_not_depend_on_the_others(chosen: list[int]) -> None:
    together = measured(*(CLIPS[number] for number in chosen))
    for place, number in enumerate(chosen):
        assert together.slice(place, 1).to_pylist() == measured(CLIPS[number]).to_pylist()


def digest() -> str:
    """Return a digest of what is measured of some clips; run by itself below."""
    rates = [measure(CLIPS, sample_rate, [""] * len(CLIPS), (65.0, 500.0)) for sample_rate in (16_000, 22_050)]
    found = hashlib.sha256(repr([table.to_pylist() for table in rates]).encode())
    values = np.random.default_rng(2017).uniform(0.001, 50, 10_000)
    found.update(log2(values).tobytes() + exp2(values).tobytes())  # before anything is rounded to 32 bit
    return found.hexdigest()


@pytest.mark.more
@pytest.mark.parametrize("kernels", ["Haswell", "Prescott"])
@pytest.mark.parametrize("threads", [1, 2])
def test_features_are_the_same_for_any_threads_and_kernels(threads: int, kernels: str) -> None:
    """OpenBLAS has kernels for each processor and numpy for each set of instructions: Prescott's is the smallest."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", []) if kernels == "Prescott" else []
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import digest; print(digest())"],
        cwd=ROOT,
        env=environment(
            OPENBLAS_NUM_THREADS=str(threads), OPENBLAS_CORETYPE=kernels, NPY_DISABLE_CPU_FEATURES=" ".join(found)
        ),
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.strip() == digest()


def test_features_in_the_docs_have_every_column_with_its_unit() -> None:
    described: dict[str, str] = {}
    for line in (ROOT / "docs/features.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            names, unit, _ = line.strip("| ").split(" | ")
            described |= dict.fromkeys(re.findall(r"`(\w+)`", names), unit.strip())
    described |= {name: "dB" for name in columns.MEASURED.names if name.startswith("mfcc_")}
    assert described == {field.name: (field.metadata or {b"unit": b""})[b"unit"].decode() for field in columns.COLUMNS}
