"""The notebooks run from the first cell to the last, without a network, and are kept with what the demo shows."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.project import ROOT, Project, environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_BYTES = 1_500_000
PICTURES = {"preparation.ipynb": 11, "exploration.ipynb": 8, "labels.ipynb": 4}
OF_ANY_SAMPLE = [path for path in NOTEBOOKS if path.name != "labels.ipynb"]  # which makes a sample of its own


@pytest.fixture(scope="session", autouse=True)
def nbformat() -> ModuleType:
    """Return nbformat, imported late and without IRIs: their grammar takes seconds, and no notebook has any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "rfc3987_syntax", None)
        return importlib.import_module("nbformat")


@pytest.fixture(scope="session")
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("notebooks_run", ROOT / "notebooks/run.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give kernels an environment without a network, and the cache of numba that the tests use."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", sys.modules["numba"].config.CACHE_DIR)
    for name, value in environment(JUPYTER_PLATFORM_DIRS="1").items():
        monkeypatch.setenv(name, value)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the port that discards, where nobody listens
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def pictures(notebook: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def in_project(project: Project, name: str) -> Path:
    folder = project.root / "notebooks"
    folder.mkdir()
    return Path(shutil.copy(ROOT / "notebooks" / name, folder))


# What is kept


def test_notebooks_are_three() -> None:
    assert {path.name for path in NOTEBOOKS} == set(PICTURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_in_git_is_small_whole_and_of_no_machine(path: Path, run: ModuleType, nbformat: ModuleType) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    words = re.sub(r'"[A-Za-z0-9+/=\\n]{200,}"', '""', text)  # without pictures
    assert not re.search(
        r"/(?:home|root|Users|work|tmp|opt|usr)/|[A-Z]:\\\\|\b\d{4}-\d\d-\d\dT\d\d:|site-packages", words
    )
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert pictures(notebook) == PICTURES[path.name]
    assert not [
        output for output in outputs(notebook) if output.output_type == "error" or output.get("name") == "stderr"
    ]
    cleaned = run.clean(nbformat.read(path, as_version=4))
    assert nbformat.writes(cleaned) + "\n" == text, f"run: python notebooks/run.py {path.name}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_cells_are_short_and_explained(path: Path, nbformat: ModuleType) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert all(len(cell.source.splitlines()) <= 70 for cell in code)
    assert sum(cell.cell_type == "markdown" for cell in cells) >= len(code) // 2
    assert cells[0].source.startswith("# ")


# Executed


@pytest.mark.more
@pytest.mark.usefixtures("librosa", "offline")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs_on_the_demo_and_prints_what_is_in_git(
    path: Path, staged: Project, run: ModuleType, nbformat: ModuleType
) -> None:
    made = run.execute(in_project(staged, path.name))
    kept = nbformat.read(path, as_version=4)
    assert pictures(made) == pictures(kept)
    assert str(staged.root) not in nbformat.writes(made)
    for cell, before in zip(made.cells, kept.cells, strict=True):
        said, told = (
            "".join(output.text for output in each.get("outputs", []) if output.output_type == "stream")
            for each in (cell, before)
        )
        assert said == told


@pytest.mark.more
@pytest.mark.usefixtures("librosa", "offline")
@pytest.mark.parametrize("path", OF_ANY_SAMPLE, ids=lambda path: path.name)
def test_notebook_runs_on_a_sample_of_three_without_ages_and_genders(
    path: Path, fresh: Project, run: ModuleType
) -> None:
    fresh.set(subsample__clips=3, subsample__max_rejected=0.9, stratify__require=[], stratify__strata=[])
    fresh.stage("download", "stratify", "subsample", "waveforms", "features")
    run.execute(in_project(fresh, path.name))


@pytest.mark.more
@pytest.mark.usefixtures("librosa", "offline")
def test_notebook_with_a_failing_cell_is_an_error(tmp_path: Path, run: ModuleType, nbformat: ModuleType) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run.execute(tmp_path / "broken.ipynb")
    assert "outputs" in (tmp_path / "broken.ipynb").read_text()
