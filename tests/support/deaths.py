"""Stages that are killed: ``deaths.at_moments`` and ``deaths.at_steps`` in a project's folder, as a test sets it up.

Given a stage, folders of data that its runs begin with in turns, and when to kill, it prints a line of JSON for each
run: how it ended, and which files the next run, which goes on in peace, ends with. All runs are forks of this
process, which imports everything and does nothing itself: so nearly all of a run is work, and a moment of it that is
drawn is one of work.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import itertools
import json
import os
import random
import select
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.__main__ import STAGES, main

_DATA = Path("data")
_DEADLINE_SECONDS = 20.0  # of what should take a tenth of a second, on a machine that has other work


class Run:
    """A stage as the command line runs it, in a session of its own, of which a pipe tells when the last one ends."""

    def __init__(self, stage: str, prepare: Callable[[], None] = lambda: None) -> None:
        self.said = ""
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.setsid()
            for stream in (1, 2):
                os.dup2(writing, stream)
            os.close(self._reading)
            os.close(writing)
            prepare()
            status = main([stage])
            if status:
                sys.exit(status)
            sys.stdout.flush()
            os._exit(0)  # the end of an interpreter takes longer than the stage, and matters only where a worker died
        os.close(writing)

    def ends_within(self, seconds: float) -> bool:
        """Tell whether all its processes end in that time; return as soon as they do."""
        deadline = time.monotonic() + seconds
        while select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
            text = os.read(self._reading, 1 << 16).decode(errors="replace")
            self.said += text
            if not text:
                return True
        return False

    def workers(self) -> list[int]:
        """Return its workers: children of the server that it has for them."""
        parents = _parents()
        return sorted(pid for pid, parent in parents.items() if parents.get(parent) == self.pid)

    def status(self) -> dict[str, Any]:
        """Return how it ended, and whether something of it is left after a while, which is then ended, too."""
        left = not self.ends_within(_DEADLINE_SECONDS)
        if left:
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._reading)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return {"status": status, "left": left, "said": self.said}


def _parents() -> dict[int, int]:
    """Return the parent of each process that runs (proc_pid_stat(5): after the name its state, then the parent)."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    return parents


def at_moments(stage: str, victim: str, hits: str, *befores: str) -> None:
    """Kill the stage or one of its workers at so many moments, drawn from the time that an undisturbed run takes.

    A kill that comes too late for its run is drawn again, from the time that this run took.
    """
    _import(stage)
    dice = random.Random(f"{stage} {victim}")
    missing, seconds = int(hits), float("inf")
    for _, before in zip(range(1 + 4 * missing), itertools.cycle(befores), strict=False):
        _begin_with(before)
        run = Run(stage)
        if victim == "worker":
            while not run.workers() and not run.ends_within(0.01):
                pass
        begun = time.monotonic()
        if run.ends_within(dice.uniform(0, seconds) if seconds < float("inf") else _DEADLINE_SECONDS):
            seconds = min(seconds, time.monotonic() - begun)
        else:
            with contextlib.suppress(ProcessLookupError, IndexError):  # it has just ended
                os.kill(dice.choice(run.workers()) if victim == "worker" else run.pid, signal.SIGKILL)
        ended = run.status()
        _report(stage, ended)
        missing -= ended["status"] != 0
        if not missing or ended["left"]:
            break


def at_steps(stage: str, every: str, before: str) -> None:
    """Kill the stage in place of the first file that gets its final name or is removed, then of a later one, …"""
    _import(stage)
    for step in itertools.count(0, int(every)):
        _begin_with(before)
        ended = Run(stage, functools.partial(_arm, step)).status()
        _report(stage, ended)
        if ended["status"] == 0:
            break


def _arm(steps: int) -> None:
    """Have this process, which does all by itself, killed in place of its next step after so many."""
    os.environ["PIPELINE_WORKERS"] = "1"
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


def _import(stage: str) -> None:
    """Have everything imported before the first fork."""
    importlib.import_module(STAGES[stage].module)


def _begin_with(before: str) -> None:
    shutil.rmtree(_DATA)
    shutil.copytree(before, _DATA, symlinks=True, copy_function=os.link)  # what it writes to in place shows


def _report(stage: str, ended: dict[str, Any]) -> None:
    """Let the stage go on in peace; say how that ended."""
    print(json.dumps({**ended, "after": _goes_on(stage), "made": _made()}), flush=True)


def _goes_on(stage: str) -> int:
    """Return the status that the next run ends with, which does all by itself."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        os.environ["PIPELINE_WORKERS"] = "1"
        with contextlib.redirect_stdout(sys.stderr):
            os._exit(main([stage]))
    finally:
        os._exit(1)


def _made() -> dict[str, str]:
    """Return a hash of every file that stages made, and of all that they left."""
    files = [path for path in sorted(_DATA.rglob("*")) if path.is_file() and "demo" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
