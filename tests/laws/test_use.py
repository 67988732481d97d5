"""docs/use.md: every block runs as it stands, where its library is installed."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.support.project import ROOT, Project

TEXT = (ROOT / "docs/use.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|bash)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]
BY_HAND = "# by hand\n"
NOT_OURS = ("kaggle ",)  # tests/commands/test_publish.py runs it


def libraries(block: str) -> list[str]:
    return re.findall(r"^(?:import|from) (\w+)", block, re.MULTILINE)


@pytest.fixture(scope="module")
def home(made_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which all commands of the page were run."""
    project = made_once.copy(tmp_path_factory.mktemp("use") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        for line in (line for language, block in BLOCKS if language == "bash" for line in block.splitlines()):
            if not line.startswith(NOT_OURS):
                words = shlex.split(line, comments=True)
                assert words[:3] == ["python", "-m", "pipeline"]
                assert main(words[3:]) == 0, line
    return project.root


@pytest.mark.more
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pandas and rdflib, inside of mlcroissant
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: "-".join(libraries(block)) or "by-hand")
def test_use_block_runs_as_it_stands(
    block: str, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if block.startswith(BY_HAND):
        pytest.skip("run by hand")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for library in libraries(block):
        pytest.importorskip(library)
        importlib.import_module(library)
    monkeypatch.chdir(home)
    exec(compile(block, "docs/use.md", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_use_blocks_are_short() -> None:
    assert len(PYTHON) >= 7
    assert all(len([line for line in block.splitlines() if line]) <= 10 for block in PYTHON)
