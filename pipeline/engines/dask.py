"""Workers of a running Dask scheduler: ``executor: dask://HOST:PORT``. docs/cluster.md says how to start one."""

from __future__ import annotations

import logging
import pickle
import site
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.core.errors import WorkerError, first_line, how_to_install
from pipeline.core.terminal import listed
from pipeline.engines.remote_workers import NEXT_RUN, CheckedExecutor, Facts, Requirements, mismatch, run_marker

_ROOT = Path(__file__).resolve().parents[2]
_RETRIES = 2  # of a task that failed; how often a worker may die over one is the scheduler's to say
_NAMED = 5  # workers in a message
_CHECKS = 4  # of the scheduler in the time that it may be silent


@dataclass(frozen=True)
class DaskCluster:
    """The workers of a scheduler."""

    address: str  # HOST:PORT
    connect_seconds: float  # how long to try to reach it
    silence_seconds: float  # how long it may say nothing, and how long there may be no worker
    facts: Facts  # what workers have to agree on with this process

    @contextmanager
    def start(self, function: Callable[..., Any], tasks: int) -> Iterator[tuple[Executor, int]]:  # noqa: ARG002
        """Check each worker, then send tasks: twice as many as there are threads.

        What is queued ends with the block.
        """
        with run_marker(self.facts) as requirements, self._client() as client:
            in_flight = 2 * self._check_workers(client, requirements)
            dask = client.get_executor(pure=False, retries=_RETRIES)
            executor = CheckedExecutor(lambda *call: dask.submit(*_packed(*call)), requirements, self._explain)
            over = threading.Event()
            threading.Thread(target=self._watch, args=(client, executor, over), daemon=True).start()
            try:
                yield executor, in_flight
            finally:
                over.set()

    def check(self, task: Callable[[], Any] = dict) -> str:
        """Check each worker, and have one of them call `task`; return how many there are."""
        with self.start(task, 1) as (executor, in_flight):
            executor.submit(task).result()
        return f"workers with {in_flight // 2} threads at dask://{self.address}, all like this process"

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Connect to the scheduler; when that ends, it forgets what was asked of it."""
        distributed = _distributed()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # differing versions: those that matter are compared here
            try:
                client = _within(
                    self.connect_seconds + self.silence_seconds,
                    lambda: distributed.Client(self.address, timeout=self.connect_seconds, set_as_default=False),
                )
            except (OSError, ValueError) as error:  # TimeoutError is an OSError, and so is a closed connection
                raise WorkerError(
                    f"no Dask scheduler can be reached at {self.address} ({first_line(error)}).\n"
                    "Start one with: dask scheduler; or correct executor in configs/runtime.yaml or PIPELINE_EXECUTOR."
                ) from None
            try:
                yield client
            finally:
                with suppress(OSError):
                    client.close(timeout=self.connect_seconds)

    def _check_workers(self, client: Any, requirements: Requirements) -> int:
        """Wait for the first worker, and check all of them; return how many threads they have."""
        try:
            _within(2 * self.silence_seconds, lambda: client.wait_for_workers(1, timeout=self.silence_seconds))
            threads: dict[str, int] = _within(self.silence_seconds, client.nthreads)
            answers = client.run(
                *_packed(mismatch, requirements), on_error="return", callback_timeout=self.silence_seconds
            )
        except OSError as error:
            raise WorkerError(
                f"no worker of the Dask scheduler at {self.address} answers ({first_line(error)}); start one on each "
                f"machine with: dask worker {self.address}"
            ) from None
        problems = defaultdict(list)
        for worker, answer in sorted(answers.items()):
            problem = answer
            if isinstance(answer, BaseException):
                problem = f"cannot run this project from {_ROOT} ({type(answer).__name__}: {first_line(answer)})"
            if problem:
                problems[problem].append(worker)
        if problems:
            lines = "\n".join(f"  {listed(workers, _NAMED)}: {problem}" for problem, workers in problems.items())
            raise WorkerError(
                f"these workers of {self.address} do not fit this run:\n{lines}\n"
                "Give them the same environment (requirements.lock) and folder, and start them again."
            )
        return sum(threads.values())

    def _watch(self, client: Any, executor: CheckedExecutor, over: threading.Event) -> None:
        """Give up when the scheduler says nothing, or has no worker for too long."""
        without = 0
        while not over.wait(self.silence_seconds / _CHECKS):
            try:
                without = 0 if _within(self.silence_seconds, client.nthreads) else without + 1
            except Exception as error:  # noqa: BLE001  no answer will be received
                executor.fail(f"the Dask scheduler at {self.address} went away ({first_line(error)})")
                return
            if without >= _CHECKS:
                executor.fail(f"the Dask scheduler at {self.address} had no workers left")
                return

    def _explain(self, error: BaseException | None, shards: str) -> BaseException:
        distributed = _distributed()
        if isinstance(error, distributed.scheduler.KilledWorker):
            return WorkerError(
                f"workers died while they made {shards}, {error.allowed_failures + 1} of them, the last one "
                f"{error.last_worker.address}; they were killed, or memory ran out.\n{NEXT_RUN}"
            )
        if error is None or isinstance(error, CancelledError | distributed.comm.CommClosedError):
            return WorkerError(f"the Dask scheduler at {self.address} went away while it made {shards}.\n{NEXT_RUN}")
        return error


def _packed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
    """Return a call of `function` as one of what every Python has.

    The scheduler unpickles what it passes on and need not have this project, and a worker may have been started, or
    started again by its nanny, in a folder where this project is not.
    """
    folders = [str(_ROOT)] if (_ROOT / "pyproject.toml").is_file() else []
    names = {"addsitedir": site.addsitedir, "folders": folders, "loads": pickle.loads}
    call = pickle.dumps(partial(function, *arguments))
    return eval, "(list(map(addsitedir, folders)), loads(call)())[1]", {**names, "call": call}


def _distributed() -> ModuleType:
    """Import distributed, and mute its log of lost connections: each ends in one message here."""
    try:
        import distributed  # noqa: PLC0415  only a cluster needs it
    except ImportError:
        raise WorkerError(
            "executor: dask://… needs the package distributed, which is in the extra cluster. "
            f"{how_to_install('cluster')}"
        ) from None
    for name in ("asyncio", "distributed", "distributed.client", "tornado", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return distributed


def _within(seconds: float, wait: Callable[[], Any]) -> Any:
    """Return what `wait` returns, or raise TimeoutError: distributed waits for ever for a scheduler that is stopped."""
    received: Future[Any] = Future()

    def run() -> None:
        try:
            received.set_result(wait())
        except Exception as error:  # noqa: BLE001  it is raised below
            received.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return received.result(seconds)
