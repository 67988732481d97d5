"""Each description of the catalogue goes the whole way on a miniature of its data set."""

from __future__ import annotations

import re
import shlex

import pytest
from ruamel.yaml import YAML

from pipeline import open_waveforms
from pipeline.core import schema
from pipeline.snapshot.description import describe
from tests.support.miniatures import MINIATURES, Miniature
from tests.support.project import ROOT, STAGES, Project

NAMES = sorted(path.stem for path in (ROOT / schema.SNAPSHOTS).glob("*.yaml"))
CATALOGUE = [name for name in NAMES if name not in ("demo", "kaggle-common-voice")]


def settings_of(name: str) -> dict[str, object]:
    """Return what the command in the header of a description sets in params.yaml."""
    header = "".join(re.findall(r"^# ?(.*\n)", (ROOT / schema.SNAPSHOTS / f"{name}.yaml").read_text(), re.MULTILINE))
    [command] = re.findall("^dvc exp run (.*)$", header.replace("\\\n", ""), re.MULTILINE)
    pairs = [each.split("=", 1) for each in shlex.split(command) if each != "-S"]
    return {key: YAML(typ="safe").load(value) for key, value in pairs}


def drawn_from(project: Project, miniature: Miniature) -> Project:
    """Have a project draw from a miniature as the header of its description says."""
    miniature.write(project.root / "miniature.zip")
    project.edit(f"configs/snapshots/{miniature.name}.yaml", source={"kind": "archive", "path": "miniature.zip"})
    settings = {key.replace(".", "__"): value for key, value in settings_of(miniature.name).items()}
    project.set(subsample__clips=30, subsample__max_rejected=0.1, **settings)
    return project


@pytest.mark.parametrize("name", NAMES)
def test_description_is_valid(name: str) -> None:
    about = describe(name, ROOT / schema.SNAPSHOTS, ROOT / "configs/formats")
    assert about.declared


def test_catalogue_has_a_miniature_for_each_description() -> None:
    assert sorted(MINIATURES) == CATALOGUE


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("ravdess", "asvspoof-2019-la") else pytest.mark.more)
        for name in CATALOGUE
    ],
)
def test_description_leads_from_its_miniature_to_a_report(
    name: str, fresh: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    miniature = MINIATURES[name]
    drawn_from(fresh, miniature)
    assert fresh.main("download") == 0
    first, *remarks = capsys.readouterr().out.splitlines()
    assert f", {miniature.clips} clips, " in first
    assert tuple(line.strip() for line in remarks) == miniature.remarks
    for stage in STAGES[1:]:
        assert fresh.main(stage) == 0, capsys.readouterr()
    clips = open_waveforms(fresh.root / schema.WAVEFORMS)
    assert len(clips) == 30
