"""Shards are mapped over processes, which end with the map however it ends."""

from __future__ import annotations

import errno
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import Rejected, WorkerError
from pipeline.core.params import available_processors
from pipeline.core.schema import Reason
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import map_shards
from tests.support.project import ROOT

# Two workers that block for ever, in a session of their own; each says so first.
BLOCKING = """
import os, pathlib, signal, sys
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import map_shards

def block(path):
    pathlib.Path(path).write_bytes(b"")
    os.write(1, b"+")
    signal.pause()

if __name__ == "__main__":
    try:
        with LocalProcesses(2).start(block, 2) as (executor, in_flight):
            for _ in map_shards(executor, block, {name: (name,) for name in sys.argv[1:]}, in_flight):
                pass
    except KeyboardInterrupt:
        sys.exit(130)
"""


def calls(*tasks: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:
    """Return tasks for `operator.call`: a function and what to call it with."""
    return {f"part-{number:05d}": task for number, task in enumerate(tasks)}


def mapped(tasks: dict[str, tuple[Any, ...]], processes: int) -> Generator[tuple[str, Any], None, None]:
    with LocalProcesses(processes).start(operator.call, len(tasks)) as (executor, in_flight):
        yield from map_shards(executor, operator.call, tasks, in_flight)


def throw(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("processes", [1, 3])
def test_local_processes_make_every_shard_once(processes: int) -> None:
    tasks = calls(*((pow, number, 2) for number in range(5)))
    assert dict(mapped(tasks, processes)) == {f"part-{number:05d}": number**2 for number in range(5)}


def test_local_ctrl_c_waits_until_a_worker_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    submit, started = ProcessPoolExecutor.submit, list[Any]()

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        started.append(submit(*arguments))
        return started[-1]

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(mapped(calls((os.getpid,), (os.getpid,)), 2))
    assert len(started) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_local_single_shard_is_made_in_this_process_and_none_in_none() -> None:
    assert dict(mapped(calls((os.getpid,)), 8)) == {"part-00000": os.getpid()}
    assert os.getpid() not in dict(mapped(calls((os.getpid,), (os.getpid,)), 2)).values()
    assert list(mapped({}, 8)) == []


def test_local_results_come_as_they_get_done(tmp_path: Path) -> None:
    """The first one waits for a file that is made once the second one is done."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    done = []
    for name, _ in mapped(calls((Path.read_bytes, fifo), (Path.exists, fifo)), 2):
        done.append(name)
        if name == "part-00001":
            fifo.write_bytes(b"now")
    assert done == ["part-00001", "part-00000"]


@pytest.mark.parametrize("processes", [1, 2])
def test_local_error_comes_through_and_ends_the_others(processes: int) -> None:
    error = Rejected(Reason.UNDECODABLE, "as the worker said")
    with pytest.raises(Rejected, match="as the worker said"):
        list(mapped(calls((throw, error), (signal.pause,)), processes))
    assert multiprocessing.active_children() == []


def test_local_worker_that_dies_is_an_error_that_names_its_shards() -> None:
    tasks = calls((os.getpid,), (signal.raise_signal, signal.SIGKILL), (signal.pause,), (os.getpid,))
    with pytest.raises(WorkerError, match=r"a worker process died while it made .*part-00001") as caught:
        list(mapped(tasks, 2))
    assert "part-00003" not in str(caught.value)
    assert multiprocessing.active_children() == []


def test_local_processes_end_when_nobody_iterates_any_more() -> None:
    others = multiprocessing.get_context("spawn").Process(target=signal.pause)
    others.start()
    try:
        with closing(mapped(calls((os.getpid,), (signal.pause,)), 2)) as results:
            next(results)
        assert multiprocessing.active_children() == [others]
    finally:
        others.kill()
        others.join()


@pytest.fixture
def blocked(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start two workers in a session of their own, and wait until both of them are at it."""
    script = tmp_path / "blocking.py"
    script.write_text(BLOCKING)
    names = [str(tmp_path / f"part-{number:05d}") for number in range(3)]
    command = [sys.executable, str(script), *names]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"++"
        yield process
        process.kill()


@pytest.mark.more
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_local_ctrl_c_and_a_kill_of_the_parent_leave_no_process_behind(
    blocked: subprocess.Popen[bytes], number: signal.Signals, status: int
) -> None:
    if number == signal.SIGINT:
        os.killpg(blocked.pid, number)  # as a terminal does: the workers get it, too
    else:
        blocked.send_signal(number)
    assert blocked.wait(timeout=2) == status
    assert blocked.stdout is not None
    assert blocked.stdout.read() == b""  # ends when the last process that holds the other end does


def test_local_workers_start_with_a_long_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 80)
    folder.mkdir()
    script = "from pipeline.engines.local import LocalProcesses as L\nif __name__ == '__main__': print(L(2).check())"
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"2 processes on this machine\n", b"")


def test_local_work_is_done_in_one_process_without_shared_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("multiprocessing.synchronize.SemLock.__init__", refuse)
    assert set(dict(mapped(calls((os.getpid,), (os.getpid,)), 2)).values()) == {os.getpid()}
    assert "/dev/shm" in caplog.text
    assert "PIPELINE_WORKERS=1" in caplog.text


def test_local_workers_that_cannot_be_started_are_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(ProcessPoolExecutor, "submit", refuse)
    with pytest.raises(WorkerError, match=r"cannot be started .*PIPELINE_WORKERS=1"):
        list(mapped(calls((os.getpid,), (os.getpid,)), 2))


@pytest.mark.parametrize(
    ("own", "quota", "expected"), [("100000 100000", "max 100000", 1), ("max 1", "150000 100000", 2)]
)
def test_local_processes_are_as_many_as_the_quotas_of_cgroups_allow(
    own: str, quota: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    (tmp_path / "cgroup").write_text("1:cpu:/elsewhere\n0::/slice/own\n")
    assert available_processors(tmp_path / "cgroup", tmp_path) == 8
    (tmp_path / "slice/own").mkdir(parents=True)
    (tmp_path / "slice/own/cpu.max").write_text(own)
    (tmp_path / "slice/cpu.max").write_text(quota)
    assert available_processors(tmp_path / "cgroup", tmp_path) == expected
    assert available_processors(tmp_path / "no-cgroup", tmp_path) == 8
