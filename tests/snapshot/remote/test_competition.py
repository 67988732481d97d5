"""Competitions, single files of Kaggle, and a notebook's folder: the real client and our own reader, on loopback."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.__main__ import main
from pipeline.commands.doctor import Finding, kaggle_needs
from pipeline.core import schema
from pipeline.core.params import Runtime
from pipeline.snapshot.origin import CompetitionSource, KaggleSource
from tests.snapshot.remote.test_kaggle import refusal
from tests.snapshot.test_archive import zipped
from tests.support.fake_kaggle import Bytes, Fault, FileContent
from tests.support.kaggle_work import CLIPS, OPENED, TOKEN, Work, no_secrets
from tests.support.project import ROOT
from tests.support.tarballs import plain, tarred

COMPETITION = {"kind": "kaggle-competition", "competition": "birds-2026"}
DATA_SET = {"kind": "kaggle", "dataset": "somebody/birds", "version": 3}
RULES = "https://www.kaggle.com/competitions/birds-2026/rules"
SEVEN_ZIP = b"7z\xbc\xaf\x27\x1c" + bytes(1000)
TABLE = "cv-valid-train.csv"


@pytest.fixture
def joined(work: Work, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A folder to work in, where the files of a competition are asked for by somebody who has joined it."""
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    work.use(COMPETITION)
    return work


def parts_of(archive: Path) -> tuple[dict[str, bytes], bytes]:
    """Return the clips of an archive, and its table."""
    with zipfile.ZipFile(archive) as whole:
        files = {name: whole.read(name) for name in whole.namelist()}
    return {name: data for name, data in files.items() if name.endswith(".mp3")}, files[TABLE]


def stored_clips() -> list[dict[str, Any]]:
    return [row for path in sorted(schema.CLIPS.glob("part-*")) for row in pq.read_table(path).to_pylist()]


# The archive of all files


def test_competition_gives_the_same_sample_as_its_archive_on_disk(
    joined: Work, local: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    assert joined.run("download", "stratify") == 0
    assert len(joined.fake.requests) == OPENED
    assert joined.run("subsample") == 0
    assert joined.outputs() == local
    assert joined.fake.api_calls == [{"competitionName": "birds-2026"}] * 2
    assert {headers["Authorization"] for headers in joined.fake.api_headers} == {f"Bearer {TOKEN}"}
    assert set(joined.fake.authorizations) == {None}
    receipt = json.loads(schema.RECEIPT.read_text())
    assert receipt["source"] == COMPETITION
    assert {"etag", "md5", "size_bytes", "directory_sha256"} <= receipt["identity"].keys()
    assert main(["estimate"]) == 0
    assert "in as many requests" in no_secrets(joined, capfd)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (SEVEN_ZIP, "is a 7z file by its first bytes. Download it, unpack it, and set kind: directory"),
        (
            tarred(plain({"a.mp3": bytes(10)})),
            "is a tar file by its first bytes. Download it, give it a name",
        ),
        (b"id,label\n", "is no whole zip archive"),
    ],
    ids=["7z", "tar", "a table"],
)
def test_competition_that_is_no_zip_is_named(
    joined: Work, data: bytes, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    joined.fake.content = Bytes(data)
    assert joined.run("download") == 1
    assert f"download: competitions/birds-2026: {message}" in no_secrets(joined, capfd)


# Who may have it


OF_COMPETITION = CompetitionSource(kind="kaggle-competition", competition="birds-2026")


def test_competition_without_credentials_says_what_to_do(work: Work) -> None:
    for status in (401, 403):
        work.fake.api_faults[-1] = Fault("status", status)
        said = refusal(OF_COMPETITION)
        assert said.startswith(f"Kaggle says {status}. A competition wants credentials: make a token at https://")
        assert said.endswith(f"in a browser, with the account of the credentials: {RULES}")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "does not accept the credentials in"),
        (403, "variable KAGGLE_API_TOKEN has not accepted the competition's rules, or there is no such"),
        (404, "There is no such competition. Look"),
    ],
)
def test_competition_refused_says_why(joined: Work, status: int, message: str) -> None:
    joined.fake.api_faults[-1] = Fault("status", status)
    said = refusal(OF_COMPETITION)
    assert message in said
    assert said.endswith(RULES) == (status != 404)


@pytest.mark.parametrize("source", [COMPETITION, DATA_SET], ids=["competition", "data set"])
@pytest.mark.usefixtures("joined")
def test_kaggle_file_that_is_not_there_is_named(source: dict[str, Any]) -> None:
    kind = CompetitionSource if source is COMPETITION else KaggleSource
    assert "or it has no file clips.zip. Look at the description" in refusal(kind(**source, file="clips.zip"))


# An archive that is one of the files


@pytest.mark.parametrize("is_wrapped", [True, False], ids=["wrapped", "bare"])
@pytest.mark.parametrize(
    "source", [COMPETITION, pytest.param(DATA_SET, marks=pytest.mark.more)], ids=["competition", "data set"]
)
def test_kaggle_file_with_a_table_beside_it_gives_the_same_sample(
    joined: Work, source: dict[str, Any], is_wrapped: bool, archive: Path, local: dict[str, bytes]
) -> None:
    clips, table = parts_of(archive)
    joined.fake.files = {
        "clips.zip": Bytes(zipped(clips)),
        TABLE: Bytes(zipped({TABLE: table}) if is_wrapped else table),
    }
    joined.use({**source, "file": "clips.zip", "beside": [TABLE]})
    assert joined.run() == 0
    assert [call["fileName"] for call in joined.fake.api_calls] == ["clips.zip", TABLE, "clips.zip"]
    made = joined.outputs()
    for same in (schema.REJECTED, schema.RANKING, schema.SAMPLE):
        assert made[str(same)] == local[str(same)]
    stored = stored_clips()
    assert len(stored) == CLIPS
    assert all(row["audio"]["bytes"] in clips.values() for row in stored)
    receipt = json.loads(schema.RECEIPT.read_text())
    assert receipt["source"] == {**source, "file": "clips.zip"}
    assert list(receipt["tables"]["valid-train"]["files"]) == [TABLE]


@pytest.mark.more
def test_kaggle_file_that_is_a_tar_is_downloaded_whole(joined: Work, archive: Path, local: dict[str, bytes]) -> None:
    clips, table = parts_of(archive)
    joined.fake.files = {"clips.tar": Bytes(tarred(plain({**clips, TABLE: table})))}
    joined.use({**COMPETITION, "file": "clips.tar"})
    assert joined.run() == 0
    assert joined.outputs()[str(schema.SAMPLE)] == local[str(schema.SAMPLE)]
    assert (schema.ARCHIVE / "competitions-birds-2026-clips.tar").is_file()


@pytest.mark.more
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (zipped({"a.csv": b"a", "b.csv": b"b"}), "expected a table, got a zip of 2 files"),
        (b"", "is empty"),
    ],
    ids=["two tables", "nothing"],
)
def test_kaggle_table_that_is_none_is_named(
    joined: Work, data: bytes, message: str, archive: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    joined.fake.files = {"clips.zip": FileContent(archive), TABLE: Bytes(data)}
    joined.use({**COMPETITION, "file": "clips.zip", "beside": [TABLE]})
    assert joined.run("download") == 1
    assert message in no_secrets(joined, capfd)


@pytest.mark.more
def test_kaggle_table_that_is_damaged_on_its_way_is_fetched_again(joined: Work, archive: Path) -> None:
    clips, table = parts_of(archive)
    joined.fake.files = {"clips.zip": Bytes(zipped(clips)), TABLE: Bytes(table)}
    joined.use({**COMPETITION, "file": "clips.zip", "beside": [TABLE]})
    assert joined.run("download") == 0
    whole, requests = schema.CLIP_TABLE.read_bytes(), len(joined.fake.requests)
    shutil.rmtree("data")
    joined.fake.reset()
    joined.fake.faults[requests - 1] = Fault("flip")
    assert joined.run("download") == 0
    assert schema.CLIP_TABLE.read_bytes() == whole
    assert len(joined.fake.requests) == requests + 1


# In a notebook


@pytest.mark.more
def test_folder_of_a_notebook_gives_the_same_clips_and_stays_as_it_is(
    work: Work, archive: Path, tmp_path: Path, local: dict[str, bytes]
) -> None:
    folder = tmp_path / "input/common-voice"
    with zipfile.ZipFile(archive) as whole:
        whole.extractall(folder)
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = listing(folder)
    blocks = (ROOT / "docs/kaggle.md").read_text(encoding="utf-8").split("```yaml\n")
    [text] = [block.partition("```")[0] for block in blocks if "kind: directory" in block]
    work.use({**YAML(typ="safe").load(text)["source"], "path": str(folder)})
    assert work.run() == 0
    assert listing(folder) == before
    assert work.outputs()[str(schema.RANKING)] == local[str(schema.RANKING)]
    clips, _ = parts_of(archive)
    assert len(stored_clips()) == CLIPS
    assert all(row["audio"]["bytes"] in clips.values() for row in stored_clips())
    assert work.fake.api_calls == []
    for path in paths:  # so that the folder can be removed
        path.chmod(0o755)


def listing(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return what is in a folder, and when it was changed."""
    found = [(path, path.stat()) for path in [folder, *sorted(folder.rglob("*"))]]
    return [(str(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns) for path, status in found]


@pytest.mark.more
def test_doctor_wants_credentials_for_a_competition(joined: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    assert joined.root == Path.cwd()
    assert doctor_says()["Kaggle credentials"].status == "ok"
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    assert doctor_says()["Kaggle credentials"].status == "failure"
    joined.use(DATA_SET)
    assert doctor_says()["Kaggle credentials"].status == "warning"


def doctor_says() -> dict[str, Finding]:
    return {finding.about: finding for finding in kaggle_needs(Runtime, "http://127.0.0.1:9")}
