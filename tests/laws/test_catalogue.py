"""Each description of the catalogue, tried on a miniature of its data set; the laws on them are in test_data_sets."""

from __future__ import annotations

import importlib
import re
import shlex

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.core import columns, schema
from pipeline.snapshot.receipt import read_receipt, remarks
from tests.support.miniatures import MINIATURES
from tests.support.project import ROOT, Project

NAMES = {path.stem for path in (ROOT / schema.SNAPSHOTS).glob("*.yaml")} - {"demo", "kaggle-common-voice"}
CHEAP = ("ravdess", "asvspoof-2019-la")

every_miniature = pytest.mark.parametrize(
    ("name", "staged_once"),
    [pytest.param(name, name, marks=() if name in CHEAP else pytest.mark.more) for name in MINIATURES],
    indirect=["staged_once"],
)


def test_catalogue_has_a_miniature_for_each_description() -> None:
    assert set(MINIATURES) == NAMES


@every_miniature
def test_description_finds_what_its_miniature_has(name: str, staged_once: Project) -> None:
    miniature = MINIATURES[name]
    receipt = read_receipt(staged_once.root / schema.RECEIPT)
    assert tuple(remarks(receipt)) == miniature.remarks
    clips = pq.read_table(staged_once.root / schema.CLIP_TABLE)
    assert len(clips) - clips["path"].null_count == miniature.clips
    assert columns.with_role(clips.schema, "label") == miniature.label
    assert columns.with_role(clips.schema, "text") == miniature.text
    assert columns.apart(clips.schema) == tuple(filter(None, [miniature.group]))
    for column in filter(None, (miniature.label, miniature.group, miniature.text)):
        assert clips[column].null_count == 0


def test_catalogue_page_has_a_row_and_the_command_of_each_description() -> None:
    page = (ROOT / "docs/datasets.md").read_text(encoding="utf-8").replace("\\\n  ", "")
    for name, miniature in MINIATURES.items():
        source = miniature.about["source"]
        [row] = re.findall(rf"^\| \[.*/(.*)\), `{name}` \| .+ \| [0-9,]+ \| (.*) \| (.*)\| (.*)\|$", page, re.MULTILINE)
        slug, *facts = (cell.strip(" `") for cell in row)
        assert f"/{slug}" == f"/{source.get('dataset', source.get('competition'))}"[-len(slug) - 1 :]
        group = miniature.group or ("the recording" if "segment" in miniature.about else "")
        assert facts == [miniature.about["license"], miniature.label or "", group]
        assert f"\n{miniature.command}\n" in page


@pytest.mark.more
@pytest.mark.parametrize("name", MINIATURES)
def test_command_of_a_description_sets_what_dvc_reads_in_it(name: str, fresh: Project) -> None:
    hydra = importlib.import_module("dvc.utils.hydra")
    words = shlex.split(MINIATURES[name].command)
    hydra.apply_overrides(str(fresh.root / schema.PARAMS), [word for word in words if "=" in word])
    params = YAML(typ="safe").load(fresh.root / schema.PARAMS)
    for key, value in MINIATURES[name].settings.items():
        section, _, last = key.rpartition(".")
        assert (params[section] if section else params)[last] == value
