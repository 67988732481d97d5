"""Every command and every line of Python in the README does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT, Project, environment

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(made: Project) -> Project:
    """Return the project with the environment of this test run where make would put one."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, made.root / name)
    os.utime(made.root / "requirements.lock", (0, 0))
    (made.root / ".venv").mkdir()
    (made.root / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (made.root / ".venv/ready").touch()
    return made


def test_the_commands_run_one_after_the_other(clone: Project, tmp_path: Path) -> None:
    commands = "\n".join(blocks("bash"))
    for written, meant in {
        "make test": "make --dry-run test",  # it is what runs this
        "https://example.org/our/sample.git": str(clone.root),
        "git clone": "cd ..; git clone",
        "/mnt/share": str(tmp_path / "share"),
    }.items():
        assert written in commands
        commands = commands.replace(written, meant)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=clone.root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Data and pipelines are up to date." in done.stdout.rsplit("fetched", 1)[-1]


def test_the_python_runs(made_once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made_once.root)
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})


def test_what_the_stages_print_is_what_it_says(made: Project) -> None:
    said = [line for line in blocks("text")[0].splitlines() if line]
    for folder in ("waveforms", "features"):
        shutil.rmtree(made.root / "data" / folder)
    output = made.run("dvc", "repro", "--force")
    for line in said:
        assert line in output


def test_every_file_that_it_links_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
