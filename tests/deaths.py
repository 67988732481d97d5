"""Stages that are killed in the middle: ``python -m deaths STAGE STEP …`` in a project's folder, as a test sets it up.

Comes in: a stage, and after how many steps each of its runs is killed. Goes out: a line of JSON for each run: whether
it was killed, and which files the next run, which goes on in peace, ends with. A step is a clip that is walked, a row
group that is written, or a file that gets its final name or is removed. All runs are forks of this process, which
imports everything and does nothing itself, and all begin with the same files.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline import mp3, shards, waveforms

_DATA = Path("data")


def arm(steps: int) -> None:
    """Have this process killed in place of its next step after so many."""
    left = iter(range(steps))

    def armed(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def step(*args: Any, **options: Any) -> Any:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **options)

        return step

    for owner, name in ((mp3, "walk"), (pq.ParquetWriter, "write_table"), (Path, "replace"), (Path, "unlink")):
        setattr(owner, name, armed(getattr(owner, name)))


def make_shard(clips: Path, made: Path, recipe: waveforms.Recipe, earlier: Path) -> int:
    """Make one shard in a worker that is killed after so many steps of its own."""
    if clips.name == shards.shard_name(1):
        arm(int(os.environ["DEATHS_STEP"]))
    return waveforms.make_shard(clips, made, recipe, earlier)


def with_a_dying_worker() -> None:
    """Run `waveforms`, one worker of which is killed, as the command line does."""
    stage = importlib.import_module("pipeline.stages.waveforms")
    setattr(stage, "make_shard", importlib.import_module("deaths").make_shard)  # noqa: B010  mypy knows no other way
    sys.exit(importlib.import_module("pipeline.__main__").main(["waveforms"]))


def made() -> dict[str, str]:
    """Return a hash of every file that stages made."""
    files = [path for path in sorted(_DATA.rglob("*")) if path.is_file() and "demo" not in path.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main(stage: str, *steps: str) -> None:
    """Kill a stage, let it go on, and say how it ended, again and again."""
    run = importlib.import_module(f"pipeline.stages.{stage}").run
    before = _DATA.with_name("before")
    shutil.copytree(_DATA, before, symlinks=True)
    for step in map(int, steps):
        shutil.rmtree(_DATA)
        shutil.copytree(before, _DATA, symlinks=True)
        killed = _forked(functools.partial(arm, step), run) == -signal.SIGKILL
        status = _forked(run)
        print(json.dumps({"step": step, "killed": killed, "status": status, "made": made()}), flush=True)


def _forked(*functions: Callable[[], Any]) -> int:
    """Call functions in a child; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        for function in functions:
            function()
        os._exit(0)
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
