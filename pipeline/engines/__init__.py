"""Where work runs. Nothing here can change a byte of any output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.core.params import Runtime
    from pipeline.engines.local import LocalProcesses


def engine_for(runtime: Runtime) -> LocalProcesses:
    """Return the engine that configs/runtime.yaml asks for."""
    from pipeline.engines.local import LocalProcesses  # noqa: PLC0415  each engine is imported by those who use it

    return LocalProcesses(runtime.processes)
