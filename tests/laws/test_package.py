"""What the files at the top of the tree promise."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from pipeline.core import schema
from tests.support.project import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK = (ROOT / "requirements.lock").read_text()


def test_the_version_stands_in_one_place_and_its_copy() -> None:
    assert PYPROJECT["project"]["version"] == schema.VERSION
    assert f"## {schema.VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_lock_pins_every_requirement_with_hashes_and_names_no_host() -> None:
    pinned = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", LOCK, flags=re.MULTILINE))
    wanted = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    names = {re.split(r"[<>=!~\[ ]", requirement)[0].lower().replace(".", "-") for requirement in wanted}
    assert names <= pinned
    for entry in re.split(r"\n(?=[a-z0-9])", LOCK):
        if "==" in entry.split("\n")[0]:
            assert "--hash=sha256:" in entry, entry.split("\n")[0]
    assert not re.search(r"://|--index|--find-links", LOCK)


def test_an_old_python_gets_one_clear_line(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.10 || exit 1\n')
    old.chmod(0o755)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = subprocess.run(["make", "repro", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    line = "This needs Python 3.11 or newer; .* is Python 3.8.10. Try: make PYTHON=python3.12 repro"
    assert re.fullmatch(line, done.stderr.splitlines()[0])
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("key", ["analytics", "check_update"])
def test_dvc_calls_nobody(key: str) -> None:
    assert f"{key} = false" in (ROOT / ".dvc/config").read_text()


def test_no_path_of_one_machine_is_in_the_tree() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path.suffix not in {".zip", ".png"}:
            assert str(ROOT.parent) + "/" not in path.read_text(encoding="utf-8"), name
