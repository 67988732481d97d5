"""On this machine: a single shard is made in this process, several in worker processes.

Audio never travels between processes: a worker reads a file and writes a file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_exit
from typing import Any

from pipeline.core import interrupts

# Workers come from a clean process that has imported what they need once, where the platform has that.
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


@dataclass(frozen=True)
class LocalProcesses:
    """Worker processes, at most `processes`, started when there is work for more than one of them."""

    processes: int

    @contextmanager
    def start(self, function: Callable[..., Any], tasks: int) -> Iterator[tuple[Executor, int]]:
        """Start processes that call `function`, each with one of `tasks` in flight. All of them end with the block."""
        processes = min(self.processes, tasks)
        if processes <= 1:
            yield _ThisProcess(), 1
            return
        context = multiprocessing.get_context(_START)
        if _START == "forkserver":
            context.set_forkserver_preload([function.__module__])
        others = multiprocessing.active_children()
        pool = _Processes(processes, context, _start_worker)
        try:
            yield pool, processes
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                if process not in others:
                    process.terminate()
                    process.join()

    def check(self) -> str:
        """Return how many processes there may be."""
        return f"{self.processes} processes on this machine"


class _ThisProcess(Executor):
    """Calls right away, in this process."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # noqa: BLE001  it is raised by whoever asks for the result
            future.set_exception(error)
        return future


class _Processes(ProcessPoolExecutor):
    """Starts processes with Ctrl-C held back: one that is half started can be neither ended nor kept silent."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        with interrupts.defer_sigint():
            try:
                return super().submit(function, *arguments, **options)
            except (EOFError, ConnectionError) as error:  # the server that they are forked from was killed
                raise BrokenProcessPool(str(error)) from None


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_exit([parent.sentinel])
        os._exit(1)
