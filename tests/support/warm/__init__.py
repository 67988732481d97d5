"""Commands that start in an interpreter which has their libraries already, for tests that start hundreds of them.

A start of `dvc` or of `python -m pipeline` spends most of its time on the import of pandas, pyarrow, DVC and others. A
server (`server.py`) has imported these, and nothing of this project, and forks for each command. Who has `folder` in
front of PATH gets commands of these names that pass on (`client.py`) what a process is made of: arguments, folder,
environment, every open file. They end as the fork does. It imports `pipeline` from where it was started, as always.

Whatever the server cannot be sure of (another command, a terminal, a limit, a variable of the environment that is not
known to be read late) is run by a real interpreter. So is what a test starts by `sys.executable`; it should where it is
about starts, ends, signals or limits of a process.
"""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

SHARED = "PIPELINE_TESTS_WARM"  # a variable: the folder of a server that several processes of tests share
_HERE = Path(__file__).parent
_ENVIRONMENT = dict(os.environ)  # before any test changes it


@functools.cache
def folder() -> Path | None:
    """Start a server that ends with this process; return the folder of its commands, or nothing where it cannot be."""
    if SHARED in os.environ:
        return Path(os.environ[SHARED])
    if sys.platform != "linux":
        return None
    commands = Path(tempfile.mkdtemp(prefix="warm-"))
    address = str(commands / "socket")
    real = {"python": Path(sys.executable), "dvc": Path(sys.executable).with_name("dvc")}
    for name, path in real.items():
        words = [sys.executable, "-I", "-S", str(_HERE / "client.py"), address, str(path)]
        (commands / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (commands / name).chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-m", f"{__name__}.server", str(listening.fileno()), str(commands)],
            cwd=_HERE.parents[2],
            pass_fds=[listening.fileno()],
            env=_ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
    atexit.register(_end, server, commands)  # where this process is killed, the end of its stdin tells the server
    return commands


def _end(server: subprocess.Popen[bytes], commands: Path) -> None:
    with server:
        server.kill()
    shutil.rmtree(commands, ignore_errors=True)
