"""Fork for each command that a client passes on: ``server.py LISTENING COMMANDS``; the end of stdin ends it.

LISTENING is the number of an open socket, COMMANDS the folder of what clients are started by, which ends with it.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import marshal
import multiprocessing.spawn
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from tests.support.warm.client import limits

# What stages and DVC's commands import, but for the parts that these bring along.
LIBRARIES = """
    PIL.Image cloudpickle filelock jinja2 numpy pandas pyarrow.compute pyarrow.csv pyarrow.dataset pyarrow.fs
    pyarrow.parquet msgspec ruamel.yaml scipy.fft scipy.sparse.csgraph soundfile soxr tqdm
    dulwich.porcelain dulwich.worktree dvc_http dvc_s3 fsspec.implementations.memory networkx pygit2 pyparsing
""".split()  # noqa: SIM905
WHOLE = ("dvc", "dvc_render")  # all of their parts, which they import late
# Variables, by how they begin, that are read when they matter, and not at an import.
READ_LATE = (
    *("_", "AWS_", "DVC_", "GIT_", "HOME", "KAGGLE_", "OLDPWD", "PATH", "PIPELINE_", "PWD", "PYTEST_", "SHLVL"),
    *("NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "KMP_"),  # KMP_: sklearn sets some, for a library not here
    *("COLUMNS", "LINES"),  # readline sets them, which pytest imports
)
# How multiprocessing starts the server that it forks workers from, and the one that sweeps up after them.
MULTIPROCESSING = tuple(f"from multiprocessing.{name} import main;" for name in ("forkserver", "resource_tracker"))


class Request(NamedTuple):
    """A command, and what its process is made of; `rights` are this process's own numbers of its open files."""

    real: str
    arguments: list[str]
    folder: str
    variables: dict[str, str]
    files: list[int]
    limits: list[tuple[int, int]]
    rights: list[int]

    @property
    def words(self) -> list[str]:
        """The arguments without those that every interpreter of this environment has."""
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        return self.arguments[len(flags) if self.arguments[: len(flags)] == flags else 0 :]

    @property
    def is_understood(self) -> bool:
        """Whether a fork of this process is as good as an interpreter of its own."""
        match self.words:
            case _ if Path(self.real).name == "dvc":
                known = True
            case ["-m", module, *_]:
                known = module.split(".")[0] == "pipeline"
            case ["-c", code]:
                known = code.startswith(MULTIPROCESSING)
            case _:
                known = False
        return (
            known
            and read_early(self.variables) == read_early(dict(os.environ))
            and self.limits == limits()
            and {0, 1, 2} <= set(self.files)
            and not any(os.isatty(right) for right in self.rights)
        )

    def take_over(self, python: Path) -> None:
        """Make this process, a fork, what the client's is; further interpreters are started with `python`."""
        above = max(*self.files, *map(int, os.listdir("/proc/self/fd"))) + 1  # noqa: PTH208  no paths
        copies = [fcntl.fcntl(right, fcntl.F_DUPFD, above) for right in self.rights]
        os.closerange(3, above)
        for copy, file in zip(copies, self.files, strict=True):
            os.dup2(copy, file)
            os.close(copy)
        os.environ.clear()
        os.environ.update(self.variables)
        os.chdir(self.folder)
        multiprocessing.spawn.set_executable(str(python))

    def run(self) -> None:
        """Do what an interpreter of its own would."""
        if Path(self.real).name == "dvc":
            sys.argv = [self.real, *self.arguments]
            sys.path[0] = str(Path(self.real).parent)
            runpy.run_path(self.real, run_name="__main__")
            return
        option, what, *arguments = self.words
        sys.argv = [option, *arguments]
        sys.path[0] = self.folder if option == "-m" else ""
        if option == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})


class Running(NamedTuple):
    """A fork at work."""

    pid: int
    ended: int
    client: socket.socket

    def is_over(self, waiting: list[Any]) -> bool:
        """Tell the client how it ended, if it did; end it where the client is gone."""
        if self.ended in waiting:
            status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            with contextlib.suppress(OSError):  # nobody waits for it
                self.client.send(struct.pack("i", status))
            self.client.close()
            os.close(self.ended)
            return True
        if self.client in waiting:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        return False


def read_early(variables: dict[str, str]) -> dict[str, str]:
    """Return the variables that may have been read already."""
    return {name: value for name, value in variables.items() if not name.startswith(READ_LATE)}


def received(client: socket.socket) -> Request | None:
    """Return what a client wants, unless it was ended while it said so."""
    head, rights, _, _ = socket.recv_fds(client, 4, 250)
    try:
        (size,) = struct.unpack("I", head)
        told = marshal.loads(client.recv(size, socket.MSG_WAITALL))
    except (EOFError, OSError, struct.error):
        return None
    return Request._make([*told, rights])


def serve(listening: socket.socket, commands: Path) -> Request:
    """Fork for each client; return in the fork, which has become what the client asked for."""
    running: list[Running] = []
    while True:
        ends = [end for each in running for end in (each.ended, each.client)]
        waiting, _, _ = select.select([0, listening, *ends], [], [])
        if 0 in waiting:
            shutil.rmtree(commands, ignore_errors=True)
            os._exit(0)
        running = [each for each in running if not each.is_over(waiting)]
        if listening in waiting:
            client, _ = listening.accept()
            request = received(client)
            # It may have threads: those of OpenBLAS and pyarrow, which know of forks.
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                pid = os.fork() if request and request.is_understood else -1
            if request and not pid:
                os.setpgid(0, 0)
                for own in (listening, client, *(each.client for each in running)):
                    own.detach()  # their numbers are the client's from now on
                request.take_over(commands / "python")
                return request
            if pid > 0:
                with contextlib.suppress(OSError):  # it is gone already
                    client.send(b"!")
                running.append(Running(pid, os.pidfd_open(pid), client))
            else:
                client.close()
            for right in request.rights if request else []:
                os.close(right)


def import_libraries() -> None:
    """Import what there is of them."""
    whole = [pkgutil.walk_packages(importlib.import_module(name).__path__, f"{name}.") for name in WHOLE]
    for name in [*LIBRARIES, *(part.name for parts in whole for part in parts)]:
        if not name.endswith(("__main__", "testing")):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    gc.freeze()


def end(run: Callable[[], None]) -> NoReturn:
    """End this process as `run` does, and as an interpreter does, but for freeing its memory, which takes longer."""
    status: Any = 0
    try:
        run()
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001  an interpreter ends with any
        sys.excepthook(*sys.exc_info())
        status = 1
    if not isinstance(status, int | None):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if not stream.closed:
            stream.flush()
    os._exit(status or 0)


if __name__ == "__main__":
    import_libraries()
    end(serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])).run)
