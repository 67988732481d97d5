"""Projects to try things on, at three points of their life."""

from __future__ import annotations

import gc
import importlib
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests.support import data_sets
from tests.support.browser import Page, chromium, find_chromium
from tests.support.project import STAGES, Once, Project, copy_of_this_project

MORE_FIXTURES = {"browser", "librosa"}

# How many examples Hypothesis draws: the same few in `make test`, and 200 others each time in `make test-more`.
LAWS = settings(deadline=None, database=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", LAWS, max_examples=20, derandomize=True)
settings.register_profile("many", LAWS, max_examples=200)
settings.load_profile("few")


@pytest.hookimpl(wrapper=True, optionalhook=True)  # pytest-xdist may be switched off
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Return one more than pytest-xdist would: tests wait, too, for processes, servers and the disk."""
    return (yield) + 1


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C arrive, which a background job ignores, and point the Kaggle client away from the real Kaggle.

    The client reads the variable once, when a process imports it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("markexpr") != "live":
        os.environ["KAGGLE_API_ENVIRONMENT"] = "LOCALHOST"


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `more` the tests that need a browser or librosa; keep librosa in one process."""
    for item in items:
        if isinstance(item, pytest.Function) and MORE_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.more)
        if isinstance(item, pytest.Function) and "librosa" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group("librosa"))


def pytest_collection_finish() -> None:
    """Exclude everything imported and collected so far from garbage collection in the tests."""
    gc.freeze()


@pytest.fixture(scope="session")
def librosa(pytestconfig: pytest.Config) -> Iterator[Any]:
    """Return librosa in the only process whose numba compiles, into a cache of these tests.

    Two processes that compile at the same time leave a mixed cache, which crashes its next reader.
    """
    cache = pytestconfig.cache.mkdir("numba")
    with FileLock(cache / "lock", timeout=0):
        importlib.import_module("numba").config.CACHE_DIR = str(cache)
        yield importlib.import_module("librosa")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Return a page of a real browser."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium here: nothing was opened in a browser (apt-get install chromium)")
    with chromium(executable, tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Return a function that makes a project once in a session, in the first worker that needs it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def once(name: str, make: Callable[[Path], Project]) -> Project:
        done = shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                make(shared / name / "project")
                done.touch()
        return Project(shared / name / "project")

    return once


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """Return the project without any output."""
    return copy_of_this_project(tmp_path / "project")


@pytest.fixture(scope="session")
def staged_once(once: Once, request: pytest.FixtureRequest) -> Project:
    """Return the project after all stages but the report, run without DVC, in shards of 32: read only.

    It draws from the demo, or from another of `tests.support.data_sets.DATA_SETS` where a test asks for that.
    """
    name = getattr(request, "param", "demo")

    def make(to: Path) -> Project:
        project = copy_of_this_project(to)
        project.set(shards__clips=32)
        if name != "demo":
            data_sets.use(project, name)
        project.stage(*STAGES[:-1])
        return project

    return once(f"staged-{name}", make)


@pytest.fixture
def staged(staged_once: Project, tmp_path: Path) -> Project:
    """Return a project of its own after all stages but the report."""
    return staged_once.copy(tmp_path / "staged")


@pytest.fixture(scope="session")
def made_once(once: Once) -> Project:
    """Return a git repository of the project after its first `dvc repro`: read only."""

    def make(to: Path) -> Project:
        project = copy_of_this_project(to)
        project.run("git", "init", "--quiet", "--initial-branch=main")
        project.run("git", "add", "--all")
        project.run("git", "commit", "--quiet", "--message=The project")
        project.run("dvc", "repro")
        return project

    return once("made", make)


@pytest.fixture
def made(made_once: Project, tmp_path: Path) -> Project:
    """Return a repository of its own after the first `dvc repro`."""
    return made_once.copy(tmp_path / "made")
