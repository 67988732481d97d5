"""The doctor finds what is missing, says what to do about it, and shows no secret."""

from __future__ import annotations

import builtins
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.commands import doctor
from pipeline.core.params import Runtime, load_runtime
from pipeline.snapshot.receipt import ArchiveIdentity
from pipeline.snapshot.remote import kaggle
from tests.support.fake_kaggle import Bytes, FakeKaggle
from tests.support.kaggle_work import without_settings
from tests.support.project import ROOT, Project

TOKEN = "SECRETTOKEN"
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: Patch) -> Path:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    without_settings(monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return tmp_path


def dvc() -> dict[str, doctor.Finding]:
    return {finding.about: finding for finding in doctor.dvc_needs()}


def of_kaggle(url: str = "http://127.0.0.1:9") -> dict[str, doctor.Finding]:
    return {finding.about: finding for finding in doctor.kaggle_needs(Runtime, url)}


def test_doctor_prints_each_finding_with_its_remedy_and_fails_on_a_failure(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        doctor.Finding("ok", "git", "here"),
        doctor.Finding("warning", "disk", "0.1 GB free", "Free some."),
    ]
    monkeypatch.setattr(doctor, "findings", lambda: iter(found))
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == ("ok       git: here\nwarning  disk: 0.1 GB free\n         Free some.\n")
    found.append(doctor.Finding("failure", "executor", "no"))
    assert main(["doctor"]) == 1


def test_doctor_looks_at_everything_that_a_run_needs(monkeypatch: Patch) -> None:
    monkeypatch.setattr(kaggle, "import_client", lambda _: None)
    monkeypatch.setattr(kaggle, "answer", lambda *_: 200)
    found = {finding.about: finding.status for finding in doctor.findings()}
    machine = {"machine", "libraries", "settings", "executor", "disk", "waveforms"}
    assert all(found[name] == "ok" for name in machine)
    needs = {"git", "user name", "home", "data", "DVC cache", "DVC lock", "git author", "git lock", "DVC remote"}
    assert set(found) == machine | needs | {"Kaggle client", "Kaggle credentials", "Kaggle"}


# What DVC needs


def test_doctor_finds_a_folder_that_is_no_clone(project: Path) -> None:
    assert dvc()["git"].status == "failure"
    (project / ".dvc").mkdir()
    (project / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert dvc()["git"].status == "ok"
    (project / ".dvc/config.local").unlink()
    (project / ".git").mkdir()
    assert dvc()["git"].status == "ok"


def test_doctor_finds_that_there_is_no_user_name_and_no_home(monkeypatch: Patch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert (dvc()["user name"].status, dvc()["home"].status) == ("failure", "failure")
    assert of_kaggle()["Kaggle credentials"].status == "warning"


def test_doctor_finds_data_that_is_a_link_and_links_into_a_cache_that_is_gone(project: Path) -> None:
    (project / "elsewhere/waveforms").mkdir(parents=True)
    (project / "elsewhere/waveforms/part-00000.parquet").symlink_to(project / ".dvc/cache/files/md5/00/1")
    (project / "data").symlink_to("elsewhere")
    assert (dvc()["data"].status, dvc()["DVC cache"].status) == ("failure", "failure")
    assert "data/waveforms/part-00000.parquet" in dvc()["DVC cache"].found
    command = dvc()["DVC cache"].remedy.splitlines()[-1].removesuffix(" && dvc repro")
    subprocess.run(command, shell=True, check=False, capture_output=True)
    assert dvc()["DVC cache"].status == "ok"


def test_doctor_finds_that_git_knows_no_author(monkeypatch: Patch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "me@example.org")
    monkeypatch.delenv("GIT_COMMITTER_NAME", raising=False)
    assert (doctor.git_author().status, doctor.git_author().found) == ("warning", "no user.name")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "me")
    assert doctor.git_author().status == "ok"


def test_doctor_finds_a_list_that_a_full_disk_truncated_and_a_lock_that_a_killed_experiment_left(project: Path) -> None:
    assert (dvc()["DVC lock"].status, doctor.git_locks().status) == ("ok", "ok")
    (project / ".dvc/tmp").mkdir(parents=True)
    (project / ".dvc/tmp/rwlock").write_text('{"/data/clips": {"wri')
    assert dvc()["DVC lock"].status == "failure"
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
    ran = [line.partition(".venv/bin/")[2] for line in done.stdout.splitlines()]
    assert ran == ["dvc repro", "python -m pipeline doctor --dvc"]


@pytest.mark.more
def test_doctor_finds_a_remote_by_its_name(project: Path) -> None:
    assert doctor.remote().status == "warning"
    (project / ".dvc").mkdir()
    config = "[core]\n    remote = shelf\n    no_scm = true\n['remote \"shelf\"']\n    url = /x\n"
    (project / ".dvc/config").write_text(config)
    assert doctor.remote() == doctor.Finding("ok", "DVC remote", "shelf")


# This machine


def test_doctor_finds_what_is_missing_or_wrong(monkeypatch: Patch) -> None:
    real = builtins.__import__

    def without_soundfile(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "soundfile":
            raise OSError("sndfile library not found")
        return real(name, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", without_soundfile)
        no_decoder = doctor.executor(lambda: Runtime(workers=1))
    monkeypatch.setenv("PIPELINE_EXECUTOR", "no_such_module:executor")
    no_executor = doctor.executor(load_runtime)
    Path("params.yaml").write_text("snapshot: 1\n")
    found = {"sndfile library not found": no_decoder, "be imported": no_executor, "params.yaml": doctor.settings()}
    for what, finding in found.items():
        assert (finding.status, what in finding.found) == ("failure", True), finding


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.more)])
def test_doctor_decodes_a_clip_in_a_worker(workers: int, monkeypatch: Patch) -> None:
    finding = doctor.executor(lambda: Runtime(workers=workers))
    assert finding.status == "ok"
    assert finding.found == f"{workers} processes on this machine; one of them decoded a clip"
    monkeypatch.setattr(doctor, "decode_tone", dies)
    if workers > 1:
        assert doctor.executor(lambda: Runtime(workers=workers)).status == "failure"


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_doctor_finds_a_full_disk(monkeypatch: Patch) -> None:
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


def test_doctor_finds_credentials_where_the_client_does_and_shows_none(project: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(kaggle, "answer", lambda *_: 200)
    assert of_kaggle()["Kaggle credentials"].status == "warning"
    places = (".kaggle/credentials.json", ".config/kaggle/kaggle.json", ".kaggle/kaggle.json", ".kaggle/access_token")
    expected = [f"in ~/{path}" for path in places]
    found = []
    for path in places:
        file = project / "home" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TOKEN)
        found.append(of_kaggle()["Kaggle credentials"].found)
    (project / "home/.kaggle/access_token").unlink()
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
        found.append(of_kaggle()["Kaggle credentials"].found)
    expected += ["in ~/.kaggle/kaggle.json", "in environment variables KAGGLE_USERNAME and KAGGLE_KEY"]
    assert found == [*expected, "in environment variable KAGGLE_API_TOKEN"]


def test_doctor_reaches_kaggle_if_it_answers_at_all() -> None:
    with FakeKaggle(Bytes(b"data")).serving() as fake:
        assert of_kaggle(fake.url)["Kaggle"] == doctor.Finding("ok", "Kaggle", "answers (200)")
    finding = of_kaggle(fake.url)["Kaggle"]
    assert finding.status == "warning"
    assert "Connection refused" in finding.found
    assert finding.remedy
