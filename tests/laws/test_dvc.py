"""What people do with DVC: repro, change a number, clone and pull, in real git repositories."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import open_waveforms
from tests.support.golden import golden
from tests.support.project import STAGES, Project


def ran(output: str) -> list[str]:
    """Return the stages that `dvc repro` ran, by what it printed."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def hashes(project: Project) -> dict[str, str]:
    """Return the hash that dvc.lock has of every output."""
    lock = YAML(typ="safe").load(project.root / "dvc.lock")
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


@golden  # dvc.lock was made there
def test_dvc_repro_of_everything_leaves_git_clean(made_once: Project) -> None:
    # Without its lock: another worker may be copying this repository.
    assert made_once.run("git", "status", "--porcelain", GIT_OPTIONAL_LOCKS="0") == ""


def test_dvc_repro_runs_nothing_where_only_comments_and_the_order_of_keys_changed(made: Project) -> None:
    path = made.root / "params.yaml"
    document = YAML(typ="safe").load(path)
    document["stratify"]["splits"] = dict(reversed(document["stratify"]["splits"].items()))
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in document.items()
    }
    YAML().dump(dict(reversed(turned.items())), path)
    path.write_text("# turned around\n" + path.read_text())
    assert ran(made.run("dvc", "repro")) == []


@pytest.mark.more
def test_dvc_makes_the_same_bytes_on_every_way_to_a_sample(made: Project, tmp_path: Path) -> None:
    made.set(shards__clips=32)
    made.run("dvc", "repro", PIPELINE_WORKERS="1")
    from_scratch = hashes(made)
    grown = made.copy(tmp_path / "grown")
    for clips in (60, 200, 120):
        grown.set(subsample__clips=clips)
        grown.run("dvc", "repro", PIPELINE_WORKERS="4")
    assert hashes(grown) == from_scratch
    assert not list((grown.root / "data").glob(".*")), "nothing is left beside the outputs"


def test_dvc_pull_on_a_new_machine_leaves_nothing_to_do(made: Project, tmp_path: Path) -> None:
    made.run("dvc", "remote", "add", "--default", "storage", str(tmp_path / "remote"))
    made.run("git", "commit", "--quiet", "--all", "--message=Share it")
    made.run("dvc", "push")
    Project(tmp_path).run("git", "clone", "--quiet", str(made.root), "clone")
    clone = Project(tmp_path / "clone")
    (clone.root / "data/demo/common-voice-demo.zip").unlink()
    (made.root / "data/demo/common-voice-demo.zip").unlink()

    assert clone.try_run("dvc", "repro", "--dry", "--allow-missing").returncode == 0  # nothing is there yet
    clone.run("dvc", "pull", "data/waveforms")
    assert len(open_waveforms(clone.root / "data/waveforms")) == 120
    clone.run("dvc", "pull")
    clone.run("dvc", "status", "--quiet")
    assert ran(clone.run("dvc", "repro")) == []
    assert clone.outputs() == made.outputs()
    assert "largest_deviation_clips" in clone.run("dvc", "metrics", "show")
