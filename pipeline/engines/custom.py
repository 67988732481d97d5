"""An executor of the user's own, such as those of executorlib, mpi4py or parsl: ``executor: MODULE:FUNCTION``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import WorkerError
from pipeline.engines.remote_workers import NEXT_RUN, CheckedExecutor, Facts, run_marker


@dataclass(frozen=True)
class CustomExecutor:
    """What ``FUNCTION()`` of ``MODULE`` returns, and how many tasks it has in flight.

    Its workers need the same folder under the same path, the same code and the same libraries; each task checks that
    before it begins.
    """

    name: str
    in_flight: int
    facts: Facts

    @contextmanager
    def start(self, function: Callable[..., Any], tasks: int) -> Iterator[tuple[Executor, int]]:  # noqa: ARG002
        """Get the executor, and shut it down with the block: what is queued is cancelled when that fails."""
        with run_marker(self.facts) as requirements:
            executor = self._executor()
            try:
                yield CheckedExecutor(executor.submit, requirements, _explain), self.in_flight
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise
            executor.shutdown()

    def check(self, task: Callable[[], Any] = dict) -> str:
        """Have the executor call `task`; return a sentence about it."""
        with self.start(task, 1) as (executor, _):
            executor.submit(task).result()
        return f"{self.name} did a task"

    def _executor(self) -> Executor:
        setting = f"executor {self.name} (configs/runtime.yaml or PIPELINE_EXECUTOR)"
        module, _, function = self.name.partition(":")
        try:
            make = getattr(importlib.import_module(module), function)
        except ImportError as error:
            raise WorkerError(f"{setting} cannot be imported: {error}. Is it on PYTHONPATH?") from None
        except AttributeError:
            raise WorkerError(f"{setting} does not exist: the module {module} has no {function}") from None
        try:
            executor = make()
        except Exception as error:
            raise WorkerError(f"{setting} failed: {type(error).__name__}: {error}") from error
        if not isinstance(executor, Executor):
            raise WorkerError(
                f"{setting} should return a concurrent.futures.Executor; it returned {type(executor).__name__}"
            )
        return executor


def _explain(error: BaseException | None, shards: str) -> BaseException:
    if error is None:
        return WorkerError(f"the executor cancelled {shards}.\n{NEXT_RUN}")
    if isinstance(error, ImportError):
        return WorkerError(f"a worker cannot import what it needs for {shards} ({error}).\n{NEXT_RUN}")
    return error
