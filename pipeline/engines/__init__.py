"""Where work runs. Nothing here can change a byte of any output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.core.params import Runtime
    from pipeline.engines.custom import CustomExecutor
    from pipeline.engines.dask import DaskCluster
    from pipeline.engines.local import LocalProcesses
    from pipeline.engines.remote_workers import Facts


def engine_for(runtime: Runtime, facts: Facts) -> LocalProcesses | DaskCluster | CustomExecutor:
    """Return the engine that configs/runtime.yaml asks for; remote workers have to agree on `facts`."""
    # ruff: noqa: PLC0415  each is imported where it is used
    if runtime.executor == "local":
        from pipeline.engines.local import LocalProcesses

        return LocalProcesses(runtime.processes)
    if runtime.executor.startswith("dask://"):
        from pipeline.engines.dask import DaskCluster

        address = runtime.executor.removeprefix("dask://")
        return DaskCluster(address, runtime.connect_timeout_seconds, runtime.read_timeout_seconds, facts)
    from pipeline.engines.custom import CustomExecutor

    return CustomExecutor(runtime.executor, 2 * runtime.processes, facts)
