"""The doctor finds what is missing, says what to do about it, and shows no secret."""

from __future__ import annotations

import builtins
import os
import pwd
import shutil
import signal
import subprocess
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
from pipeline.snapshot.receipt import ArchiveIdentity
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


def findings_are(monkeypatch: pytest.MonkeyPatch, *findings: doctor.Finding) -> None:
    monkeypatch.setattr(doctor, "findings", lambda: iter(findings))


def statuses(findings: Iterator[doctor.Finding]) -> dict[str, str]:
    return {finding.about: finding.status for finding in findings}


def test_doctor_prints_each_finding_with_its_remedy_and_fails_on_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warning = doctor.Finding("warning", "disk", "0.1 GB free", "Free some.")
    findings_are(monkeypatch, doctor.Finding("ok", "Python", "3.11"), warning)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == ("ok       Python: 3.11\nwarning  disk: 0.1 GB free\n         Free some.\n")
    findings_are(monkeypatch, doctor.Finding("failure", "executor", "no"), warning)
    assert main(["doctor"]) == 1


def test_doctor_looks_at_everything_that_a_run_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaggle, "import_client", lambda _: None)
    monkeypatch.setattr(kaggle, "answer", lambda *_: 200)
    found = statuses(doctor.findings())
    machine = {"machine", "libraries", "settings", "executor", "disk", "waveforms"}
    assert all(found[name] == "ok" for name in machine)
    dvc = {"git", "user name", "home", "data", "DVC cache", "DVC lock", "git author", "git lock", "DVC remote"}
    assert set(found) == machine | dvc | {"Kaggle client", "Kaggle credentials", "Kaggle"}


# What DVC needs


def test_doctor_finds_a_folder_that_is_no_clone(project: Path) -> None:
    assert statuses(doctor.dvc_needs())["git"] == "failure"
    (project / ".dvc").mkdir()
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert statuses(doctor.dvc_needs())["git"] == "ok"
    (project / ".dvc/config.local").unlink()
    (project / ".git").mkdir()
    assert statuses(doctor.dvc_needs())["git"] == "ok"


def test_doctor_finds_that_there_is_no_user_name_and_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    found = statuses(doctor.dvc_needs())
    assert (found["user name"], found["home"]) == ("failure", "failure")
    assert kaggle_findings()["Kaggle credentials"].status == "warning"


def test_doctor_finds_data_that_is_a_link_and_links_into_a_cache_that_is_gone(project: Path) -> None:
    (project / "elsewhere/waveforms").mkdir(parents=True)
    (project / "elsewhere/waveforms/part-00000.parquet").symlink_to(project / ".dvc/cache/files/md5/00/1")
    (project / "data").symlink_to("elsewhere")
    found = {finding.about: finding for finding in doctor.dvc_needs()}
    assert (found["data"].status, found["DVC cache"].status) == ("failure", "failure")
    assert "data/waveforms/part-00000.parquet" in found["DVC cache"].found
    command = found["DVC cache"].remedy.splitlines()[-1].removesuffix(" && dvc repro")
    subprocess.run(command, shell=True, check=False, capture_output=True)
    assert statuses(doctor.dvc_needs())["DVC cache"] == "ok"


def test_doctor_finds_that_git_knows_no_author(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "me@example.org")
    monkeypatch.delenv("GIT_COMMITTER_NAME", raising=False)
    assert (doctor.git_author().status, doctor.git_author().found) == ("warning", "no user.name")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "me")
    assert doctor.git_author().status == "ok"
    assert project.is_dir()


def test_doctor_finds_a_list_that_a_full_disk_truncated_and_a_lock_that_a_killed_experiment_left(project: Path) -> None:
    assert (statuses(doctor.dvc_needs())["DVC lock"], doctor.git_locks().status) == ("ok", "ok")
    (project / ".dvc/tmp").mkdir(parents=True)
    (project / ".dvc/tmp/rwlock").write_text('{"/data/clips": {"wri')
    assert statuses(doctor.dvc_needs())["DVC lock"] == "failure"
    lock = project / ".git/objects/b3/5979.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    assert (doctor.git_locks().status, doctor.git_locks().found) == ("warning", ".git/objects/b3/5979.lock")


def test_doctor_names_after_a_failed_make_repro_only_what_dvc_lacks(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--dvc"]) == 1
    assert capsys.readouterr().out.startswith("failure  git: ")
    (project / ".git").mkdir()
    assert main(["doctor", "--dvc"]) == 0
    assert capsys.readouterr().out == ""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, project / name)
    (project / ".venv/bin").mkdir(parents=True)
    for name, status in (("dvc", 255), ("python", 0)):
        (project / ".venv/bin" / name).write_text(f'#!/bin/sh\necho "$0 $*"\nexit {status}\n')
        (project / ".venv/bin" / name).chmod(0o755)
    (project / ".venv/ready").touch()
    done = subprocess.run(["make", "--silent", "repro"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    said = [line.partition(".venv/bin/")[2] for line in done.stdout.splitlines()]
    assert said == ["dvc repro", "python -m pipeline doctor --dvc"]


@pytest.mark.more
def test_doctor_finds_a_remote_by_its_name(project: Path) -> None:
    assert doctor.remote().status == "warning"
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text(
        "[core]\n    remote = shelf\n    no_scm = true\n['remote \"shelf\"']\n    url = /x\n"
    )
    assert doctor.remote() == doctor.Finding("ok", "DVC remote", "shelf")


# This machine


def test_doctor_tells_another_kind_of_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "machine", lambda: "Linux x86_64")
    assert "the same bytes" in doctor.kind_of_machine().found
    monkeypatch.setattr(doctor, "machine", lambda: "Darwin arm64")
    assert "may differ by one step" in doctor.kind_of_machine().found


def test_doctor_names_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "soxr":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("importlib.metadata.version", version)
    assert (doctor.libraries().status, doctor.libraries().found) == ("failure", "soxr missing")


def test_doctor_finds_a_decoder_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "soundfile":
            raise OSError("sndfile library not found")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert doctor.executor(lambda: Runtime(workers=1)).status == "failure"


def test_doctor_finds_wrong_settings(project: Path) -> None:
    (project / "params.yaml").write_text("snapshot: 1\n")
    assert doctor.settings().status == "failure"
    assert "params.yaml" in doctor.settings().found


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.more)])
def test_doctor_decodes_a_clip_in_a_worker(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = doctor.executor(lambda: Runtime(workers=workers))
    assert finding.status == "ok"
    assert finding.found == f"{workers} processes on this machine; one of them decoded a clip"
    monkeypatch.setattr(doctor, "decode_tone", dies)
    if workers > 1:
        assert doctor.executor(lambda: Runtime(workers=workers)).status == "failure"


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_doctor_finds_an_executor_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_EXECUTOR", "no_such_module:executor")
    finding = doctor.executor(load_runtime)
    assert finding.status == "failure"
    assert "cannot be imported" in finding.found


def test_doctor_finds_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))
    whole = Runtime(transfer="whole")
    assert doctor.disk(lambda: whole).status == "ok"  # how large the archive is, nobody knows yet
    identity = ArchiveIdentity(4_000_000_000, 3_900_000_000, "0" * 64)
    monkeypatch.setattr(doctor, "read_receipt", lambda: SimpleNamespace(identity=identity))
    assert doctor.disk(Runtime).status == "ok"
    assert "4.0 GB" in doctor.disk(lambda: whole).remedy
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1_000_000))
    assert doctor.disk(Runtime).status == "warning"


@pytest.mark.more
def test_doctor_finds_damaged_waveforms_that_verify_explains(staged: Project) -> None:
    folder = staged.root / "data/waveforms"
    found = doctor.outputs(folder)
    assert (found.status, found.found.partition(";")[0]) == ("ok", "120 clips")
    path = folder / "part-00002.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    found = doctor.outputs(folder)
    assert (found.status, "part-00002.parquet" in found.found) == ("failure", True)
    assert found.remedy.endswith("python -m pipeline verify")
    assert doctor.outputs(folder / "nothing").status == "ok"


# Kaggle


def kaggle_findings(url: str = "http://127.0.0.1:9") -> dict[str, doctor.Finding]:
    return {finding.about: finding for finding in doctor.kaggle_needs(Runtime, url)}


def test_doctor_finds_a_client_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Runtime) -> None:
        raise TransferError("the client cannot be imported")

    monkeypatch.setattr(kaggle, "import_client", fail)
    assert kaggle_findings()["Kaggle client"].status == "failure"


def test_doctor_finds_credentials_where_the_client_does_and_shows_none(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kaggle, "answer", lambda *_: 200)
    found = [kaggle_findings()["Kaggle credentials"]]
    assert found[0].status == "warning"
    for path in (
        ".kaggle/credentials.json",
        ".config/kaggle/kaggle.json",
        ".kaggle/kaggle.json",
        ".kaggle/access_token",
    ):
        file = project / "home" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TOKEN)
        found.append(kaggle_findings()["Kaggle credentials"])
        assert (found[-1].status, found[-1].found) == ("ok", f"in ~/{path}")
    (project / "home/.kaggle/access_token").unlink()
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
        found.append(kaggle_findings()["Kaggle credentials"])
    assert found[-2].found == "in environment variables KAGGLE_USERNAME and KAGGLE_KEY"
    assert found[-1].found == "in environment variable KAGGLE_API_TOKEN"
    assert TOKEN not in "".join(map(str, found))


def test_doctor_reaches_kaggle_if_it_answers_at_all() -> None:
    with FakeKaggle(MemoryContent()).serving() as fake:
        assert kaggle_findings(fake.url)["Kaggle"] == doctor.Finding("ok", "Kaggle", "answers (200)")
    finding = kaggle_findings(fake.url)["Kaggle"]
    assert finding.status == "warning"
    assert "Connection refused" in finding.found
    assert finding.remedy
