"""Workers of a running Dask scheduler: ``executor: dask://HOST:PORT``. docs/cluster.md says how to start one."""

from __future__ import annotations

import logging
import os
import pickle
import site
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from pipeline.core.errors import WorkerError
from pipeline.engines.remote_workers import KEPT, PACKAGE, Requirements, Tasks, lease, mismatch

_RETRIES = 2  # of a task that failed; how often a worker may die over one is the scheduler's to say
_NAMED = 5  # workers in a message
_LOGGERS = {"asyncio", "distributed", "tornado"}  # which say on stderr what is said here in one message


@dataclass(frozen=True)
class DaskCluster:
    """The workers of the scheduler at `address`, ``HOST:PORT``.

    Parameters
    ----------
    connect_seconds
        How long to try to reach it.
    silence_seconds
        How long it may say nothing, and how long there may be no worker.
    """

    address: str
    connect_seconds: float
    silence_seconds: float

    @contextmanager
    def start(self, function: Callable[..., Any], tasks: int) -> Iterator[tuple[Executor, int]]:  # noqa: ARG002
        """Look at each worker, then send tasks: twice as many as there are threads.

        What is queued ends with the block.
        """
        with lease() as terms, self._client() as client:
            workers = self._fitting(client, terms)
            executor = Tasks(_Packing(client.get_executor(pure=False, retries=_RETRIES)), terms, self._explain)
            with self._watched(client, executor):
                yield executor, 2 * sum(worker["nthreads"] for worker in workers.values())

    def examined(self) -> str:
        """Look at each worker; say how many there are."""
        with lease() as terms, self._client() as client:
            workers = self._fitting(client, terms)
        threads = sum(worker["nthreads"] for worker in workers.values())
        return f"{len(workers)} workers with {threads} threads at dask://{self.address}, all like this process"

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Connect to the scheduler; when that ends, it forgets what was asked of it."""
        distributed = _distributed()
        with _muted(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # differing versions: those that matter are compared here
            try:
                client = _within(
                    self.connect_seconds + self.silence_seconds,
                    lambda: distributed.Client(self.address, timeout=self.connect_seconds, set_as_default=False),
                )
            except (OSError, ValueError) as error:  # TimeoutError is an OSError, and so is a closed connection
                raise WorkerError(
                    f"no Dask scheduler can be reached at {self.address} ({_first_line(error)}).\n"
                    "Start one with: dask scheduler; or correct executor in configs/runtime.yaml or PIPELINE_EXECUTOR."
                ) from None
            try:
                yield client
            finally:
                with suppress(OSError):
                    client.close(timeout=self.connect_seconds)

    def _fitting(self, client: Any, terms: Requirements) -> Mapping[str, Any]:
        """Wait for the first worker, and look at all of them; return what the scheduler knows of each.

        Raises
        ------
        WorkerError
            There is none, or there are some that don't fit: names them.
        """
        try:
            _within(2 * self.silence_seconds, lambda: client.wait_for_workers(1, timeout=self.silence_seconds))
            workers: Mapping[str, Any] = self._identity(client)["workers"]
            found = self._look(client, terms)
        except OSError as error:
            if isinstance(error, TimeoutError) and not self._has_workers(client):
                raise WorkerError(
                    f"the Dask scheduler at {self.address} has no workers; start one on each machine with: "
                    f"dask worker {self.address}"
                ) from None
            raise WorkerError(f"the workers of {self.address} do not answer ({_first_line(error)})") from None
        problems = defaultdict(list)
        for worker, problem in found.items():
            problems[problem].append(worker)
        problems.pop("", None)
        if problems:
            lines = [f"  {_named(names)}: {problem}" for problem, names in sorted(problems.items())]
            raise WorkerError(
                "\n".join([f"these workers of {self.address} do not fit this run:", *lines])
                + "\nGive them the same environment (requirements.lock) and folder, and start them again."
            )
        return workers

    def _look(self, client: Any, terms: Requirements) -> dict[str, str]:
        """Return what each worker says that doesn't fit; nothing where all does."""

        def ask(function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
            answers: dict[str, Any] = client.run(
                function, *arguments, on_error="return", callback_timeout=self.silence_seconds
            )
            return answers

        sees = ask(os.path.exists, str(terms.lease))
        found = {}
        for worker, answer in ask(*_packed(mismatch, terms)).items():
            if sees.get(worker) is False:
                folder = terms.lease.parent
                found[worker] = f"{folder} is not the folder of this run there; it has to be shared, with the same path"
            elif isinstance(answer, BaseException):
                found[worker] = f"cannot be looked at ({type(answer).__name__}: {_first_line(answer)})"
            else:
                found[worker] = answer
        return found

    def _identity(self, client: Any) -> dict[str, Any]:
        identity: dict[str, Any] = client.sync(
            client.scheduler.identity, n_workers=-1, callback_timeout=self.silence_seconds
        )
        return identity

    def _has_workers(self, client: Any) -> bool:
        try:
            return bool(self._identity(client)["workers"])
        except OSError:
            return True

    @contextmanager
    def _watched(self, client: Any, executor: Tasks) -> Iterator[None]:
        """Give up when the scheduler says nothing, or has no worker for too long: nothing waits for ever."""
        over = threading.Event()

        def watch() -> None:
            turns = 4
            without = 0
            while not over.wait(self.silence_seconds / turns):
                try:
                    without = 0 if self._identity(client)["workers"] else without + 1
                except Exception as error:  # noqa: BLE001  whatever it is, no answer will be received
                    executor.fail(f"the Dask scheduler at {self.address} went away ({_first_line(error)})")
                    return
                if without >= turns:
                    executor.fail(f"the Dask scheduler at {self.address} had no workers left")
                    return

        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            over.set()

    def _explain(self, error: BaseException | None, shards: str) -> BaseException:
        distributed = _distributed()
        if isinstance(error, distributed.scheduler.KilledWorker):
            return WorkerError(
                f"workers died while they made {shards}, {error.allowed_failures + 1} of them, the last one "
                f"{error.last_worker.address}; they were killed, or memory ran out.\n{KEPT}"
            )
        if error is None or isinstance(error, CancelledError | distributed.comm.CommClosedError):
            return WorkerError(f"the Dask scheduler at {self.address} went away while it made {shards}.\n{KEPT}")
        return error


class _Packing(Executor):
    """Sends calls packed."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        return self._executor.submit(*_packed(function, *arguments, **options))


def _packed(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, ...]:
    """Return a call of `function` as one of what every Python has.

    The scheduler unpickles what it passes on and need not have this project, and a worker may have been started, or
    started again by its nanny, in a folder where this project is not.
    """
    folders = [str(PACKAGE.parent)] if (PACKAGE.parent / "pyproject.toml").is_file() else []
    names = {"addsitedir": site.addsitedir, "folders": folders, "loads": pickle.loads}
    call = pickle.dumps(partial(function, *arguments, **options))
    return eval, "(list(map(addsitedir, folders)), loads(call)())[1]", {**names, "call": call}


def _distributed() -> ModuleType:
    try:
        import distributed  # noqa: PLC0415  only those who use a cluster need it
    except ImportError:
        raise WorkerError(
            "executor: dask://… needs the package distributed, which is in the extra `cluster`: "
            "pip install 'common-voice-sample[cluster]'"
        ) from None
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


def _named(workers: list[str]) -> str:
    more = f" and {len(workers) - _NAMED} more" if len(workers) > _NAMED else ""
    return ", ".join(sorted(workers)[:_NAMED]) + more


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextmanager
def _muted() -> Iterator[None]:
    """Keep what distributed logs of lost connections off stderr."""
    loggers = [
        logging.getLogger(name) for name in list(logging.root.manager.loggerDict) if name.split(".")[0] in _LOGGERS
    ]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
