"""On this machine: a single shard is made right here, several in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class LocalProcesses:
    """So many worker processes, started when there is work for more than one of them."""

    processes: int

    def start(self, function: Callable[..., Any], tasks: int) -> AbstractContextManager[tuple[Executor, int]]:
        """Start processes for so many calls; a single one is made right here. All of them end with the block."""
        if min(self.processes, tasks) <= 1:
            return nullcontext((_Here(), 1))
        from pipeline.engines import processes  # noqa: PLC0415  imports much that a single shard does not need

        return processes.started(min(self.processes, tasks), function)

    def examined(self) -> str:
        """Say how many there may be."""
        return f"{self.processes} processes on this machine"


class _Here(Executor):
    """Calls right away, in this process."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # noqa: BLE001  it is raised by whoever asks for the result
            future.set_exception(error)
        return future
