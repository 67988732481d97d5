"""What a sample will cost: estimated from the table of clips alone, and right."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.__main__ import main
from pipeline.commands import estimate
from pipeline.commands.rates import Rates, measured_rates
from pipeline.core import schema
from pipeline.core.errors import ParameterError, SampleError, SnapshotError
from pipeline.core.params import load_params
from tests.support.project import Project

DESCRIPTION = "configs/snapshots/demo.yaml"
RATES = Rates(decode=1 / 600, measure=1 / 200)


@pytest.fixture
def project(fresh: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project to work in, of a small sample and known rates."""
    monkeypatch.chdir(fresh.root)
    monkeypatch.setattr(estimate, "measured_rates", lambda _: RATES)
    fresh.set(subsample__clips=60)
    return fresh


def numbers(label: str) -> list[float]:
    """Return the numbers in a line of the report."""
    line = next(line for line in estimate.report().splitlines() if line.startswith(label))
    return [float(number.replace(",", "")) for number in re.findall(r"[0-9][0-9,]*\.?[0-9]*", line)]


def test_estimate_asks_for_the_snapshot_that_params_yaml_names(project: Project) -> None:
    with pytest.raises(SnapshotError, match="dvc repro stratify"):
        estimate.report()
    project.stage("download")
    project.set(snapshot="kaggle-common-voice")
    with pytest.raises(SnapshotError, match=r"data/snapshot is demo, and params\.yaml asks for kaggle-common-voice"):
        estimate.report()


def test_estimate_says_what_the_sample_then_costs(project: Project) -> None:
    project.stage("download")  # the ranking is computed, and not waited for
    clips, hours = numbers("sample")
    fetched, megabytes = numbers("to fetch")
    originals, waveforms = numbers("on disk")[:2]
    assert numbers("there") == [0]
    assert clips == 60
    assert not schema.RANKING.exists()
    project.stage("stratify", "subsample", "waveforms")
    assert fetched == pytest.approx(60, abs=5)  # a few are bad, which no index tells
    disk = sum(path.stat().st_size for path in schema.CLIPS.iterdir()) / 1e6
    assert originals == pytest.approx(disk, rel=0.2)
    assert megabytes == pytest.approx(disk, rel=0.2)
    disk = sum(path.stat().st_size for path in schema.WAVEFORMS.iterdir()) / 1e6
    assert waveforms == pytest.approx(disk, rel=0.4)  # the demo is no real speech
    assert hours == pytest.approx(0.03, abs=0.02)


def test_estimate_counts_only_missing_clips_as_fetched(project: Project) -> None:
    project.stage("download", "stratify", "subsample")
    left = {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")}
    assert numbers("to fetch")[:2] == [0, 0]
    project.set(subsample__clips=90)
    assert 25 <= numbers("to fetch")[0] <= 35
    project.set(subsample__clips=None, subsample__hours=0.01)
    assert numbers("to fetch")[0] == 0
    assert {path: path.stat().st_mtime_ns for path in Path("data").rglob("*")} == left


def test_estimate_names_exhausted_strata_and_impossible_samples(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.stage("download")
    assert main(["estimate"]) == 0
    assert "exhausted  no stratum" in capsys.readouterr().out
    project.set(stratify__allocation="equal", subsample__clips=150)
    assert main(["estimate"]) == 0
    assert re.search(r"exhausted  \d+ strata \(.*gender=", capsys.readouterr().out)
    project.set(stratify__allocation="proportional", subsample__clips=5000)
    assert main(["estimate"]) == 0
    assert "subsample will fail" in capsys.readouterr().out


def test_estimate_says_how_clips_are_fetched(project: Project) -> None:
    project.stage("download")
    assert "from this disk" in estimate.report()
    project.edit(DESCRIPTION, source__path="https://example.org/demo.zip")
    assert "in as many requests" in estimate.report()
    project.edit(DESCRIPTION, source__path="https://example.org/demo.tar.gz")
    assert "from this disk" in estimate.report()  # it is downloaded whole


def test_estimate_counts_formats_that_are_not_decoded_before_any_is_fetched(project: Project) -> None:
    for number in range(40):
        path = project.root / f"data/music/{number:02}.{'m4a' if number % 4 else 'wav'}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(88_200))
    description: dict[str, object] = {"title": "Music", "license": "CC0-1.0", "citation": "none", "audio": "{name}.*"}
    description["source"] = {"kind": "directory", "path": "data/music"}
    YAML().dump(description, project.root / "configs/snapshots/music.yaml")
    project.set(snapshot="music", stratify__tables=[], stratify__strata=[], stratify__require=[])
    project.stage("download")
    assert numbers("rejected") == [30, 4]  # .m4a
    assert numbers("sample")[0] == 10
    assert "subsample will fail" in estimate.report()
    assert not schema.CLIPS.exists()


@pytest.mark.parametrize("staged_once", ["segments"], indirect=True)
def test_estimate_says_that_more_are_rejected_than_may_be_where_durations_are_known(staged: Project) -> None:
    staged.set(subsample__clips=30, subsample__max_rejected=0.4)
    with contextlib.chdir(staged.root):
        assert "will fail" not in estimate.report()
        staged.set(subsample__seconds=[0.7, 1.0])
        said = " ".join(estimate.report().split())
        assert re.search(r"[0-9]+ more are rejected \(missing [0-9]+, too_long [0-9]+,.* subsample will fail", said)
        with pytest.raises(SampleError, match="too_long"):
            staged.stage("subsample")


# Other parameters, and the time


def test_estimate_takes_parameters_as_dvc_exp_run_does(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("params.yaml").read_bytes()
    params = estimate.params_with(
        ["subsample.clips=7", "++stratify.where.gender=[male]", "params.yaml:stratify.seed=3"]
    )
    assert (params.subsample.clips, params.stratify.where, params.stratify.seed) == (7, {"gender": ("male",)}, 3)
    with pytest.raises(ParameterError, match=r"Could not override 'stratify\.where\.gender'.*\n.*use \+stratify"):
        estimate.params_with(["stratify.where.gender=[male]"])
    with pytest.raises(ParameterError, match=r"params\.yaml with --set-param .*\n.*subsample\.clips"):
        estimate.params_with(["subsample.clips=0"])
    assert Path("params.yaml").read_bytes() == before
    project.stage("download")
    project.set(subsample__clips=None, subsample__hours=1)
    assert main(["estimate", "--clips", "20", "-S", "stratify.seed=3"]) == 0
    assert "sample     20 clips" in capsys.readouterr().out


def test_estimate_says_how_long_it_takes(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_WORKERS", "4")
    project.stage("download")
    seconds = 3600 * numbers("sample")[1]
    decode, measure, processes = numbers("time")
    assert (decode, processes) == (1, 1)  # one shard of 512
    assert measure == pytest.approx(seconds * RATES.measure, abs=1)
    project.edit(DESCRIPTION, source__path="https://example.org/demo.zip")
    assert numbers("time")[:2] == [1, 10]  # 1 s at 10 MB/s


@pytest.mark.usefixtures("project")
def test_rates_are_those_of_this_machine() -> None:
    """A machine of today decodes and measures faster than one can listen, and slower than it copies bytes."""
    rates = measured_rates(load_params())
    assert 1e-6 < rates.decode < 1
    assert 1e-6 < rates.measure < 1
