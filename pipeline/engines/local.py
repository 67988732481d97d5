"""Worker processes on this machine.

Audio never travels between processes: a worker reads a file and writes a file.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import wait as wait_for_exit
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from pipeline.core.errors import WorkerError

Result = TypeVar("Result")

# Workers come from a clean process that has imported what they need once, where the platform has that.
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def map_shards(
    function: Callable[..., Result], tasks: Mapping[str, tuple[Any, ...]], processes: int
) -> Generator[tuple[str, Result], None, None]:
    """Call `function` with each shard's arguments, `processes` at a time; yield (shard, result) as they get done.

    The first error ends all workers and is raised; so does Ctrl-C.

    Raises
    ------
    WorkerError
        A worker died: names the shards that were being made.
    """
    if min(processes, len(tasks)) <= 1:
        for shard, arguments in tasks.items():
            yield shard, function(*arguments)
        return
    others = multiprocessing.active_children()
    pool = _local_processes(min(processes, len(tasks)), function)
    running: dict[Future[Result], str] = {}
    waiting = iter(tasks.items())
    try:
        while True:
            for shard, arguments in _take(waiting, processes - len(running)):
                with _ctrl_c_waits():
                    running[pool.submit(function, *arguments)] = shard
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
    except BrokenProcessPool:
        shards = " or ".join(sorted(running.values())) or "nothing yet"
        raise WorkerError(
            f"a worker process died while it made {shards}; it was killed, or memory ran out.\n"
            "Shards that are done are kept. Run it again, with fewer workers if memory is short (configs/runtime.yaml)."
        ) from None
    finally:
        _stop(pool, others)


def prepare(function: Callable[..., Any]) -> None:
    """Let the server that workers are forked from import what `function` needs, while the caller goes on.

    Does nothing where the platform has no such server.
    """
    if _START == "forkserver":
        multiprocessing.get_context(_START).set_forkserver_preload([function.__module__])
        with _ctrl_c_waits():
            forkserver.ensure_running()


def _local_processes(processes: int, function: Callable[..., Any]) -> ProcessPoolExecutor:
    prepare(function)
    return ProcessPoolExecutor(processes, multiprocessing.get_context(_START), _start_worker)


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Hold Ctrl-C back while processes start: one that is half started can be neither ended nor kept silent.

    They inherit the mask; this process needs a handler, since the signal may come to another thread of it. Does nothing
    outside of the main thread, which alone can set handlers, and where the handler is not Python's to put back.
    """
    may_wait = hasattr(signal, "pthread_sigmask") and signal.getsignal(signal.SIGINT) is not None
    if threading.current_thread() is not threading.main_thread() or not may_wait:
        yield
        return
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if came:
            signal.raise_signal(signal.SIGINT)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_exit([parent.sentinel])
        os._exit(1)


def _stop(pool: ProcessPoolExecutor, others: list[BaseProcess]) -> None:
    """End all workers at once, idle or not; `others` were there before."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in multiprocessing.active_children():
        if process not in others:
            process.terminate()
            process.join()


def _take(waiting: Iterator[tuple[str, tuple[Any, ...]]], most: int) -> Iterator[tuple[str, tuple[Any, ...]]]:
    return (task for _, task in zip(range(most), waiting, strict=False))
