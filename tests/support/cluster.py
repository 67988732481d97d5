"""A Dask scheduler and workers on loopback: ``python cluster.py WORKERS`` says its address, and ends with stdin.

Its processes have nothing of this project on their path, and another working folder than the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cluster:
    """A scheduler at `address`, HOST:PORT, in a process that is the parent of its workers."""

    address: str
    process: subprocess.Popen[str]


@contextmanager
def running(workers: int, folder: Path) -> Iterator[Cluster]:
    """Run a cluster that works in `folder`, as long as the block does."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHONPATH", "PIPELINE_"))}
    with subprocess.Popen(
        [sys.executable, __file__, str(workers)],
        cwd=folder,
        env={**environment, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address, "the cluster did not start"
        try:
            yield Cluster(address, process)
        finally:
            process.terminate()


def main(workers: int) -> None:
    """Serve until stdin is closed."""
    import dask
    import distributed

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(  # type: ignore[no-untyped-call]
            processes=True, n_workers=workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
    ):
        print(cluster.scheduler_address.removeprefix("tcp://"), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]))
