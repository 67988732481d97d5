"""From a Kaggle data set to a sample: the real kaggle client and our own reader, against a fake Kaggle on loopback."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import certifi
import pyarrow.parquet as pq
import pytest

from pipeline.core import schema
from pipeline.core.errors import TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.origin import KaggleSource, OnKaggle
from pipeline.snapshot.remote import kaggle
from pipeline.snapshot.remote.client import Client
from pipeline.snapshot.remote.ranges import open_remote
from pipeline.snapshot.remote.retries import RetryPolicy
from tests.support.fake_kaggle import API, SECRET, STORAGE, FakeKaggle, Fault, FileContent
from tests.support.kaggle_work import ALL, CLIPS, OPENED, STAGES, TOKEN, Work, no_secrets, without_settings
from tests.support.project import ROOT, Project, environment
from tests.support.tarballs import contents


def member_bytes(archive: Path, names: Callable[[str], bool]) -> int:
    return sum(info.compress_size for info in zipfile.ZipFile(archive).infolist() if names(info.filename))


# What travels


def test_sample_travels_in_one_call_and_hardly_more_than_its_clips(
    work: Work, local: dict[str, bytes], archive: Path
) -> None:
    assert work.run("download", "stratify") == 0
    asked = {"ownerSlug": "mozillaorg", "datasetSlug": "common-voice", "datasetVersionNumber": 2}
    assert len(work.fake.api_calls) == 1
    assert work.fake.api_calls[0].items() >= asked.items()
    assert "Authorization" not in work.fake.api_headers[0]
    assert len(work.fake.requests) == OPENED
    opened_bytes = work.fake.sent_bytes
    work.fake.reset()
    assert work.run("subsample") == 0
    assert len(work.fake.api_calls) == 1
    assert work.fake.requests[0] == "bytes=-1"
    assert work.fake.methods == ["GET"] * (1 + CLIPS)
    assert work.outputs() == local
    chosen = {row["clip_id"] for row in pq.read_table(schema.SAMPLE).to_pylist()}
    clips = member_bytes(
        archive, lambda name: name.split("/", 1)[-1].removeprefix("cv-").removesuffix(".mp3") in chosen
    )
    tables = member_bytes(archive, lambda name: name.endswith(".csv"))
    directory = archive.stat().st_size - zipfile.ZipFile(archive).start_dir
    assert clips < work.fake.sent_bytes
    assert opened_bytes + work.fake.sent_bytes <= 1.05 * (directory + tables + clips)


@pytest.mark.more
def test_sample_that_grows_fetches_only_what_is_new(work: Work, local: dict[str, bytes], opened: Path) -> None:
    shutil.copytree(opened, "data")
    work.set(subsample__clips=25)
    assert work.run("subsample") == 0
    work.fake.reset()
    work.set(subsample__clips=CLIPS)
    assert work.run("subsample") == 0
    assert len(work.fake.requests) == 1 + CLIPS - 25
    assert work.outputs() == local
    work.fake.reset()
    work.set(subsample__clips=10)
    assert work.run("subsample") == 0
    assert (work.fake.requests, work.fake.api_calls) == ([], [])


@pytest.mark.parametrize("missing", ["nothing", pytest.param("ranges", marks=pytest.mark.more)])
def test_whole_archive_gives_the_same_bytes(
    work: Work, local: dict[str, bytes], opened: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.fake.ranges = missing != "ranges"
    monkeypatch.setenv("PIPELINE_TRANSFER", "whole")
    assert work.run() == 0
    assert contents(schema.SNAPSHOT) == contents(opened / schema.SNAPSHOT.name)
    assert work.outputs() == local
    assert {path.suffix for path in schema.ARCHIVE.iterdir()} <= {".zip", ".json", ".lock"}
    work.fake.reset()
    work.set(subsample__clips=60)
    assert work.run("subsample") == 0
    assert work.fake.requests == []


def run_apart(**variables: str) -> tuple[int, str]:
    """Run all stages in a process of their own; return how many lines it wrote to stdout, and what to stderr."""
    code = f"from pipeline.__main__ import main; exit(any(main([stage]) for stage in {STAGES}))"
    variables = environment(
        PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]), PIPELINE_READ_TIMEOUT_SECONDS="30", **variables
    )
    done = subprocess.run([sys.executable, "-c", code], env=variables, text=True, capture_output=True, check=False)
    return sum(not line.startswith(" ") for line in done.stdout.splitlines()), done.stderr


@pytest.mark.more
def test_production_names_are_served_over_tls(
    work: Work, local: dict[str, bytes], home: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeKaggle(work.fake.content, certificate=certificate)
    without_settings(monkeypatch)
    with fake.serving():
        variables = {**fake.environment(home), "VERBOSE": "1"}  # the client would print all
        assert run_apart(**variables) == (len(STAGES), "")
        assert work.outputs() == local
        assert set(fake.hosts) == {f"{API}:443", f"{STORAGE}:443"}
        untrusted = run_apart(**{**variables, "REQUESTS_CA_BUNDLE": certifi.where(), "PIPELINE_RETRIES": "0"})
        assert "certificate is not accepted" in untrusted[1]


# What goes wrong

PASSING = {
    "reset": Fault("reset"),
    "short": Fault("short"),
    "flip": Fault("flip"),
    "stall": Fault("stall"),
    "429": Fault("status", 429),
    "429 for 7 seconds": Fault("status", 429, {"Retry-After": "7"}),
    "500": Fault("status", 500),
    "503": Fault("status", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "expired": Fault("expired"),
    "html": Fault("html"),
    "ignore_range": Fault("ignore_range"),
    "no_length": Fault("no_length"),
    "etag": Fault("etag"),
    "zeros": Fault("zeros"),
}


@pytest.mark.more
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fault", PASSING)
def test_passing_fault_at_any_request_changes_nothing(
    work: Work, local: dict[str, bytes], opened: Path, fault: str, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """But for a changed body of the very first one, the index, which nothing guards without TLS."""
    where = random.Random(f"{fault} {seed}").randrange(fault in ("flip", "zeros"), ALL)
    stages: tuple[str, ...] = STAGES
    if where >= OPENED:  # what comes before is the same in every test
        shutil.copytree(opened, "data")
        where, stages = where - OPENED, STAGES[2:]
    work.fake.faults[where] = PASSING[fault]
    assert work.run(*stages, arguments=("--verbose",)) == 0
    assert len(work.fake.requests) > where
    assert "Traceback" not in no_secrets(work, capfd)
    assert work.outputs() == local
    assert not schema.ARCHIVE.exists()  # nothing travelled whole


LASTING = {
    "reset": "the connection",
    "stall": "no answer in time",
    "html": "got a web page",
    "denied": "storage denies access",
    "zeros": "no local header",
}


@pytest.mark.more
@pytest.mark.parametrize("fault", LASTING)
def test_lasting_fault_is_explained_and_the_next_run_goes_on(
    work: Work, local: dict[str, bytes], opened: Path, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(opened, "data")
    work.fake.always = Fault("status", 403) if fault == "denied" else Fault(fault)
    assert work.run("subsample", arguments=("--verbose",)) == 1
    assert LASTING[fault] in no_secrets(work, capfd)
    assert len(work.fake.api_calls) <= 2
    assert not schema.REJECTED.exists()
    work.fake.reset()
    assert work.run("subsample") == 0
    assert work.outputs() == local


def test_pauses_are_as_long_as_the_server_asks(work: Work, opened: Path, pauses: list[float]) -> None:
    shutil.copytree(opened, "data")
    work.fake.faults = {0: Fault("status", 503, {"Retry-After": "7"})}
    assert work.run("subsample") == 0
    assert pauses == [7]


def test_signed_url_that_expired_is_resolved_once_for_all_threads(work: Work, opened: Path) -> None:
    shutil.copytree(opened, "data")
    work.fake.faults[20] = Fault("expired")
    assert work.run("subsample") == 0
    assert len(work.fake.api_calls) == 2
    assert 1 + CLIPS < len(work.fake.requests) <= 1 + CLIPS + 16


# What Kaggle answers


DATA_SET = KaggleSource(kind="kaggle", dataset="mozillaorg/common-voice", version=2)


def resolved(retries: int = 0, source: OnKaggle = DATA_SET) -> str:
    runtime = Runtime(connect_timeout_seconds=2, read_timeout_seconds=0.5)
    return kaggle.resolve(source, runtime, RetryPolicy(retries, lambda _: None))


def refusal(source: OnKaggle = DATA_SET) -> str:
    with pytest.raises(TransferError) as caught:
        resolved(source=source)
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (400, "doctor"),
        (401, "wants credentials"),
        (403, "no anonymous access, or there is no such data set"),
        (404, "no such data set"),
        (429, "too many requests"),
        (500, "it may be down"),
    ],
)
def test_kaggle_refusal_says_what_to_do(work: Work, status: int, remedy: str) -> None:
    work.fake.api_faults[-1] = Fault("status", status)
    assert remedy in refusal()
    work.fake.reset()
    assert SECRET in resolved()


HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Fault("status", 200, HTML, raw=b"<html>Please log in"), "a web page in place of the archive's address"),
        (Fault("status", 200, JSON, raw=b'{"url": ""}'), "answers 200 without"),
        (Fault("status", 302), "answers 302 without"),
    ],
)
def test_kaggle_answer_without_a_redirect_is_named(work: Work, answer: Fault, message: str) -> None:
    work.fake.api_faults[-1] = answer
    assert re.search(message, refusal())
    assert work.fake.requests == []


def test_kaggle_redirect_is_not_followed(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    for status in (302, 307):
        work.fake.api_faults[len(work.fake.api_calls)] = Fault(
            "status", status, {"Location": "https://other.test/a.zip"}
        )
        assert resolved() == "https://other.test/a.zip"
    assert len(work.fake.api_calls) == 2


def test_kaggle_that_is_silent_is_asked_again(work: Work) -> None:
    work.fake.api_faults[0] = Fault("stall")
    assert SECRET in resolved(retries=1)
    assert len(work.fake.api_calls) == 2


# Credentials


def test_credentials_are_used_with_kaggle_and_not_with_storage(
    work: Work, home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    (home / "netrc").write_text(f"default login me password {TOKEN}\n")
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", TOKEN)
    work.fake.api_faults[0] = Fault("status", 401)
    assert work.run("download") == 1
    assert "environment variables KAGGLE_USERNAME and KAGGLE_KEY" in no_secrets(work, capfd)
    assert work.run("download") == 0
    assert work.fake.api_headers[1]["Authorization"].startswith("Basic ")
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    assert work.run("download") == 0
    assert work.fake.api_headers[2]["Authorization"] == f"Bearer {TOKEN}"
    assert set(work.fake.authorizations) == {None}
    no_secrets(work, capfd)


def test_netrc_is_for_archives_at_a_plain_url(work: Work, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    (home / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    work.use({"kind": "archive", "path": work.fake.url})
    assert work.run("download") == 0
    assert set(work.fake.authorizations) == {"Basic bWU6bWluZQ=="}


@pytest.mark.parametrize("place", ["environment", pytest.param("file", marks=pytest.mark.more)])
@pytest.mark.parametrize("length", [37, 300])
def test_token_is_in_no_message(
    work: Work,
    place: str,
    length: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    token = TOKEN.ljust(length, "x")
    if place == "file":
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home/.kaggle").mkdir(parents=True)
        (tmp_path / "home/.kaggle/access_token").write_text(token)
    else:
        monkeypatch.setenv("KAGGLE_API_TOKEN", token)
    for status in (401, 403, 500):
        work.fake.api_faults[-1] = Fault("status", status)
        assert work.run("download", arguments=("--verbose",)) == 1
        no_secrets(work, capfd)


def test_token_of_a_notebook_is_named_where_it_is_refused(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setenv("KAGGLE_DATA_PROXY_URL", "http://localhost")
    monkeypatch.setenv("KAGGLE_API_V1_TOKEN", str(tmp_path / "token"))
    work.fake.api_faults[-1] = Fault("status", 401)
    assert "this Kaggle notebook (KAGGLE_API_V1_TOKEN). Restart" in refusal()


def test_login_that_is_no_longer_renewed_is_named(work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/.kaggle").mkdir(parents=True)
    (tmp_path / "home/.kaggle/credentials.json").write_text(json.dumps({"refresh_token": TOKEN, "username": "me"}))
    assert "no longer renews the login in ~/.kaggle/credentials.json" in refusal()  # the fake knows no such method
    assert work.fake.api_calls == []


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(TransferError, match="REQUESTS_CA_BUNDLE names no file"):
        kaggle.answer(Runtime(), "https://storage.test")
    asking = Client("a.zip", lambda: "https://storage.test/a.zip", Runtime(), RetryPolicy(0))
    with pytest.raises(TransferError, match="REQUESTS_CA_BUNDLE names no file"):
        open_remote(asking)


@pytest.mark.more
def test_live_check_tells_no_secret(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.snapshot.remote.test_live import facts

    told = "\n".join(facts(monkeypatch))
    assert SECRET not in told
    assert "storage: GET bytes=-1: 206" in told
    assert "data descriptors: 0" in told
    assert told.count("status 0") == len(STAGES)
    assert work.fake.methods[0] == "HEAD"


@pytest.mark.more
def test_dvc_keeps_no_secret_and_runs_nothing_for_another_way_to_travel(work: Work, fresh: Project) -> None:
    fresh.set(snapshot="kaggle-common-voice", stratify__tables=["valid-train"], subsample__clips=CLIPS)
    (fresh.root / "configs/runtime.yaml").write_text("retries: 1\nread_timeout_seconds: 1\n")
    fresh.run("git", "init", "--quiet")
    fresh.run("dvc", "init", "--force", "--quiet")
    work.fake.always = Fault("status", 403)
    failed = fresh.try_run("dvc", "repro", "--verbose", "subsample")
    assert failed.returncode != 0
    work.fake.reset()
    work.fake.faults = {3: Fault("expired"), 20: Fault("reset"), 30: Fault("html")}
    said = fresh.run("dvc", "repro", "--verbose", "subsample")
    for text in (failed.stdout + failed.stderr + said).encode(), *Work(fresh.root, work.fake).left_behind():
        assert SECRET.encode() not in text
    (fresh.root / "configs/runtime.yaml").write_text("transfer: whole\n")
    work.fake.reset()
    assert "Running stage" not in fresh.run("dvc", "repro", "subsample")
    assert work.fake.requests == []


@pytest.mark.more
@pytest.mark.usefixtures("work")
def test_docs_lead_from_no_account_to_a_sample(fresh: Project) -> None:
    lines = (ROOT / "docs/kaggle.md").read_text().split("```sh\n")[1].split("```")[0].splitlines()
    commands = [line.partition("#")[0].split() for line in lines if line.startswith(("dvc", "python"))]
    assert [command[:2] for command in commands] == [["python", "-m"], ["dvc", "exp"], ["python", "-m"], ["dvc", "exp"]]
    assert commands[-1][-1] == "subsample.clips=9000"
    commands[-1][-1] = f"subsample.clips={CLIPS}"  # of the few that the fake has
    fresh.run("git", "init", "--quiet")
    fresh.run("git", "add", "--all")
    fresh.run("git", "commit", "--quiet", "--message=The project")
    said = [fresh.run(*command) for command in commands]
    assert f"{CLIPS} clips" in said[-1]
    assert len(pq.read_table(fresh.root / schema.SAMPLE)) == CLIPS


def test_archive_that_changed_is_an_error_not_a_mixture(
    work: Work, opened: Path, archive: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(opened, "data")
    data = bytearray(archive.read_bytes())
    work.fake.etag = '"two"'
    same, changed = Path("same.zip").absolute(), Path("changed.zip").absolute()
    same.write_bytes(data)
    work.fake.content = FileContent(same)
    assert work.run("subsample") == 0  # the same archive under another ETag: its index says so
    shutil.rmtree(schema.CLIPS)
    data[zipfile.ZipFile(archive).start_dir + 17] ^= 1  # in the CRC-32 of the first member
    changed.write_bytes(data)
    work.fake.content, work.fake.etag = FileContent(changed), '"three"'
    assert work.run("subsample") == 1
    assert "changed since it was opened" in no_secrets(work, capfd)
    assert not schema.CLIPS.exists()


def test_archive_at_a_plain_url_goes_the_same_way_with_a_warning(
    work: Work, local: dict[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    work.use({"kind": "archive", "path": work.fake.url})
    assert work.run() == 0
    assert caplog.text.count("use https") == 1
    assert work.outputs() == local
    assert work.fake.api_calls == []
    assert work.fake.url not in schema.RECEIPT.read_text()
