"""The same bytes after kills, full disks, damage, links into DVC's cache, and any history."""

from __future__ import annotations

import hashlib
import json
import platform
import random
import re
import shutil
import signal
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import open_waveforms
from pipeline.audio import decode, mp3
from pipeline.clips.examine import Check
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.project import ROOT, STAGES, Project

more = pytest.mark.more

SAMPLE = ("subsample", "waveforms")

# Histories


def shards_of(project: Project, folder: str) -> list[Path]:
    return sorted((project.root / "data" / folder).glob("part-*.parquet"))


def flip(path: Path, seed: str) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 1
    path.write_bytes(data)


def again(project: Project, **values: object) -> None:
    project.set(**values)
    project.stage(*SAMPLE)


def grown_in_steps(project: Project) -> None:
    shutil.rmtree(project.root / "data/clips")
    shutil.rmtree(project.root / "data/waveforms")
    for clips in (1, 31, 32, 33, 100):
        again(project, subsample__clips=clips, subsample__max_rejected=0.5)


def shrunk(project: Project) -> None:
    again(project, subsample__clips=40)


def other_shards(project: Project) -> None:
    again(project, shards__clips=50)
    again(project, shards__clips=7)


def other_encodings_and_another_rate(project: Project) -> None:
    for encoding in ("float32", "flac"):
        again(project, waveforms__encoding=encoding)
    again(project, waveforms__sample_rate=8000)


def one_left_out(project: Project) -> None:
    again(project, subsample__exclude=[open_waveforms(project.root / "data/waveforms")[50].clip_id])


def other_durations(project: Project) -> None:
    again(project, subsample__seconds=[1.5, 20], subsample__clips=60, subsample__max_rejected=0.9)


def damaged_on_disk(project: Project) -> None:
    """Change one bit of one shard after the other, in both folders, at seeded places."""
    for folder in ("clips", "waveforms"):
        for path in shards_of(project, folder):
            flip(path, f"{folder} {path.name}")


def some_deleted(project: Project) -> None:
    shards_of(project, "clips")[1].unlink()
    shards_of(project, "waveforms")[0].unlink()
    shards_of(project, "waveforms")[2].unlink()


def swapped(project: Project) -> None:
    for folder in ("clips", "waveforms"):
        first, second = shards_of(project, folder)[:2]
        spare = first.with_name("spare")
        first.replace(spare)
        second.replace(first)
        spare.replace(second)


def another_revision_of_the_waveforms(project: Project) -> None:
    """Another revision of the code had half the amplitude."""
    to_pcm16 = decode.to_pcm16
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "to_pcm16", lambda waveform: to_pcm16(waveform / np.float32(2)))
        patch.setattr(WaveformRecipe, "REVISION", 0)
        patch.setenv("PIPELINE_WORKERS", "1")
        project.stage("waveforms")


def another_revision_of_the_checks(project: Project) -> None:
    """Another revision of the code accepted every clip that can be decoded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mp3, "walk", lambda _: mp3.Mp3(48_000, 1, 42, 48_384))
        patch.setattr(Check, "REVISION", 0)
        project.stage("subsample")


def another_kind_of_machine(project: Project) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "machine", lambda: "another")
        patch.setenv("PIPELINE_WORKERS", "1")
        again(project, subsample__clips=100)


def soxr_told_to_use_other_instructions(project: Project) -> None:
    """Set variables of soxr that, if they were honoured, would change 189 of a million samples."""
    shutil.rmtree(project.root / "data/waveforms")
    project.run(sys.executable, "-m", "pipeline", "waveforms", SOXR_USE_SIMD="0", SOXR_USE_SIMD32="0")


HISTORIES = [grown_in_steps, damaged_on_disk, another_revision_of_the_waveforms]
MORE_HISTORIES = [another_revision_of_the_checks, another_kind_of_machine, soxr_told_to_use_other_instructions, shrunk]
MORE_HISTORIES += [other_shards, other_encodings_and_another_rate, one_left_out, other_durations, some_deleted, swapped]


@pytest.mark.parametrize(
    ("staged_once", "history"),
    [
        *(("demo", each) for each in HISTORIES),
        *(pytest.param("demo", each, marks=more) for each in MORE_HISTORIES),
        *(("release", each) for each in HISTORIES[:1]),
        *(("labelled", each) for each in HISTORIES[:2]),
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


def test_shards_that_are_still_right_are_not_made_again(staged: Project) -> None:
    flip(shards_of(staged, "waveforms")[2], "")
    before = {path.name: path.stat().st_ino for path in shards_of(staged, "waveforms")}
    again(staged, subsample__clips=96)
    after = {path.name: path.stat().st_ino for path in shards_of(staged, "waveforms")}
    kept = {name for name in after if after[name] == before[name]}
    assert kept == {"part-00000.parquet", "part-00001.parquet"}
    assert len(after) == 3


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


# Kills: at random moments in tests/support/chaos, of workers in tests/engines


@more
@pytest.mark.parametrize(("stage", "folder", "clips"), [("subsample", "clips", 120), ("waveforms", "waveforms", 48)])
def test_kill_while_files_get_their_final_names_is_recovered_from(
    staged: Project, stage: str, folder: str, clips: int
) -> None:
    """The shards of another sample are there; the new ones already wait for their names."""
    again(staged, subsample__clips=clips, shards__clips=clips // 5)
    params = (staged.root / "params.yaml").read_bytes()
    whole = {path: hashlib.sha256(data).hexdigest() for path, data in staged.outputs().items() if "reports" not in path}
    new = staged.root / "new"
    shutil.copytree(staged.root / "data" / folder, new)
    again(staged, subsample__clips=70, waveforms__encoding="float32", shards__clips=10)
    (staged.root / "params.yaml").write_bytes(params)
    if stage == "waveforms":
        staged.stage("subsample")
    before = Path(shutil.copytree(staged.root / "data", staged.root / "before"))
    new.rename(before / f".{folder}")
    deaths = (sys.executable, str(ROOT / "tests/support/deaths.py"), stage, str(before))
    lines = staged.run(*deaths, PYTHONPATH=".", OPENBLAS_NUM_THREADS="1", PIPELINE_WORKERS="1").splitlines()
    runs = [json.loads(line) for line in lines]
    assert len(runs) > 8
    assert {run["status"] for run in runs[:-1]} == {-signal.SIGKILL}
    for run in runs:
        assert run["after"] == 0
        for path in run["made"] | whole:  # the waveforms are still those of the other sample after `subsample`
            assert run["made"].get(path) == whole.get(path) or (stage == "subsample" and "/waveforms/" in path), path


# A full disk


def run_on_a_full_disk(project: Project, stage: str, kilobytes: int, workers: int) -> None:
    """Run a stage with a limit on the size of files, which fails like a full disk."""
    limited = f"ulimit -f {kilobytes}; exec {sys.executable} -B -m pipeline {stage}"
    done = project.try_run("bash", "-c", limited, PIPELINE_WORKERS=str(workers))
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(rf"{stage}: .*File too large.*\n", done.stderr)


@pytest.mark.parametrize(
    ("staged_once", "stage", "kilobytes", "workers"),
    [
        ("demo", "waveforms", 500, 2),
        *(
            pytest.param("demo", *each, 1, marks=more)
            for each in (("download", 8), ("stratify", 2), ("subsample", 200))
        ),
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


# DVC's cache


@more
@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_dvc_cache_is_not_written_to_through_links(made: Project, link: str) -> None:
    """Stages are called without DVC, so that it can't unlink anything first."""
    made.run("dvc", "config", "cache.type", link)
    made.run("dvc", "checkout", "--quiet", "--relink")
    some = made.root / "data/waveforms/part-00000.parquet"
    assert some.is_symlink() if link == "symlink" else some.stat().st_nlink > 1
    for changes in (
        {"subsample__clips": 150, "shards__clips": 64},
        {"subsample__clips": 60},
        {"subsample__clips": 120, "waveforms__encoding": "float32", "stratify__seed": 1},
    ):
        made.set(**changes)
        made.stage(*STAGES[:-1])
        assert cache_is_whole(made)


def cache_is_whole(project: Project) -> bool:
    """Tell whether every object still has the MD5 that is its name."""
    objects = [path for path in (project.root / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    assert len(objects) > 5
    return all(
        hashlib.md5(path.read_bytes()).hexdigest() == f"{path.parent.name}{path.name.removesuffix('.dir')}"
        for path in objects
    )
