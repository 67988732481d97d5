"""On this machine: a single shard is made in this process, several in worker processes.

Audio never travels between processes: a worker reads a file and writes a file.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.util
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_exit
from typing import Any

from pipeline.core import interrupts
from pipeline.core.errors import WorkerError

# Workers come from a clean process that has imported what they need once, where the platform has that.
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
_LONGEST_FOLDER = 60  # bytes: a socket's path has at most 104 (macOS), and multiprocessing appends 32 to the folder
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LocalProcesses:
    """Worker processes, at most `processes`, started when there is work for more than one of them."""

    processes: int

    @contextmanager
    def start(self, function: Callable[..., Any], tasks: int) -> Iterator[tuple[Executor, int]]:
        """Start processes that call `function`, each with one of `tasks` in flight. All of them end with the block.

        Where the system has no semaphores for them, the work is done in this process.
        """
        processes = min(self.processes, tasks)
        if processes <= 1:
            yield _ThisProcess(), 1
            return
        context = multiprocessing.get_context(_START)
        if _START == "forkserver":
            context.set_forkserver_preload([function.__module__])
        others = multiprocessing.active_children()
        try:
            pool = _Processes(processes, context, _start_worker)
        except (OSError, NotImplementedError) as error:
            log.warning(
                "worker processes need shared memory, such as a writable /dev/shm (%s); the work is done in one "
                "process, as with PIPELINE_WORKERS=1",
                error,
            )
            yield _ThisProcess(), 1
            return
        try:
            yield pool, processes
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
                    process.join()

    def check(self, task: Callable[[], Any] = dict) -> str:
        """Have a process call `task`; return how many processes there may be."""
        with self.start(task, self.processes) as (executor, processes):
            executor.submit(task).result()
        return f"{processes} processes on this machine"


class _ThisProcess(Executor):
    """Calls right away, in this process."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # noqa: BLE001  it is raised where the result is asked for
            future.set_exception(error)
        return future


class _Processes(ProcessPoolExecutor):
    """Starts processes with Ctrl-C held back: one that is half started can be neither ended nor kept silent."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        with interrupts.defer_sigint():
            try:
                _shorten_socket_path()
                return super().submit(function, *arguments, **options)
            except (EOFError, ConnectionError) as error:  # the server that they are forked from was killed
                raise BrokenProcessPool(str(error)) from None
            except OSError as error:
                raise WorkerError(
                    f"worker processes cannot be started ({error}); do the work in one process: PIPELINE_WORKERS=1"
                ) from None


def _shorten_socket_path() -> None:
    """Have multiprocessing make its socket below /tmp where TMPDIR is long, as Python 3.14 does."""
    if len(os.fsencode(tempfile.gettempdir())) > _LONGEST_FOLDER and os.name == "posix":
        before, tempfile.tempdir = tempfile.tempdir, "/tmp"
        try:
            multiprocessing.util.get_temp_dir()  # it is made once
        finally:
            tempfile.tempdir = before


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_exit([parent.sentinel])
        os._exit(1)
