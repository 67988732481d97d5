"""A stage that is killed at each of its steps in turn: ``python deaths.py STAGE BEFORE`` in a project's folder.

A step is a file that gets its final name or is removed. Each run starts from a copy of the folder BEFORE in place of
data/ and is killed one step later than the run before it; then another run follows undisturbed. For each pair, a line
of JSON has both exit statuses and a hash of every file. All runs are forks of this process, which only imports.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import itertools
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.__main__ import main
from pipeline.registry import STAGES

_DATA = Path("data")


def at_each_step(stage: str, before: str) -> None:
    """Kill the stage at its first step, then at its second, … until it ends undisturbed."""
    importlib.import_module(STAGES[stage].module)
    for step in itertools.count():
        shutil.rmtree(_DATA)
        shutil.copytree(before, _DATA, symlinks=True, copy_function=os.link)  # what it writes to in place shows
        status = _status_of(stage, functools.partial(_arm, step))
        after = _status_of(stage, lambda: None)
        files = [path for path in sorted(_DATA.rglob("*")) if path.is_file() and "demo" not in path.parts]
        made = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
        print(json.dumps({"status": status, "after": after, "made": made}), flush=True)
        if status == 0:
            break


def _status_of(stage: str, prepare: Callable[[], None]) -> int:
    """Run a stage in a fork; return its exit status, negative for a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        prepare()
        with contextlib.redirect_stdout(sys.stderr):
            os._exit(main([stage]))
    finally:
        os._exit(1)


def _arm(steps: int) -> None:
    """Have this process killed in place of a step, after `steps` that it may take."""
    left = iter(range(steps))

    def armed(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def step(*args: Any, **options: Any) -> Any:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return step

    for owner, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
        setattr(owner, name, armed(getattr(owner, name)))


if __name__ == "__main__":
    at_each_step(*sys.argv[1:])
