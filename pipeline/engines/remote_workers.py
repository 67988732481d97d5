"""What a remote worker must share with the run, and how tasks are sent to it.

A run has a marker: a hidden file in the project's ``data/``, there as long as the run is. A worker that does not see it
does not share the folder; one that no longer sees it works for a run that has ended, and publishes nothing.
"""

from __future__ import annotations

import os
import platform
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from pipeline.core import atomic, schema
from pipeline.core.errors import WorkerError
from pipeline.core.terminal import listed

NEXT_RUN = "Shards that are done are kept; run it again to go on."

Facts = Callable[[], dict[str, str]]
"""A function of a module, so that it can be sent: what decides about bytes in the process that calls it."""


@dataclass(frozen=True)
class Requirements:
    """What a run asks of its workers."""

    marker: Path  # a file that they see, under this absolute path
    facts: tuple[tuple[str, str], ...]  # what `examine` returns in the process of the run, and has to in theirs
    examine: Facts


@contextmanager
def run_marker(examine: Facts) -> Iterator[Requirements]:
    """Mark the project's folder for the time of the block; remove the markers of runs that were killed."""
    folder = schema.DATA.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".run-{socket.gethostname()}-"
    for leftover in folder.glob(f"{prefix}*{atomic.SUFFIX}"):
        try:
            os.kill(int(leftover.name.removeprefix(prefix).partition("-")[0]), 0)
        except (ProcessLookupError, ValueError):
            leftover.unlink(missing_ok=True)
        except PermissionError:
            pass  # it runs as another user
    marker = folder / f"{prefix}{os.getpid()}-{uuid.uuid4().hex[:8]}{atomic.SUFFIX}"
    marker.touch()
    try:
        yield Requirements(marker, tuple(examine().items()), examine)
    finally:
        marker.unlink(missing_ok=True)


@cache
def mismatch(requirements: Requirements) -> str:
    """Return how this machine and process differ from what the run requires; an empty string where they do not."""
    folder = requirements.marker.parent
    if not requirements.marker.exists():
        return f"{folder} is not the folder of this run there; it has to be shared, under the same path"
    mine = requirements.examine()
    different = [
        f"{name} is {mine.get(name)}, not {value}" for name, value in requirements.facts if mine.get(name) != value
    ]
    if different:
        return ", ".join(different)
    temporary, moved = (folder / f".{uuid.uuid4().hex}{atomic.SUFFIX}" for _ in range(2))
    try:
        temporary.touch()
        temporary.replace(moved)
        moved.unlink()
    except OSError as error:
        return f"{folder} cannot be written to ({error.strerror or error})"
    return ""


def call(requirements: Requirements, task: Callable[[], Any]) -> Any:
    """Do a task on a worker, if it meets the requirements: it may have joined after the others were checked."""
    if problem := mismatch(requirements):
        raise WorkerError(f"the worker {os.getpid()} on {platform.node()} does not fit this run: {problem}")
    with atomic.publish_only_while(requirements.marker):
        return task()


class CheckedExecutor(Executor):
    """Sends calls to remote workers: with absolute paths, errors explained, and an end to each.

    `send` is ``submit`` of the executor that has the workers. `explain` takes an error (None for a call that was
    cancelled) and the names of the shards in progress, since a dead worker may have had several; it returns the error
    to raise.
    """

    def __init__(
        self,
        send: Callable[..., Future[Any]],
        requirements: Requirements,
        explain: Callable[[BaseException | None, str], BaseException],
    ) -> None:
        self._send, self._requirements, self._explain = send, requirements, explain
        self._waiting: dict[Future[Any], str] = {}
        self._lock = threading.Lock()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Send a call of `function`."""
        shard = next((argument.name for argument in arguments if isinstance(argument, Path)), "a shard")
        absolute = [argument.absolute() if isinstance(argument, Path) else argument for argument in arguments]
        future: Future[Any] = Future()
        with self._lock:
            self._waiting[future] = shard
        try:
            sent = self._send(call, self._requirements, partial(function, *absolute, **options))
        except Exception as error:  # noqa: BLE001  it is raised where the result is asked for
            self._end([future], error=self._explain(error, self._in_progress()))
        else:
            sent.add_done_callback(partial(self._received, future))
        return future

    def fail(self, why: str) -> None:
        """End all calls in flight with an error."""
        self._end(list(self._waiting), error=WorkerError(f"{why} while it made {self._in_progress()}.\n{NEXT_RUN}"))

    def _in_progress(self) -> str:
        with self._lock:
            shards = sorted(self._waiting.values())
        return listed(shards, separator=" or ")

    def _received(self, future: Future[Any], sent: Future[Any]) -> None:
        error = None if sent.cancelled() else sent.exception()
        if not sent.cancelled() and error is None:
            self._end([future], result=sent.result())
            return
        explained = self._explain(error, self._in_progress())
        # A WorkerError is of no shard in particular: whichever future is asked first raises the same.
        self._end(list(self._waiting) if isinstance(explained, WorkerError) else [future], error=explained)

    def _end(self, futures: list[Future[Any]], *, result: Any = None, error: BaseException | None = None) -> None:
        for future in futures:
            with self._lock:
                if self._waiting.pop(future, None) is None:
                    continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
