"""An executor of the user's own makes the same bytes; anything else is one message."""

from __future__ import annotations

import operator
import os
import shutil
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipeline.core.errors import ParameterError, WorkerError
from pipeline.core.params import Runtime, load_runtime
from pipeline.engines import engine_for
from pipeline.engines.custom import CustomExecutor
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive, map_shards
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.project import Project
from tests.support.tarballs import contents

HERE = __name__


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def threads() -> Executor:
    return ThreadPoolExecutor(2)


def processes() -> Executor:
    return ProcessPoolExecutor(2, get_context("forkserver"))


def failing() -> Executor:
    raise OSError("no licence left")


def nothing() -> None:
    """Return no executor."""


@pytest.mark.more
@pytest.mark.parametrize("function", ["threads", "processes"])
def test_custom_executor_makes_the_bytes_of_local_processes(function: str, staged_once: Project) -> None:
    clips = Path(shutil.copytree(staged_once.root / "data/clips", Path("data/clips")))
    recipe = WaveformRecipe(16_000, "pcm16")
    derive(recipe, clips, Path("data/waveforms"), engine_for(Runtime(executor=f"{HERE}:{function}"), dict))
    derive(recipe, clips, Path("data/local"), LocalProcesses(1))
    assert contents(Path("data/waveforms")) == contents(Path("data/local"))
    assert sorted(os.listdir("data")) == ["clips", "local", "waveforms"]  # noqa: PTH208  the names alone


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "cannot be imported: No module named 'no_such_module'"),
        ("os:no_such_function", "does not exist: the module os has no no_such_function"),
        (f"{HERE}:failing", "failed: OSError: no licence left"),
        (f"{HERE}:nothing", "should return a concurrent.futures.Executor; it returned NoneType"),
        ("os:sep", "failed: TypeError: 'str' object is not callable"),
    ],
)
def test_custom_executor_that_cannot_be_made_is_one_message(name: str, message: str) -> None:
    with pytest.raises(WorkerError) as caught:
        CustomExecutor(name, 2, dict).check()
    assert str(caught.value).startswith(f"executor {name} (configs/runtime.yaml or PIPELINE_EXECUTOR) {message}")


def other_process() -> dict[str, str]:
    return {"process": str(os.getpid())}


def test_custom_worker_with_other_facts_is_refused() -> None:
    with pytest.raises(WorkerError, match=rf"does not fit this run: process is \d+, not {os.getpid()}"):
        CustomExecutor(f"{HERE}:processes", 2, other_process).check()


def test_custom_executor_that_breaks_is_an_error_that_names_the_shards() -> None:
    with (
        pytest.raises(WorkerError, match="a worker process died while it made part-00000"),
        CustomExecutor(f"{HERE}:processes", 2, dict).start(operator.call, 1) as (executor, in_flight),
    ):
        list(map_shards(executor, operator.call, {"part-00000": (os.abort,)}, in_flight))


@pytest.mark.parametrize(
    "name", ["locla", "dsk://host:8786", "dask://host", "dask://a:b@host:1", "os:get cwd", "a:b:c"]
)
def test_executor_setting_that_is_misspelt_says_what_is_allowed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_EXECUTOR", name)
    with pytest.raises(ParameterError, match=r"executor: should be local, dask://HOST:PORT .* or MODULE:FUNCTION"):
        load_runtime()


@pytest.mark.parametrize("name", ["local", "dask://10.0.0.5:8786", "dask://[::1]:8786", "my.executors:make"])
def test_executor_setting_may_come_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_EXECUTOR", name)
    assert load_runtime().executor == name
