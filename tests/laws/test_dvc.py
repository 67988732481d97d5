"""What people do with it: repro, change a number, clone and pull. Real dvc, in real git repositories."""

from __future__ import annotations

import platform
from pathlib import Path

import pandas as pd
import pytest
from ruamel.yaml import YAML

from pipeline import open_waveforms
from tests.support.project import STAGES, Project


def ran(output: str) -> list[str]:
    """Return the stages that `dvc repro` ran, by what it printed."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def hashes(project: Project) -> dict[str, str]:
    """Return the hash that dvc.lock has of every output."""
    lock = YAML(typ="safe").load(project.root / "dvc.lock")
    return {out["path"]: out["md5"] for stage in lock["stages"].values() for out in stage["outs"]}


def shards(project: Project, folder: str) -> dict[str, tuple[int, bytes]]:
    """Return the inode and the bytes of each shard."""
    paths = (project.root / "data" / folder).glob("part-*.parquet")
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in paths}


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"),
    reason="dvc.lock was made on Linux x86_64; another build of the decoder may round differently",
)
def test_a_clone_that_runs_everything_leaves_git_clean(made_once: Project) -> None:
    # Without its lock: another worker may be copying this repository.
    assert made_once.run("git", "status", "--porcelain", GIT_OPTIONAL_LOCKS="0") == ""


def test_a_second_repro_runs_nothing(made: Project) -> None:
    assert ran(made.run("dvc", "repro")) == []


def test_comments_and_the_order_of_keys_mean_nothing(made: Project) -> None:
    path = made.root / "params.yaml"
    document = YAML(typ="safe").load(path)
    turned = {
        key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in document.items()
    }
    turned["stratify"]["splits"] = dict(reversed(turned["stratify"]["splits"].items()))
    YAML().dump(dict(reversed(turned.items())), path)
    path.write_text("# turned around\n" + path.read_text())
    assert ran(made.run("dvc", "repro")) == []
    before = made.outputs()
    made.run("dvc", "repro", "--force")
    assert made.outputs() == before


def test_a_larger_sample_runs_four_stages_and_keeps_full_shards(made: Project) -> None:
    made.set(shards__clips=32, subsample__clips=80)
    made.run("dvc", "repro")
    before = {folder: shards(made, folder) for folder in ("clips", "waveforms", "features")}
    made.set(subsample__clips=120)
    output = made.run("dvc", "repro")
    assert ran(output) == ["subsample", "waveforms", "features", "report"]
    assert "120 waveforms in 4 shards; 40 decoded now" in output
    for folder, shards_before in before.items():
        after = shards(made, folder)
        assert sorted(after) == [f"part-{number:05d}.parquet" for number in range(4)]
        for name in ("part-00000.parquet", "part-00001.parquet"):
            assert after[name][1] == shards_before[name][1]


def test_an_experiment_with_a_larger_sample(made: Project) -> None:
    made.run("dvc", "exp", "run", "--set-param", "subsample.clips=160")
    assert len(open_waveforms(made.root / "data/waveforms")) == 160


def test_every_way_to_a_sample_gives_the_same_bytes(made: Project, tmp_path: Path) -> None:
    made.set(shards__clips=32)
    made.run("dvc", "repro", PIPELINE_WORKERS="1")
    from_scratch = hashes(made)
    grown = made.copy(tmp_path / "grown")
    for clips in (60, 200, 120):
        grown.set(subsample__clips=clips)
        grown.run("dvc", "repro", PIPELINE_WORKERS="4")
    assert hashes(grown) == from_scratch
    assert not list((grown.root / "data").glob(".*")), "nothing is left beside the outputs"


def test_a_new_machine_pulls_and_has_nothing_to_do(made: Project, tmp_path: Path) -> None:
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


def test_the_metrics_are_where_dvc_looks(made: Project) -> None:
    assert "largest_deviation_clips" in made.run("dvc", "metrics", "show")


def test_the_rejected_clips_are_the_planted_ones_and_the_sample_is_exact(made: Project) -> None:
    made.set(subsample__clips=206)
    made.run("dvc", "repro")
    rejected = pd.read_csv(made.root / "data/rejected.csv")
    assert sorted(rejected["reason"]) == [
        *("checksum", "empty", "lost_sync", "missing", "not_mp3", "too_short", "truncated")
    ]
    sample = pd.read_parquet(made.root / "data/sample.parquet")
    ranking = pd.read_parquet(made.root / "data/ranking.parquet")
    assert len(sample) == len(open_waveforms(made.root / "data/waveforms")) == 206
    assert sorted([*sample["rank"], *rejected["rank"]]) == list(range(len(ranking)))
    assert (
        sample.groupby("stratum")["weight"]
        .sum()
        .equals(ranking["stratum"].value_counts().sort_index().rename("weight"))
    )


def test_some_faults_are_among_the_first_ranks(made_once: Project) -> None:
    assert len(pd.read_csv(made_once.root / "data/rejected.csv")) >= 3
    assert len(open_waveforms(made_once.root / "data/waveforms")) == 120
