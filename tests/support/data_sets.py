"""Data sets of four layouts: Kaggle's of Common Voice (the demo), a later release, a labelled one, one of pieces."""

from __future__ import annotations

import csv
import importlib.util
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support import segments
from tests.support.labelled import DESCRIPTION, FAULTS, labelled_files
from tests.support.miniatures import MINIATURES, Miniature
from tests.support.project import DEMO, Project
from tests.support.tarballs import demo_files, pack


@cache
def demo_script() -> ModuleType:
    """Import the script that makes the demo, which lies outside the package, from its path."""
    spec = importlib.util.spec_from_file_location("demo_make", DEMO.parent / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class DataSet:
    """A data set."""

    files: Callable[[], dict[str, bytes]]  # by path
    description: Mapping[str, Any]  # but for the source
    stratify: Mapping[str, Any]  # parameters that fit it
    good: int  # how many of its eligible clips are good
    faults: Mapping[str, str]  # the eligible clips that are not, with the reason
    settings: Mapping[str, Any] = field(default_factory=dict)  # other parameters, {"subsample__clips": 30}


def release_files() -> dict[str, bytes]:
    """Return the demo's clips in the layout of a later release: tabs, one folder, speakers of two sentences each."""
    demo = demo_files()
    lines = ["client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale"]
    files: dict[str, bytes] = {}
    sentences: dict[str, int] = {}
    for table in ("valid-train", "valid-dev", "valid-test"):
        for row in csv.DictReader(io.StringIO(demo[f"cv-{table}.csv"].decode())):
            name = _released(row["filename"])
            member = f"cv-{table}/{row['filename']}"
            if member in demo:
                files[f"cv-corpus-17.0/en/clips/{name}.mp3"] = demo[member]
            speaker = sentences.setdefault(row["text"], len(sentences)) // 2
            cells = [f"speaker-{speaker}", f"{name}.mp3", f'{row["text"]} "', row["up_votes"], row["down_votes"]]
            lines.append("\t".join([*cells, row["age"], row["gender"], row["accent"], "en"]))
    return {"cv-corpus-17.0/en/validated.tsv": "\n".join([*lines, ""]).encode(), **files}


def _released(clip: str) -> str:
    return f"common_voice_{clip.removeprefix('cv-').removesuffix('.mp3').replace('/', '_')}"


_RELEASED_FAULTS = {
    f"validated/{_released(clip_id)}": "not_audio" if fault == "checksum" else fault
    for clip_id, fault in demo_script().FAULTS.items()
}
_ABOUT = {"title": "t", "license": "CC0-1.0", "citation": "c"}


def of_miniature(miniature: Miniature) -> DataSet:
    """Return a miniature as a data set, with the parameters that the header of its description sets."""
    settings = {key.replace(".", "__"): value for key, value in miniature.settings.items() if key != "snapshot"}
    settings["subsample__clips"] = 30
    return DataSet(miniature.files, miniature.about, {}, miniature.good, miniature.rejected, settings)


DATA_SETS = {
    **{name: of_miniature(miniature) for name, miniature in MINIATURES.items()},
    "demo": DataSet(demo_files, {**_ABOUT, "format": "kaggle-v1"}, {}, 206, demo_script().FAULTS),
    "release": DataSet(
        release_files,
        {**_ABOUT, "format": "mozilla-tsv"},
        {"tables": ["validated"]},
        206,
        _RELEASED_FAULTS,
        {"subsample__clips": 30},
    ),
    "labelled": DataSet(
        labelled_files, DESCRIPTION, {"tables": ["sounds"], "strata": ["kind"], "require": []}, 153, FAULTS
    ),
    "segments": DataSet(
        segments.segment_files,
        segments.DESCRIPTION,
        {"tables": ["songs"], "strata": ["bird"], "require": []},
        segments.GOOD,
        segments.FAULTS,
    ),
}


def _every_data_set(*cheap: str) -> pytest.MarkDecorator:
    marks = {name: () if name in cheap else pytest.mark.more for name in DATA_SETS}
    names = [pytest.param(name, marks=marks[name]) for name in DATA_SETS]
    return pytest.mark.parametrize("staged_once", names, indirect=True)


# A test with one of these runs on each of them; `staged_once` and `staged` are then projects of it.
every_data_set = _every_data_set("demo", "labelled")
every_layout = _every_data_set("demo", "labelled", "release")  # in `make test`, too


def use(project: Project, name: str, place: str = "snapshot.zip", files: Mapping[str, bytes] | None = None) -> None:
    """Have a project draw from a data set, which is written to `place`: a .zip, a .tar, a .tar.gz or a folder."""
    data_set = DATA_SETS[name]
    path = project.root / place
    pack(data_set.files() if files is None else files, path)
    source = {"kind": "directory" if path.is_dir() else "archive", "path": place}
    YAML().dump({**data_set.description, "source": source}, project.root / f"configs/snapshots/{name}.yaml")
    project.set(
        snapshot=name,
        subsample__max_rejected=0.5,
        **{f"stratify__{key}": value for key, value in data_set.stratify.items()},
        **data_set.settings,
    )
