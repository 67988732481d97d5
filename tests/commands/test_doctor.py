"""The doctor finds what is missing, says what to do about it, and shows no secret."""

from __future__ import annotations

import builtins
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.commands import doctor
from pipeline.core.errors import TransferError
from pipeline.core.params import Runtime, load_runtime
from pipeline.snapshot.remote import kaggle
from tests.snapshot.remote.test_ranges import MemoryContent
from tests.support.fake_kaggle import FakeKaggle
from tests.support.project import ROOT, Project

TOKEN = "SECRETTOKEN"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_this_machine_can_do_it() -> None:
    for finding in (doctor.python(), doctor.libraries(), doctor.mp3(), doctor.settings(), doctor.disk(Runtime)):
        assert finding.status == "ok", finding


def findings_are(monkeypatch: pytest.MonkeyPatch, *findings: doctor.Finding) -> None:
    monkeypatch.setattr(doctor, "findings", lambda: iter(findings))


def test_a_failure_is_exit_status_1_and_a_warning_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = doctor.Finding("warning", "disk", "0.1 GB free", "Free some.")
    findings_are(monkeypatch, doctor.Finding("ok", "Python", "3.11"), warning)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == ("ok       Python: 3.11\nwarning  disk: 0.1 GB free\n         Free some.\n")
    findings_are(monkeypatch, doctor.Finding("failure", "MP3", "no"), warning)
    assert main(["doctor"]) == 1


def test_every_thing_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = {finding.about for finding in with_stubs(monkeypatch)}
    things = {"Python", "machine", "libraries", "MP3", "settings", "executor", "disk", "waveforms", "DVC lock"}
    things |= {"DVC remote", "git lock"}
    assert looked == things | {"Kaggle client", "Kaggle credentials", "Kaggle"}


def with_stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[doctor.Finding]:
    monkeypatch.setattr(kaggle, "import_client", lambda _: None)
    monkeypatch.setattr(doctor, "reachable", lambda _: doctor.Finding("ok", "Kaggle", "answers"))
    return doctor.findings()


def test_an_old_python_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert doctor.python().status == "failure"
    assert "3.11" in doctor.python().remedy


def test_the_kind_of_machine_says_whether_the_bytes_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "machine", lambda: "Linux x86_64")
    assert "the same bytes" in doctor.kind_of_machine().found
    monkeypatch.setattr(doctor, "machine", lambda: "Darwin arm64")
    assert "may differ by one step" in doctor.kind_of_machine().found


def test_a_lock_that_a_full_disk_truncated_is_found(project: Path) -> None:
    assert doctor.locks().status == "ok"
    (project / ".dvc/tmp").mkdir(parents=True)
    (project / ".dvc/tmp/rwlock").write_text('{"/data/clips": {"wri')
    assert doctor.locks().status == "failure"
    assert "delete the file" in doctor.locks().remedy


def test_a_lock_that_a_killed_experiment_left_in_git_is_found(project: Path) -> None:
    assert doctor.git_locks().status == "ok"
    lock = project / ".git/objects/b3/5979.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert doctor.git_locks().status == "warning"
    assert doctor.git_locks().found == ".git/objects/b3/5979.lock"


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "soxr":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("importlib.metadata.version", version)
    assert (doctor.libraries().status, doctor.libraries().found) == ("failure", "soxr missing")


def test_a_decoder_that_cannot_be_imported_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "soundfile":
            raise OSError("sndfile library not found")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert doctor.mp3().status == "failure"


def test_wrong_settings_are_a_failure(project: Path) -> None:
    (project / "params.yaml").write_text("snapshot: 1\n")
    assert doctor.settings().status == "failure"
    assert "params.yaml" in doctor.settings().found


def test_an_executor_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.executor(lambda: Runtime(workers=3)) == doctor.Finding(
        "ok", "executor", "3 processes on this machine"
    )
    monkeypatch.setenv("PIPELINE_EXECUTOR", "no_such_module:executor")
    finding = doctor.executor(load_runtime)
    assert finding.status == "failure"
    assert "cannot be imported" in finding.found


def test_a_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))
    assert doctor.disk(Runtime).status == "ok"
    assert "ranges" in doctor.disk(lambda: Runtime(transfer="whole")).remedy
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert doctor.disk(Runtime).status == "warning"


@pytest.mark.more
def test_a_remote_is_found_by_its_name(project: Path) -> None:
    assert doctor.remote().status == "warning"
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text(
        "[core]\n    remote = shelf\n    no_scm = true\n['remote \"shelf\"']\n    url = /x\n"
    )
    assert doctor.remote() == doctor.Finding("ok", "DVC remote", "shelf")


def test_a_client_that_cannot_be_imported_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Runtime) -> None:
        raise TransferError("the client cannot be imported")

    monkeypatch.setattr(kaggle, "import_client", fail)
    assert doctor.client(Runtime).status == "failure"


def test_credentials_are_found_where_the_client_finds_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.credentials().status == "warning"
    found = []
    for path in (
        ".kaggle/credentials.json",
        ".config/kaggle/kaggle.json",
        ".kaggle/kaggle.json",
        ".kaggle/access_token",
    ):
        file = project / "home" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TOKEN)
        found.append(doctor.credentials().found)
        assert found[-1] == f"in ~/{path}"
    (project / "home/.kaggle/access_token").unlink()
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
        found.append(doctor.credentials().found)
    assert found[-2:] == [
        "in environment variables KAGGLE_USERNAME and KAGGLE_KEY",
        "in environment variable KAGGLE_API_TOKEN",
    ]
    assert TOKEN not in "".join(found)


def test_kaggle_is_reachable_if_it_says_anything() -> None:
    with FakeKaggle(MemoryContent()).serving() as fake:
        assert doctor.reachable(Runtime, fake.url) == doctor.Finding("ok", "Kaggle", "answers (200)")
    finding = doctor.reachable(Runtime, fake.url)
    assert finding.status == "warning"
    assert "Connection refused" in finding.found
    assert finding.remedy


@pytest.mark.more
def test_damaged_waveforms_are_a_failure_that_verify_explains(staged: Project) -> None:
    folder = staged.root / "data/waveforms"
    found = doctor.outputs(folder)
    assert (found.status, found.found.partition(";")[0]) == ("ok", "120 clips")
    path = folder / "part-00002.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    found = doctor.outputs(folder)
    assert found.status == "failure"
    assert "part-00002.parquet" in found.found
    assert found.remedy.endswith("python -m pipeline verify")
    assert doctor.outputs(folder / "nothing").status == "ok"
