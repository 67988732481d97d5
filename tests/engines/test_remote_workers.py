"""A worker elsewhere publishes nothing once its run has ended, and no two of them share a temporary name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core import atomic
from pipeline.core.errors import BusyError, WorkerError
from pipeline.engines import remote_workers


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_task_of_a_run_that_has_ended_replaces_nothing(folder: Path) -> None:
    path = folder / "part-00000.parquet"
    path.write_text("whole")
    with remote_workers.lease() as terms, pytest.raises(BusyError, match="the run that asked for it has ended"):
        remote_workers.call(terms, lambda: _write_while_the_run_ends(path, terms.lease))
    assert path.read_text() == "whole"
    assert sorted(each.name for each in folder.iterdir()) == ["data", "part-00000.parquet"]


def _write_while_the_run_ends(path: Path, lease: Path) -> None:
    with atomic.replacing(path) as temporary:
        temporary.write_text("late")
        lease.unlink()


def test_two_workers_at_one_file_do_not_disturb_each_other(folder: Path) -> None:
    path, lease = folder / "part", folder / "lease"
    lease.touch()
    with atomic.publish_only_while(lease), atomic.replacing(path) as first, atomic.replacing(path) as second:
        assert first != second
        first.write_text("same")
        second.write_text("same")
    assert sorted(each.name for each in folder.iterdir()) == ["lease", "part"]


def test_a_lease_ends_with_its_run_and_one_that_a_killed_run_left_is_removed(folder: Path) -> None:
    script = "import os\nfrom pipeline.engines import remote_workers\nwith remote_workers.lease(): os._exit(1)"
    root = str(Path(remote_workers.PACKAGE).parent)
    subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": root}, check=False)
    (left,) = (folder / "data").iterdir()
    with remote_workers.lease() as terms:
        assert [terms.lease] == list((folder / "data").iterdir())
        assert terms.lease != left
    assert not list((folder / "data").iterdir())


def test_a_folder_that_is_not_shared_is_a_misfit(folder: Path) -> None:
    terms = remote_workers.Requirements(folder / "data/not-there", tuple(remote_workers.facts().items()))
    with pytest.raises(WorkerError, match="is not the folder of this run there; it has to be shared"):
        remote_workers.call(terms, list)
