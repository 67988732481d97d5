"""From a Kaggle data set to a sample: the real kaggle client and our own reader, against a fake Kaggle on loopback."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from pipeline.__main__ import main
from pipeline.core import schema
from pipeline.core.params import Runtime
from pipeline.snapshot.receipt import ArchiveIdentity, read_receipt
from pipeline.snapshot.remote import kaggle
from pipeline.snapshot.remote.retries import pause_seconds
from tests.support.fake_kaggle import SECRET, FakeKaggle, Fault, FileContent
from tests.support.project import ROOT, Project, environment

TABLES = 7
CLIPS = 40
OPENED = 1 + TABLES  # requests of `download`: the end of the archive holds its index
ALL = OPENED + 1 + CLIPS  # `subsample` asks once whether it is still the same archive
TOKEN = "SECRETTOKEN"
QUICK = {"retries": 3, "connect_timeout_seconds": 2, "read_timeout_seconds": 0.5}
STAGES = ("download", "stratify", "subsample")


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's good clips in an archive with all seven tables, half of its members deflated."""
    path = tmp_path_factory.mktemp("archive") / "archive.zip"
    demo = zipfile.ZipFile(ROOT / "data/demo/common-voice-demo.zip")
    rows = demo.read("cv-valid-train.csv").decode().splitlines()
    good = [row for row in rows[1:] if row.split(",")[4] and row.split(",")[5] and _is_good(demo, row.split(",")[0])]
    with demo, zipfile.ZipFile(path, "w") as made:
        for number, row in enumerate(good):
            name = row.split(",")[0]
            how = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            made.writestr(f"cv-valid-train/{name}", demo.read(f"cv-valid-train/{name}"), how)
        for table in ("valid-dev", "valid-test", "other-train", "other-dev", "other-test", "invalid"):
            made.writestr(f"cv-{table}.csv", rows[0] + "\n", zipfile.ZIP_DEFLATED)
        made.writestr("cv-valid-train.csv", "\n".join([rows[0], *good]) + "\n", zipfile.ZIP_DEFLATED)
    return path


def _is_good(demo: zipfile.ZipFile, name: str) -> bool:
    try:
        return len(demo.read(f"cv-valid-train/{name}")) > 3000
    except (KeyError, zipfile.BadZipFile):
        return False


@dataclass
class Work:
    """A folder to work in, with what the stages read."""

    root: Path
    fake: FakeKaggle

    def set(self, **values: Any) -> None:
        """Set keys of params.yaml, such as ``subsample__clips=60``."""
        params = YAML(typ="safe").load(self.root / "params.yaml")
        for name, value in values.items():
            *sections, key = name.split("__")
            section = params
            for part in sections:
                section = section[part]
            section[key] = value
        YAML().dump(params, self.root / "params.yaml")

    def run(self, *stages: str, arguments: tuple[str, ...] = ()) -> int:
        """Run stages until one fails; return its exit status."""
        return next((status for stage in stages or STAGES if (status := main([stage, *arguments]))), 0)

    def outputs(self) -> dict[str, bytes]:
        """Return what the stages made of the clips, which no receipt is part of."""
        paths = [schema.REJECTED, schema.SAMPLE, schema.RANKING, *sorted(schema.CLIPS.glob("*"))]
        return {str(path): path.read_bytes() for path in paths if path.exists()}

    def left_behind(self) -> Iterator[bytes]:
        """Yield all files that a run left."""
        yield from (path.read_bytes() for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no retry wait; return how long each would have waited."""
    asked: list[float] = []

    def immediately(failures: int, retry_after: float | None) -> float:
        asked.append(pause_seconds(failures, retry_after))
        return 0.0

    monkeypatch.setattr("pipeline.snapshot.remote.retries.pause_seconds", immediately)
    return asked


def prepare(root: Path, monkeypatch: pytest.MonkeyPatch, source: dict[str, Any] | None = None) -> None:
    """Make a folder to work in, where Kaggle's snapshot is asked for, or another `source`."""
    shutil.copytree(ROOT / "configs", root / "configs")
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["snapshot"] = "kaggle-common-voice"
    params["stratify"] |= {"tables": ["valid-train"]}
    params["subsample"] |= {"clips": CLIPS}
    params["shards"] = {"clips": 16}
    YAML().dump(params, root / "params.yaml")
    YAML().dump(QUICK, root / "configs/runtime.yaml")
    if source is not None:
        path = root / "configs/snapshots/kaggle-common-voice.yaml"
        YAML().dump({**YAML(typ="safe").load(path), "source": source}, path)
    monkeypatch.chdir(root)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without credentials; the client looks at these variables when it is imported, so it is imported here."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        without_settings(patch)
        for name, value in FakeKaggle(FileContent(home)).environment(home).items():
            patch.setenv(name, value)
        kaggle.import_client(Runtime())
    yield home
    for name in list(sys.modules):
        if name.split(".")[0] in ("kaggle", "kagglesdk"):
            del sys.modules[name]


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("KAGGLE_", "PIPELINE_", "DVC_")) or name.lower() in ("no_proxy", "http_proxy", "verbose"):
            monkeypatch.delenv(name)


@pytest.fixture
def work(
    tmp_path: Path, archive: Path, home: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Work]:
    """A folder to work in, beside a fake Kaggle."""
    assert pauses == []
    without_settings(monkeypatch)
    root = tmp_path / "work"
    prepare(root, monkeypatch)
    fake = FakeKaggle(FileContent(archive))
    with fake.serving():
        for name, value in fake.environment(home).items():
            monkeypatch.setenv(name, value)
        yield Work(root, fake)


@pytest.fixture(scope="session")
def local(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outputs from the same zip on local disk."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("local") / "work"
        prepare(root, patch, {"kind": "archive", "path": str(archive)})
        work = Work(root, FakeKaggle(FileContent(archive)))
        assert work.run() == 0
        return work.outputs()


@pytest.fixture(scope="session")
def opened(archive: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `download` and `stratify` make of the healthy fake's archive, to start from."""
    with pytest.MonkeyPatch.context() as patch:
        without_settings(patch)
        root = tmp_path_factory.mktemp("opened") / "work"
        prepare(root, patch)
        with FakeKaggle(FileContent(archive)).serving() as fake:
            for name, value in fake.environment(home).items():
                patch.setenv(name, value)
            assert Work(root, fake).run("download", "stratify") == 0
        return root / "data"


def snapshot_files(data: Path) -> dict[str, bytes]:
    """Return what `download` made."""
    folder = data / schema.SNAPSHOT.name
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def member_bytes(names: Callable[[str], bool]) -> int:
    rows = pq.read_table(schema.MEMBERS_FILE).to_pylist()
    return sum(row["compressed_bytes"] for row in rows if names(row["name"]))


# What travels


@pytest.mark.more
def test_the_outputs_are_those_of_the_same_zip_on_disk(work: Work, local: dict[str, bytes]) -> None:
    assert work.run() == 0
    assert work.outputs() == local


def test_one_call_and_hardly_more_than_the_chosen_members(work: Work) -> None:
    assert work.run("download", "stratify") == 0
    assert len(work.fake.api_calls) == 1
    assert len(work.fake.requests) == OPENED
    opened_bytes = work.fake.sent_bytes
    work.fake.reset()
    assert work.run("subsample") == 0
    assert len(work.fake.api_calls) == 1
    assert work.fake.requests[0] == "bytes=-1"
    assert work.fake.methods == ["GET"] * (1 + CLIPS)
    chosen = {row["clip_id"] for row in pq.read_table(schema.SAMPLE).to_pylist()}
    clips = member_bytes(lambda name: name.split("/", 1)[-1].removeprefix("cv-").removesuffix(".mp3") in chosen)
    tables = member_bytes(lambda name: name.endswith(".csv"))
    identity = read_receipt().identity
    assert isinstance(identity, ArchiveIdentity)
    directory = identity.size_bytes - identity.directory_offset
    assert clips < work.fake.sent_bytes
    assert opened_bytes + work.fake.sent_bytes <= 1.05 * (directory + tables + clips)


def test_what_is_asked_of_kaggle(work: Work) -> None:
    assert work.run("download") == 0
    asked = {"ownerSlug": "mozillaorg", "datasetSlug": "common-voice", "datasetVersionNumber": 2}
    assert work.fake.api_calls[0].items() >= asked.items()
    assert "Authorization" not in work.fake.api_headers[0]


@pytest.mark.more
def test_growing_fetches_only_what_is_new(work: Work, local: dict[str, bytes]) -> None:
    work.set(subsample__clips=25)
    assert work.run() == 0
    work.fake.reset()
    work.set(subsample__clips=CLIPS)
    assert work.run("subsample") == 0
    assert len(work.fake.requests) == 1 + CLIPS - 25
    assert work.outputs() == local


@pytest.mark.more
def test_what_is_there_is_not_asked_for(work: Work) -> None:
    assert work.run() == 0
    work.fake.reset()
    work.set(subsample__clips=10)
    assert work.run("subsample") == 0
    assert (work.fake.requests, work.fake.api_calls) == ([], [])


# How it travels changes nothing


@pytest.mark.parametrize("missing", ["nothing", pytest.param("ranges", marks=pytest.mark.more)])
def test_whole_gives_the_same_bytes(
    work: Work, local: dict[str, bytes], opened: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.fake.ranges = missing != "ranges"
    monkeypatch.setenv("PIPELINE_TRANSFER", "whole")
    assert work.run() == 0
    assert snapshot_files(Path("data")) == snapshot_files(opened)
    assert work.outputs() == local
    assert {path.suffix for path in schema.ARCHIVE.iterdir()} <= {".zip", ".json", ".lock"}
    work.fake.reset()
    work.set(subsample__clips=60)
    assert work.run("subsample") == 0
    assert work.fake.requests == []


# What goes wrong

PASSING = {
    "reset": Fault("reset"),
    "short": Fault("short"),
    "flip": Fault("flip"),
    "stall": Fault("stall"),
    "429": Fault("status", 429),
    "429 for 7 seconds": Fault("status", 429, {"Retry-After": "7"}),
    "500": Fault("status", 500),
    "502": Fault("status", 502),
    "503": Fault("status", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "expired": Fault("expired"),
    "html": Fault("html"),
    "ignore_range": Fault("ignore_range"),
    "no_length": Fault("no_length"),
    "etag": Fault("etag"),
}


def no_secrets(work: Work, capfd: pytest.CaptureFixture[str]) -> str:
    """Fail where a secret stands in anything that a run left or said; return what it said."""
    out, err = capfd.readouterr()
    for text in (out.encode(), err.encode(), *work.left_behind()):
        assert SECRET.encode() not in text
        assert TOKEN.encode() not in text
    return out + err


def run_through_a_fault(
    work: Work, local: dict[str, bytes], opened: Path, where: int, fault: Fault, capfd: pytest.CaptureFixture[str]
) -> str:
    """Run all stages while something is wrong, then once in peace unless it ended well; return what the first said.

    What comes before the fault is the same in every test: where that is all of `download`, it is there already.
    """
    stages: tuple[str, ...] = STAGES
    if where >= OPENED:
        shutil.copytree(opened, "data")
        where, stages = where - OPENED, STAGES[2:]
    work.fake.faults[where] = fault
    status = work.run(*stages, arguments=("--verbose",))
    assert len(work.fake.requests) > where
    said = no_secrets(work, capfd)
    assert status in (0, 1)
    assert ("Traceback" in said) == bool(status)  # which --verbose asks for
    if status:
        work.fake.reset()
        assert work.run() == 0
    assert work.outputs() == local
    assert not schema.ARCHIVE.exists()  # nothing travelled whole
    return said if status else ""


@pytest.mark.more
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fault", PASSING)
def test_a_fault_at_any_request_ends_well_or_clearly(
    work: Work, local: dict[str, bytes], opened: Path, fault: str, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    where = random.Random(f"{fault} {seed}").randrange(ALL)
    assert not run_through_a_fault(work, local, opened, where, PASSING[fault], capfd)


@pytest.mark.more
@pytest.mark.parametrize("seed", range(5))
def test_a_refused_connection_at_any_request_ends_well_or_clearly(
    work: Work, local: dict[str, bytes], seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    where = random.Random(f"refused {seed}").randrange(ALL - 17)  # so that more than 16 are still to come

    def go() -> None:
        os.environ["http_proxy"] = "http://127.0.0.1:9"  # discard: nothing listens there
        work.fake.expire()  # so that Kaggle is asked again, which nobody answers

    work.fake.faults[where] = Fault("hook", hook=go)
    healthy = os.environ["http_proxy"]
    try:
        assert work.run(arguments=("--verbose",)) == 1
    finally:
        os.environ["http_proxy"] = healthy
    assert "proxy could not be reached" in no_secrets(work, capfd)
    work.fake.reset()
    assert work.run() == 0
    assert work.outputs() == local


@pytest.mark.more
def test_a_body_of_zeros_is_no_evidence_against_a_clip(
    work: Work, local: dict[str, bytes], opened: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(opened, "data")
    work.fake.always = Fault("zeros")
    assert work.run("subsample") == 1
    said = no_secrets(work, capfd)
    assert "no local header" in said
    assert "subsample.exclude" in said
    assert not schema.REJECTED.exists()
    work.fake.reset()
    work.fake.faults = {number: Fault("zeros") for number in range(1, ALL, 7)}
    assert work.run("subsample") == 0
    assert work.outputs() == local


def test_pauses_grow_and_are_as_long_as_the_server_asks(work: Work, opened: Path, pauses: list[float]) -> None:
    shutil.copytree(opened, "data")
    work.fake.faults = {0: Fault("status", 503, {"Retry-After": "7"})}
    os.environ["PIPELINE_CONNECTIONS"] = "1"
    try:
        assert work.run("subsample") == 0
        assert pauses == [7]
        pauses.clear()
        shutil.rmtree(schema.CLIPS)
        work.fake.always = Fault("status", 503)
        assert work.run("subsample") == 1
    finally:
        del os.environ["PIPELINE_CONNECTIONS"]
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1 <= pauses[2] <= 2


LASTING = {
    "reset": "the connection",
    "stall": "no answer in time",
    "html": "got a web page",
    "expired": "storage denies access",
}


@pytest.mark.more
@pytest.mark.parametrize("fault", LASTING)
def test_a_fault_that_lasts_is_explained_and_the_next_run_goes_on(
    work: Work, local: dict[str, bytes], opened: Path, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(opened, "data")
    work.fake.always = Fault(fault) if fault != "expired" else Fault("status", 403)
    assert work.run("subsample", arguments=("--verbose",)) == 1
    assert LASTING[fault] in no_secrets(work, capfd)
    assert len(work.fake.api_calls) <= 2
    work.fake.reset()
    assert work.run("subsample") == 0
    assert work.outputs() == local


def test_an_expired_url_is_resolved_once_for_all_threads(work: Work, opened: Path) -> None:
    shutil.copytree(opened, "data")
    work.fake.faults[20] = Fault("expired")
    assert work.run("subsample") == 0
    assert len(work.fake.api_calls) == 2
    assert 1 + CLIPS < len(work.fake.requests) <= 1 + CLIPS + 16


def test_what_cannot_be_reached_says_so(work: Work, capfd: pytest.CaptureFixture[str]) -> None:
    os.environ["http_proxy"] = "http://127.0.0.1:9"  # discard: nothing listens there
    assert work.run("download") == 1
    assert "proxy could not be reached" in no_secrets(work, capfd)
    prepare_http(work, "http://127.0.0.1:9/archive.zip")
    os.environ["no_proxy"] = "127.0.0.1"
    try:
        assert work.run("download") == 1
    finally:
        del os.environ["no_proxy"]
    assert "Connection refused" in no_secrets(work, capfd)


API = {
    401: "wants credentials",
    403: "no anonymous access",
    404: "no such data set",
    429: "too many requests",
    500: "it may be down",
}


@pytest.mark.more
@pytest.mark.parametrize("status", API)
def test_what_kaggle_refuses_says_what_to_do(
    work: Work, local: dict[str, bytes], status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    work.fake.api_faults[-1] = Fault("status", status)
    assert work.run("download", arguments=("--verbose",)) == 1
    assert API[status] in no_secrets(work, capfd)
    assert len(work.fake.api_calls) == (1 if status < 429 else 1 + QUICK["retries"])
    work.fake.reset()
    assert work.run() == 0
    assert work.outputs() == local


def test_credentials_are_used_and_never_shown(
    work: Work, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_KEY", TOKEN)
    work.fake.api_faults[0] = Fault("status", 401)
    assert work.run("download") == 1
    assert "environment variables KAGGLE_USERNAME and KAGGLE_KEY" in no_secrets(work, capfd)
    assert work.run("download") == 0
    assert work.fake.api_headers[1]["Authorization"].startswith("Basic ")
    no_secrets(work, capfd)


def test_a_token_is_used_with_kaggle_and_not_with_storage(
    work: Work, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
    assert work.run("download") == 0
    assert work.fake.api_headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert set(work.fake.authorizations) == {None}
    no_secrets(work, capfd)


@pytest.mark.more
def test_a_silent_kaggle_is_asked_again(work: Work, pauses: list[float]) -> None:
    work.fake.api_faults[0] = Fault("stall")
    assert work.run("download") == 0
    assert len(work.fake.api_calls) == 2
    assert len(pauses) == 1


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
def test_the_lines_of_the_docs_lead_from_no_account_to_a_sample(fresh: Project) -> None:
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


@pytest.mark.more
def test_the_client_may_be_chatty_and_stdout_stays_ours(work: Work, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "download"],
        env=environment(
            VERBOSE="1", PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]), **work.fake.environment(tmp_path)
        ),
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert work.fake.sent_bytes < 200_000


@pytest.mark.more
def test_the_stages_import_no_network_for_what_is_on_disk() -> None:
    code = (
        "import sys, pipeline, pipeline.snapshot.stage, pipeline.clips.stage; "
        "sys.exit(any(name in sys.modules for name in ('kaggle', 'requests', 'urllib3')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_changed_archive_is_an_error_not_a_mixture(
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
    identity = read_receipt().identity
    assert isinstance(identity, ArchiveIdentity)
    at = identity.directory_offset + 17
    data[at] ^= 1  # in the CRC-32 of the first member
    changed.write_bytes(data)
    work.fake.content, work.fake.etag = FileContent(changed), '"three"'
    assert work.run("subsample") == 1
    assert "changed since it was opened" in no_secrets(work, capfd)
    assert not schema.CLIPS.exists()


def test_without_an_etag_the_index_is_read_again(work: Work) -> None:
    work.fake.etag, work.fake.md5 = None, False
    assert work.run() == 0
    assert len(work.fake.requests) == ALL + 1


def prepare_http(work: Work, url: str, **more: str) -> None:
    path = work.root / "configs/snapshots/kaggle-common-voice.yaml"
    source = {"kind": "archive", "path": url, **more}
    YAML().dump({**YAML(typ="safe").load(path), "source": source}, path)


def test_an_archive_at_a_url_goes_the_same_way(work: Work, local: dict[str, bytes]) -> None:
    prepare_http(work, work.fake.url)
    assert work.run() == 0
    assert work.outputs() == local
    assert work.fake.api_calls == []
    assert work.fake.url not in schema.RECEIPT.read_text()


@pytest.mark.parametrize("url", [f"http://me:{TOKEN}@host/a.zip", f"https://host/a.zip?X-Goog-Signature={TOKEN}"])
def test_a_url_with_a_secret_is_refused_and_not_shown(work: Work, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    prepare_http(work, url)
    assert work.run("download") == 2
    out, err = capfd.readouterr()
    assert TOKEN not in out + err


# Killed, or out of room


@pytest.mark.more
@pytest.mark.parametrize(("transfer", "seed"), [("ranges", 0), ("ranges", 1), ("ranges", 2), ("whole", 0)])
def test_a_run_killed_at_any_request_is_gone_on_with(
    work: Work, local: dict[str, bytes], tmp_path: Path, transfer: str, seed: int
) -> None:
    where = random.Random(f"killed {seed}").randrange(ALL) if transfer == "ranges" else 0
    variables = environment(
        PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]),
        PIPELINE_TRANSFER=transfer,
        **work.fake.environment(tmp_path),
    )
    code = "from pipeline.__main__ import main; [main([stage]) for stage in ('download', 'stratify', 'subsample')]"
    running: list[subprocess.Popen[bytes]] = []
    work.fake.faults[where] = Fault("hook", hook=lambda: running[0].send_signal(signal.SIGKILL))
    running.append(subprocess.Popen([sys.executable, "-c", code], env=variables, stdout=subprocess.DEVNULL))
    assert running[0].wait(60) == -signal.SIGKILL
    work.fake.reset()
    assert work.run() == 0
    assert work.outputs() == local


@pytest.mark.more
def test_a_full_disk_is_explained(work: Work, local: dict[str, bytes], opened: Path, tmp_path: Path) -> None:
    shutil.copytree(opened, "data")
    variables = environment(PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]), **work.fake.environment(tmp_path))
    limited = f"ulimit -f 20; exec {sys.executable} -m pipeline subsample"  # no file grows beyond 20 blocks
    done = subprocess.run(["sh", "-c", limited], env=variables, text=True, capture_output=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert work.run("subsample") == 0
    assert work.outputs() == local
