"""What a snapshot's description may say, and what it may not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.core.columns import Column
from pipeline.core.errors import ParameterError
from pipeline.snapshot.description import Description, describe
from pipeline.snapshot.origin import ArchiveSource, KaggleSource, shown
from tests.support.project import ROOT

FOLDER = ROOT / "configs/snapshots"

SECRET_URL = "http://user:secret@127.0.0.1/x.zip"


ABOUT = {"title": "t", "license": "CC0-1.0", "citation": "c"}


def described(folder: Path, **source: Any) -> Description:
    return laid_out(folder, format="kaggle-v1", source=source)


def laid_out(folder: Path, **keys: Any) -> Description:
    """Return a description with these keys beside those that say what it is."""
    YAML().dump({**ABOUT, "source": {"kind": "directory", "path": "x"}, **keys}, folder / "mine.yaml")
    return describe("mine", folder)


TABLES = {"audio": "{name}.wav", "tables": "t.csv", "clip": "{file}"}


@pytest.mark.parametrize(
    ("keys", "problems"),
    [
        ({}, ["audio: missing"]),
        ({"audio": "x.wav"}, ["audio: 'x.wav' is the path of one file"]),
        ({"audio": ["{a}.wav", "{b"]}, ["audio: '{b': braces should close"]),
        ({"audio": []}, ["audio: should be a path pattern"]),
        ({"audio": "{a}.wav", "tables": "{t}{u}.csv", "clip": "x"}, ["tables: '{t}{u}.csv'", "clip: 'x' is the same"]),
        ({"audio": "{a}.wav", "tables": "t.csv"}, ["clip: missing"]),
        ({"audio": "{a}.wav", "clip": "{a}.wav"}, ["clip: there are no tables"]),
        ({**TABLES, "tables_file": "t.csv"}, ["tables, tables_file: should be one"]),
        ({"audio": "{a}.wav", "id": "{a}-{b}"}, ["id: {b} is no field of audio; there are: a"]),
        ({**TABLES, "dialect": "csw"}, ["dialect: should be a section"]),
        ({**TABLES, "dialect": {"separator": "::", "encoding": 8}}, ["dialect.separator", "dialect.encoding"]),
        ({**TABLES, "dialect": {"encoding": "utf-9"}}, ["dialect: encoding: 'utf-9' is not known"]),
        ({**TABLES, "columns": {"a": {"form": "x"}}}, ["columns.a.form: unknown key (did you mean from?)"]),
        ({**TABLES, "columns": ["a"]}, ["columns: should be a mapping"]),
        ({**TABLES, "columns": {"a": {"map": {1: "x"}}}}, ["columns.a.map: codes should be texts: put 1 in quotes"]),
        ({**TABLES, "columns": {"a": {"map": ["x"]}}}, ["columns.a.map: should be a value for each code"]),
        ({**TABLES, "columns": {"a": {"map": {"1": 2}}}}, ["columns.a: map: 2 is not of the type text"]),
        ({**TABLES, "columns": {"a": {"type": "integer", "values": ["x"]}}}, ["columns.a: values: 'x' is not of the"]),
        (
            {**TABLES, "columns": {"seconds": "s", "a b": "x"}},
            ["columns.seconds: is the name", "columns.a b: should be"],
        ),
        ({**TABLES, "label": "a", "apart": ["b"]}, ["label: a is not declared", "apart: b is not declared"]),
        ({**TABLES, "lookups": {"on": {}}}, ["lookups: should be a list"]),
        ({**TABLES, "lookups": [{"on": {"a": "{b"}}]}, ["lookups.0: should have either tables or tables_file"]),
        ({**TABLES, "lookups": [{"tables": "x", "on": {"a": "b"}}]}, ["lookups.0: 'b' is the same for all rows"]),
        ({**TABLES, "seconds": {"from": "d", "unit": "min"}}, ["seconds.unit: should be 's' or 'ms'"]),
        ({"format": "../x"}, ["format: should be one of kaggle-v1, mozilla-tsv"]),
    ],
)
def test_description_that_cannot_be_used_says_all_that_is_wrong(
    keys: dict[str, Any], problems: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ParameterError) as caught:
        laid_out(tmp_path, **keys)
    assert len(caught.value.problems) + sum("\n" in each for each in caught.value.problems) == len(problems)
    for problem in problems:
        assert problem in str(caught.value)


def test_description_has_the_keys_of_its_format_and_its_own_go_first(tmp_path: Path) -> None:
    described = laid_out(tmp_path, format="kaggle-v1", columns={"a": None}, text=None, label=None, apart=[])
    assert described.clip == "{filename}"
    assert list(described.columns) == ["a"]


def test_description_says_of_its_columns_what_later_stages_need() -> None:
    described = describe("demo", FOLDER)
    assert list(described.declared) == ["text", "age", "gender", "accent", "up_votes", "down_votes"]
    assert described.declaration("text").roles == ("text",)
    assert described.declaration("text").is_apart
    assert described.declaration("gender") == Column("gender", roles=("label",), values=("male", "female", "other"))
    assert described.declaration("up_votes").type == "integer"


@pytest.mark.parametrize(
    ("licence", "said", "may"),
    [
        ("CC0-1.0", None, True),
        ("CC-BY-4.0", None, True),
        ("CC BY-NC-SA 3.0", None, True),
        ("CC-BY-NC-ND-4.0", None, False),
        ("LDC", None, False),
        ("CC0-1.0", False, False),
        ("LDC", True, True),
    ],
)
def test_sample_may_be_published_where_the_licence_or_the_description_says_so(
    licence: str, said: bool | None, may: bool, tmp_path: Path
) -> None:
    described = laid_out(tmp_path, audio="{name}.wav", license=licence, redistribution=said)
    assert described.may_be_redistributed == may


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_description_that_ships_is_valid(path: Path) -> None:
    assert describe(path.stem, FOLDER).license


def test_kaggles_version_is_pinned() -> None:
    source = describe("kaggle-common-voice", FOLDER).source
    assert source == KaggleSource(kind="kaggle", dataset="mozillaorg/common-voice", version=2)
    assert source.identity() == {"kind": "kaggle", "dataset": "mozillaorg/common-voice", "version": 2}


def test_an_unknown_snapshot_names_those_there_are() -> None:
    with pytest.raises(ParameterError, match=r"there are: .*demo.*kaggle-common-voice"):
        describe("nothing", FOLDER)


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "kaggle", "dataset": "no-owner", "version": 2},
        {"kind": "kaggle", "dataset": "owner/name/2", "version": 2},
        {"kind": "kaggle", "dataset": "owner/name"},
        {"kind": "kaggle", "dataset": "owner/name", "version": 0},
        {"kind": "kaggle", "dataset": "owner/name", "version": 1, "file": "../a.zip"},
        {"kind": "kaggle", "dataset": "owner/name", "version": 1, "file": ""},
        {"kind": "kaggle", "dataset": "owner/name", "version": 1, "beside": ["a.csv"]},
        {"kind": "kaggle", "dataset": "owner/name", "version": 1, "file": "a.zip", "beside": ["/a.csv"]},
        {"kind": "kaggle-competition", "competition": "owner/name"},
        {"kind": "kaggle-competition", "competition": "https://www.kaggle.com/competitions/name"},
        {"kind": "kaggle-competition", "competition": "name", "version": 1},
        {"kind": "kaggle-competition"},
        {"kind": "archive", "path": ""},
        {"kind": "archive", "path": "a.zip", "sha256": "short"},
        {"kind": "ftp", "path": "a.zip"},
    ],
)
def test_what_cannot_be_is_refused(source: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="source"):
        described(tmp_path, **source)


def test_an_address_on_kaggle_in_place_of_a_name_says_which_part_it_is(tmp_path: Path) -> None:
    address = "https://www.kaggle.com/datasets/owner/name"
    with pytest.raises(
        ParameterError, match=r"source\.dataset: should be OWNER/NAME, the end of the data set's address"
    ):
        described(tmp_path, kind="kaggle", dataset=address, version=1)
    with pytest.raises(
        ParameterError, match=r"source\.competition: should be NAME, the end of the competition's address"
    ):
        described(tmp_path, kind="kaggle-competition", competition=address)


@pytest.mark.parametrize("kind", ["archive", "directory"])
def test_a_file_of_the_source_is_for_kaggle(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"source\.file: is for Kaggle, .*; unpack the archive"):
        described(tmp_path, kind=kind, path="a.zip", file="b.zip")


def test_what_lies_in_a_competition_is_published_only_where_the_description_says_so(tmp_path: Path) -> None:
    source = {"kind": "kaggle-competition", "competition": "name"}
    for said, may in ((None, False), (False, False), (True, True)):
        of_competition = laid_out(tmp_path, audio="{name}.wav", license="CC0-1.0", redistribution=said, source=source)
        assert of_competition.may_be_redistributed == may


@pytest.mark.parametrize("place", ["/somewhere/on/disk/a.zip", "https://example.org/x/a.zip", "s3://b/a.zip"])
def test_an_identity_does_not_say_where_it_lies(place: str, tmp_path: Path) -> None:
    source = described(tmp_path, kind="archive", path=place).source
    assert source.identity() == {"kind": "archive", "file": "a.zip"}


@pytest.mark.parametrize(
    ("place", "is_tar"),
    [("x/en.tar.gz", True), ("EN.TGZ", True), ("a.tar", True), ("https://host/a.tar.gz", True), ("tar.gz.zip", False)],
)
def test_a_tar_is_known_by_its_name(place: str, is_tar: bool, tmp_path: Path) -> None:
    source = described(tmp_path, kind="archive", path=place).source
    assert isinstance(source, ArchiveSource)
    assert source.is_tar == is_tar


SECRETS = [
    "https://me:hidden@host/a.zip",
    "https://hidden@host/a.zip",
    "ftp://me:hidden@host/a.zip",
    "s3://host/a.zip?hidden",
    "s3://me:hidden@bucket/a.zip",
    "https:me:hidden@host/a.zip?x",
    "https://[hidden/a.zip",
    "https://host/a.zip#access_token=hidden",
    *(
        f"http://host/a.zip?{key}=hidden"
        for key in ("X-Amz-Signature", "X-Amz-Security-Token", "access_token", "api_key", "password", "jwt", "download")
    ),
]


@pytest.mark.parametrize("kind", ["archive", "directory", "unknown"])
@pytest.mark.parametrize("place", SECRETS)
def test_a_url_that_may_hold_a_secret_is_refused_without_showing_it(place: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError) as caught:
        described(tmp_path, kind=kind, path=place)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("path", [["https://me:hidden@host/"], {"at": "https://me:hidden@host/"}, "a\0b"])
def test_what_is_no_path_is_refused(path: Any, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="path") as caught:
        described(tmp_path, kind="archive", path=path)
    assert "hidden" not in str(caught.value)


def test_a_line_that_is_no_yaml_is_not_shown_where_it_holds_a_url(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: t\npath: https://me:hidden@host/a.zip\npath: https://other/\n")
    with pytest.raises(ParameterError, match="the key path stands there twice, line 3") as caught:
        describe("mine", tmp_path)
    assert "hidden" not in str(caught.value)


def test_of_a_url_scheme_host_and_path_are_shown() -> None:
    assert shown("https://me:hidden@host:8080/x/a.zip?hidden#hidden") == "https://host:8080/x/a.zip"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: " + "9" * 5000, "digits"),
        ("a: 2017-99-99", "month must be"),
    ],
    ids=["digits", "a date"],
)
def test_what_no_settings_file_holds_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ParameterError, match=said):
        describe("mine", tmp_path)


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        (
            "kind: archive",
            f"kind: {SECRET_URL}",
            "source: its kind should be one of 'kaggle', 'kaggle-competition'",
        ),
        ("kaggle-v1", SECRET_URL, "format: should be one of kaggle-v1, mozilla-tsv"),
    ],
)
def test_a_url_in_any_other_place_is_not_shown_either(written: str, instead: str, said: str, tmp_path: Path) -> None:
    text = (ROOT / "configs/snapshots/demo.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace(written, instead, 1))
    with pytest.raises(ParameterError, match=re.escape(said)) as raised:
        describe("mine", tmp_path)
    assert "secret" not in str(raised.value)
