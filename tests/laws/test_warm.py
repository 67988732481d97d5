"""A command that `tests/support/warm` forks off is as good as one that was started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm
from tests.support.project import Project, environment, warm_environment

pytestmark = [
    pytest.mark.more,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all commands are started"),
]

# A package of the name that the server knows, which says what its process is made of, and ends as it is told to.
PACKAGE = """
import json, os, signal, sys, threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

def tell():
    files = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        of_worker = pool.submit(os.getcwd).result()
    told = [sys.argv, sys.path, __name__, __spec__.name, os.getcwd(), of_worker, files, sys.stdin.read()]
    told += [os.environ["PIPELINE_X"], os.environ.get("TMPDIR")]
    print(json.dumps({"warm": "pandas" in sys.modules, "told": told}))
    threading.Thread(target=lambda: print("at last", file=sys.stderr)).start()
    sys.exit(7)

def wait():
    print(os.getpid(), flush=True)
    signal.pause()

if __name__ == "__main__":
    die = lambda: os.kill(os.getpid(), signal.SIGKILL)
    {"tell": tell, "die": die, "raise": lambda: 1 / 0, "wait": wait}[sys.argv[1]]()
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()
    (tmp_path / "pipeline/__main__.py").write_text(PACKAGE)
    return Project(tmp_path)


def told(project: Project, python: str, variables: dict[str, str], **options: Any) -> tuple[bool, Any]:
    """Return whether a run was warm, and all that can be seen of it."""
    command = [python, "-m", "pipeline", "tell", "-c", "a word"]
    done = subprocess.run(
        command, cwd=project.root, env=variables, input="in", capture_output=True, text=True, check=False, **options
    )
    said = json.loads(done.stdout)
    return said["warm"], (said["told"], done.stderr, done.returncode)


def test_it_is_what_a_start_is(project: Project) -> None:
    variables = warm_environment(PIPELINE_X="x")
    is_warm, forked = told(project, "python", variables)
    was_warm, started = told(project, sys.executable, variables)
    assert (is_warm, was_warm) == (True, False)
    assert forked == started
    assert forked[1:] == ("at last\n", 7)


def test_what_it_cannot_be_sure_of_is_started(project: Project) -> None:
    assert not told(project, "python", warm_environment(PIPELINE_X="x", TMPDIR="/var/tmp"))[0]  # tempfile reads it once
    limited = project.try_run("sh", "-c", "ulimit -f 1234; exec python -m pipeline tell", PIPELINE_X="x")
    assert not json.loads(limited.stdout)["warm"]
    assert project.run("python", "-c", "import sys; print('pandas' in sys.modules)") == "False\n"


def test_a_signal_and_an_exception_end_it_as_ever(project: Project) -> None:
    assert project.try_run("python", "-m", "pipeline", "die").returncode == -signal.SIGKILL
    raised = project.try_run("python", "-m", "pipeline", "raise")
    assert raised.returncode == 1
    assert raised.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.skipif(warm.SHARED not in os.environ, reason="a process of its own starts its workers")
def test_workers_of_the_tests_own_processes_are_forks() -> None:
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # it may be of a test with an environment of its own
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        assert "dvc.repo" in pool.submit(modules).result()


def modules() -> set[str]:
    return set(sys.modules)


def test_it_ends_with_who_started_it(project: Project) -> None:
    command = ["python", "-m", "pipeline", "wait"]
    with subprocess.Popen(command, cwd=project.root, env=warm_environment(), stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None
        forked = int(waiting.stdout.readline())
        waiting.kill()
        assert forked != waiting.pid
        assert waiting.stdout.read() == b""  # nobody has the other end any more


@pytest.mark.parametrize("killed", [False, True])
def test_the_server_and_its_folder_go_with_the_tests(killed: bool) -> None:
    code = "import os; from tests.support import warm; print(warm.folder(), flush=True); "
    code += "os.kill(os.getpid(), 9)" if killed else ""
    variables = environment(PYTHONPATH=os.pathsep.join(sys.path))
    ended = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert ended.stderr == ""  # which the server has open as long as it lives
    assert not Path(ended.stdout.strip()).exists()
