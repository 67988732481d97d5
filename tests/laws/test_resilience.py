"""The same bytes after full disks, damage, and any history."""

from __future__ import annotations

import random
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import open_waveforms
from pipeline.audio import decode
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.project import STAGES, Project
from tests.support.tarballs import flip

more = pytest.mark.more

SAMPLE = ("subsample", "waveforms")

# Histories


def shards_of(project: Project, folder: str) -> list[Path]:
    return sorted((project.root / "data" / folder).glob("part-*.parquet"))


def again(project: Project, **values: object) -> None:
    project.set(**values)
    project.stage(*SAMPLE)


def grown_in_steps(project: Project) -> None:
    shutil.rmtree(project.root / "data/clips")
    shutil.rmtree(project.root / "data/waveforms")
    for clips in (1, 31, 32, 33, 100):
        again(project, subsample__clips=clips, subsample__max_rejected=0.5)


def other_encodings_and_another_rate(project: Project) -> None:
    for encoding in ("float32", "flac"):
        again(project, waveforms__encoding=encoding)
    again(project, waveforms__sample_rate=8000)


def one_left_out(project: Project) -> None:
    again(project, subsample__exclude=[open_waveforms(project.root / "data/waveforms")[50].clip_id])


def damaged_on_disk(project: Project) -> None:
    """Change one bit of one shard after the other, in both folders, at seeded places."""
    for folder in ("clips", "waveforms"):
        for path in shards_of(project, folder):
            flip(path, random.Random(f"{folder} {path.name}").randrange(path.stat().st_size))


def another_revision_of_the_waveforms(project: Project) -> None:
    """Another revision of the code had half the amplitude."""
    to_pcm16 = decode.to_pcm16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "to_pcm16", lambda waveform: to_pcm16(waveform / np.float32(2)))
        patch.setattr(WaveformRecipe, "REVISION", 0)
        patch.setenv("PIPELINE_WORKERS", "1")
        project.stage("waveforms")


def soxr_told_to_use_other_instructions(project: Project) -> None:
    """Set variables of soxr that, if they were honoured, would change 189 of a million samples."""
    shutil.rmtree(project.root / "data/waveforms")
    project.run(sys.executable, "-m", "pipeline", "waveforms", SOXR_USE_SIMD="0", SOXR_USE_SIMD32="0")


HISTORIES = [grown_in_steps, damaged_on_disk]
MORE_HISTORIES = [
    another_revision_of_the_waveforms,
    soxr_told_to_use_other_instructions,
    other_encodings_and_another_rate,
    one_left_out,
]


@pytest.mark.parametrize(
    ("staged_once", "history"),
    [
        *(("demo", each) for each in HISTORIES),
        *(pytest.param("demo", each, marks=more) for each in MORE_HISTORIES),
        pytest.param("labelled", grown_in_steps, marks=more),
        *(pytest.param("segments", each, marks=more) for each in (*HISTORIES, one_left_out)),
    ],
    indirect=["staged_once"],
)
def test_outputs_after_any_history_are_those_from_scratch(
    staged: Project, staged_once: Project, history: Callable[[Project], None]
) -> None:
    params = (staged.root / "params.yaml").read_bytes()
    history(staged)
    (staged.root / "params.yaml").write_bytes(params)
    staged.stage(*SAMPLE)
    assert staged.outputs() == staged_once.outputs()


@more
def test_clips_that_are_there_are_not_fetched_again(staged: Project, staged_once: Project) -> None:
    """In the archive, everything before the index is zeros."""
    archive = staged.root / "data/demo/common-voice-demo.zip"
    with zipfile.ZipFile(archive) as opened:
        directory = opened.start_dir
    data = archive.read_bytes()
    archive.write_bytes(bytes(directory) + data[directory:])
    shards_of(staged, "clips")[3].unlink()
    again(staged, shards__clips=10, subsample__clips=90, subsample__max_rejected=0.9)
    assert len(shards_of(staged, "clips")) == 9
    again(staged, shards__clips=32, subsample__clips=90)
    whole = staged_once.outputs()
    for path in shards_of(staged, "clips")[:2]:
        assert path.read_bytes() == whole[f"data/clips/{path.name}"]


@pytest.mark.parametrize("workers", [2, pytest.param(5, marks=more)])
def test_workers_of_any_number_make_the_same_bytes(
    staged: Project, staged_once: Project, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_WORKERS", str(workers))
    monkeypatch.setenv("PIPELINE_CONNECTIONS", str(workers))
    for folder in ("clips", "waveforms"):
        shutil.rmtree(staged.root / "data" / folder)
    staged.stage(*SAMPLE)
    assert staged.outputs() == staged_once.outputs()


# A full disk. Kills: at any moment in tests/support/chaos, at each step in tests/shards, of workers in tests/engines.


def run_on_a_full_disk(project: Project, stage: str, kilobytes: int, workers: int) -> None:
    """Run a stage with a limit on the size of files, which fails like a full disk."""
    limited = f"ulimit -f {kilobytes}; exec {sys.executable} -B -m pipeline {stage}"
    done = project.try_run("bash", "-c", limited, PIPELINE_WORKERS=str(workers))
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(rf"{stage}: a file would be larger than .* run it again: what is done is kept\.\n", done.stderr)


@pytest.mark.parametrize(
    ("staged_once", "stage", "kilobytes", "workers"),
    [
        ("demo", "waveforms", 500, 2),
        pytest.param("labelled", "subsample", 200, 1, marks=more),
    ],
    indirect=["staged_once"],
)
def test_full_disk_changes_nothing_and_the_next_run_makes_the_same_bytes(
    staged: Project, staged_once: Project, stage: str, kilobytes: int, workers: int
) -> None:
    staged.set(subsample__clips=60, stratify__seed=1, waveforms__encoding="float32")
    before = staged.outputs()
    run_on_a_full_disk(staged, stage, kilobytes, workers)
    after = staged.outputs()
    assert {path: data for path, data in after.items() if "/." not in path} == before
    if workers == 1:  # another worker may be in the middle of something; the next run sweeps that away
        assert not [path for path in after if path.endswith(".tmp")]
    staged.set(subsample__clips=120, stratify__seed=2017, waveforms__encoding="pcm16")
    staged.stage(*STAGES[:-1])
    assert staged.outputs() == staged_once.outputs()
