"""What a snapshot's description may say, and what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.core.errors import ParameterError
from pipeline.snapshot.description import Description, KaggleSource, describe
from tests.support.project import ROOT

FOLDER = ROOT / "configs/snapshots"


def described(folder: Path, **source: Any) -> Description:
    about = {"title": "t", "license": "CC0-1.0", "citation": "c", "format": "kaggle-v1"}
    YAML().dump({**about, "source": source}, folder / "mine.yaml")
    return describe("mine", folder)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_description_that_ships_is_valid(path: Path) -> None:
    assert describe(path.stem, FOLDER).license


def test_kaggles_version_is_pinned() -> None:
    source = describe("kaggle-common-voice", FOLDER).source
    assert source == KaggleSource(kind="kaggle", dataset="mozillaorg/common-voice", version=2)
    assert source.identity() == {"kind": "kaggle", "dataset": "mozillaorg/common-voice", "version": 2}


def test_an_unknown_snapshot_names_those_there_are() -> None:
    with pytest.raises(ParameterError, match=r"there are: demo.*kaggle-common-voice"):
        describe("nothing", FOLDER)


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "kaggle", "dataset": "no-owner", "version": 2},
        {"kind": "kaggle", "dataset": "owner/name/2", "version": 2},
        {"kind": "kaggle", "dataset": "owner/name"},
        {"kind": "kaggle", "dataset": "owner/name", "version": 0},
        {"kind": "archive", "path": ""},
        {"kind": "archive", "path": "a.zip", "sha256": "short"},
        {"kind": "ftp", "path": "a.zip"},
    ],
)
def test_what_cannot_be_is_refused(source: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="source"):
        described(tmp_path, **source)


@pytest.mark.parametrize("place", ["/somewhere/on/disk/a.zip", "https://example.org/x/a.zip?download=1"])
def test_an_identity_does_not_say_where_it_lies(place: str, tmp_path: Path) -> None:
    source = described(tmp_path, kind="archive", path=place).source
    assert source.identity() == {"kind": "archive", "file": "a.zip"}


@pytest.mark.parametrize("place", ["https://me:hidden@host/a.zip", "https://host/a.zip?X-Amz-Signature=hidden"])
def test_a_url_with_a_secret_is_refused_without_showing_it(place: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        described(tmp_path, kind="archive", path=place)
    assert "hidden" not in str(caught.value)
