"""A remote worker publishes nothing once its run has ended, and no two of them share a temporary name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import atomic
from pipeline.core.errors import BusyError, WorkerError
from pipeline.engines.remote_workers import Requirements, call, run_marker
from tests.support.project import ROOT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_while_the_run_ends(path: Path, marker: Path) -> None:
    with atomic.replacing(path) as temporary:
        temporary.write_text("late")
        marker.unlink()


def test_task_of_a_run_that_has_ended_replaces_nothing(folder: Path) -> None:
    path = folder / "part-00000.parquet"
    path.write_text("whole")
    with run_marker(dict) as requirements, pytest.raises(BusyError, match="the run that asked for it has ended"):
        call(requirements, lambda: write_while_the_run_ends(path, requirements.marker))
    assert path.read_text() == "whole"
    assert sorted(each.name for each in folder.iterdir()) == ["data", "part-00000.parquet"]


def test_two_workers_at_one_file_do_not_disturb_each_other(folder: Path) -> None:
    path, marker = folder / "part", folder / "marker"
    marker.touch()
    with atomic.publish_only_while(marker), atomic.replacing(path) as first, atomic.replacing(path) as second:
        assert first != second
        first.write_text("same")
        second.write_text("same")
    assert sorted(each.name for each in folder.iterdir()) == ["marker", "part"]


def test_run_marker_ends_with_its_run_and_the_marker_of_a_killed_run_is_removed(folder: Path) -> None:
    script = "import os; from pipeline.engines.remote_workers import run_marker as m\nwith m(dict): os._exit(1)"
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT)}, check=False)
    (left,) = (folder / "data").iterdir()
    with run_marker(dict) as requirements:
        assert [requirements.marker] == list((folder / "data").iterdir()) != [left]
    assert not list((folder / "data").iterdir())


def test_folder_that_is_not_shared_is_refused(folder: Path) -> None:
    with pytest.raises(WorkerError, match="is not the folder of this run there; it has to be shared"):
        call(Requirements(folder / "data/not-there", (), dict), list)
