"""What a worker on another machine must have in common with the run that it works for, and how its tasks are sent.

A run holds a lease: a hidden file in the project's ``data/``, there as long as the run is. A worker that does not see
it does not share the folder; one that no longer sees it works for a run that has ended, and publishes nothing.
"""

from __future__ import annotations

import hashlib
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

PACKAGE = Path(__file__).resolve().parents[1]
_NAMED = 8  # shards in a message
KEPT = "Shards that are done are kept; run it again to go on."


@dataclass(frozen=True)
class Requirements:
    """What a run asks of its workers: to see the file `lease`, an absolute path, and to have the same `facts`."""

    lease: Path
    facts: tuple[tuple[str, str], ...]


@cache
def mismatch(terms: Requirements) -> str:
    """Return what does not fit on this machine and in this process, in words; nothing where all does."""
    if not terms.lease.exists():
        return f"{terms.lease.parent} is not the folder of this run there; it has to be shared, under the same path"
    there = facts()
    different = [f"{name} is {there.get(name)}, not {value}" for name, value in terms.facts if there.get(name) != value]
    if different:
        return ", ".join(different)
    mine, moved = (terms.lease.with_name(f".{uuid.uuid4().hex}{atomic.SUFFIX}") for _ in range(2))
    try:
        mine.touch()
        mine.replace(moved)
        moved.unlink()
    except OSError as error:
        return f"{terms.lease.parent} cannot be written to ({error.strerror or error})"
    return ""


@cache
def facts() -> dict[str, str]:
    """Return what decides about bytes in this process, from its first call on: code, libraries, kind of machine.

    The code is that which this process began with: a worker that was started before an edit keeps the old code.
    """
    import pyarrow as pa  # noqa: PLC0415  who runs locally asks for none of this

    from pipeline.audio import decode  # noqa: PLC0415
    from pipeline.shards.recipe import machine  # noqa: PLC0415

    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    versions = {**decode.decoder_versions(), "pyarrow": pa.__version__, "machine": machine()}
    return {"pipeline": schema.VERSION, "code": digest.hexdigest()[:12], **versions}


@contextmanager
def lease() -> Iterator[Requirements]:
    """Hold a lease on this project's folder as long as the block runs. One that a killed run left is removed."""
    folder = schema.DATA.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f".lease-{socket.gethostname()}-"
    for leftover in folder.glob(f"{prefix}*{atomic.SUFFIX}"):
        if not _is_alive(leftover.name.removeprefix(prefix).partition("-")[0]):
            leftover.unlink(missing_ok=True)
    path = folder / f"{prefix}{os.getpid()}-{uuid.uuid4().hex[:8]}{atomic.SUFFIX}"
    path.touch()
    try:
        yield Requirements(path, tuple(facts().items()))
    finally:
        path.unlink(missing_ok=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        return True
    return True


def call(terms: Requirements, task: Callable[[], Any]) -> Any:
    """Do a task on a worker, if that fits; it may have joined after the others were looked at."""
    if problem := mismatch(terms):
        raise WorkerError(f"the worker {os.getpid()} on {platform.node()} does not fit this run: {problem}")
    with atomic.publish_only_while(terms.lease):
        return task()


class Tasks(Executor):
    """Sends calls to another executor: their paths absolute, their errors explained, all of them with an end.

    Parameters
    ----------
    executor
        Where they run.
    terms
        What a worker is asked for.
    explain
        Takes an error (None for a call that was cancelled) and the names of the shards that were being made, since a
        dead worker may have had several; returns the error to raise.
    """

    def __init__(
        self, executor: Executor, terms: Requirements, explain: Callable[[BaseException | None, str], BaseException]
    ) -> None:
        self._executor, self._terms, self._explain = executor, terms, explain
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
            sent = self._executor.submit(call, self._terms, partial(function, *absolute, **options))
        except Exception as error:  # noqa: BLE001  it is raised by whoever asks for the result
            self._end(future, error=self._explain(error, self._being_made()))
        else:
            sent.add_done_callback(partial(self._received, future))
        return future

    def fail(self, why: str) -> None:
        """End all calls that are waited for with an error."""
        self._end_all(WorkerError(f"{why} while it made {self._being_made()}.\n{KEPT}"))

    def _end_all(self, error: BaseException) -> None:
        for future in list(self._waiting):
            self._end(future, error=error)

    def _being_made(self) -> str:
        with self._lock:
            shards = sorted(self._waiting.values())
        more = f" or {len(shards) - _NAMED} more" if len(shards) > _NAMED else ""
        return " or ".join(shards[:_NAMED]) + more

    def _received(self, future: Future[Any], sent: Future[Any]) -> None:
        error = None if sent.cancelled() else sent.exception()
        if not sent.cancelled() and error is None:
            self._end(future, result=sent.result())
            return
        explained = self._explain(error, self._being_made())
        if isinstance(explained, WorkerError):  # of no shard in particular: whichever is asked first says the same
            self._end_all(explained)
        else:
            self._end(future, error=explained)

    def _end(self, future: Future[Any], *, result: Any = None, error: BaseException | None = None) -> None:
        with self._lock:
            if self._waiting.pop(future, None) is None:
                return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
