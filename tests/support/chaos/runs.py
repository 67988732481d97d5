"""Commands of the pipeline in forks of this process, which has imported everything: a run is nearly all work."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import resource
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pipeline.__main__
from pipeline.__main__ import main
from pipeline.registry import STAGES
from pipeline.snapshot.remote import retries

DEADLINE_SECONDS = 15.0  # of what should take half a second
LARGEST_FILE_BYTES = 64 << 20  # that a run may write: no trial can fill a disk

Command = Sequence[str]


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes
    ----------
    statuses
        Exit status of each command that was started; negative for a signal.
    said
        What they wrote to stdout and stderr.
    in_time
        Whether all of its processes ended by themselves.
    signalled
        Whether it was still at work when the signal was sent.
    """

    statuses: tuple[int, ...]
    said: str
    in_time: bool
    signalled: bool = False

    @property
    def status(self) -> int:
        """Of the last command."""
        return self.statuses[-1]


def import_all() -> None:
    """Import what any command needs, before the first fork."""
    for stage in STAGES.values():
        importlib.import_module(stage.module)
    for command in ("estimate", "export", "show"):
        importlib.import_module(f"pipeline.commands.{command}")
    for module in ("kaggle", "full_download", "ranges"):
        importlib.import_module(f"pipeline.snapshot.remote.{module}")
    for late in ("filelock", "pipeline.engines.local", "pyarrow.dataset", "soxr"):
        importlib.import_module(late)


def run(
    root: Path,
    commands: Sequence[Command],
    *,
    prepare: Callable[[], None] = lambda: None,
    kill: tuple[signal.Signals, float] | None = None,
) -> Ended:
    """Run commands in the folder `root` until one fails; `kill` is a signal, and how many seconds later to send it."""
    reading, writing = os.pipe()
    said, saying = os.pipe()  # no file: the largest that a run may write is limited
    os.set_blocking(said, False)
    pid = os.fork()
    if not pid:
        os.close(reading)
        _child(root, commands, saying, writing, prepare)
    os.close(writing)
    os.close(saying)
    signalled = False
    try:
        if kill is not None and _reads(reading, DEADLINE_SECONDS) and not _ends_within(reading, kill[1]):
            signalled = True
            os.kill(pid, kill[0])
        in_time = _ends_within(reading, DEADLINE_SECONDS)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        text = os.read(said, 1 << 20).decode(errors="replace")  # a pipe holds less; who says more is not in time
    except BlockingIOError:  # nothing
        text = ""
    os.close(said)
    done = text.count("\0ended\n")
    return Ended((0,) * done + ((code,) if code or not done else ()), text.replace("\0ended\n", ""), in_time, signalled)


def _child(
    root: Path, commands: Sequence[Command], saying: int, writing: int, prepare: Callable[[], None]
) -> None:  # pragma: no cover  in a fork
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts behind its back ignores it
        os.chdir(root)
        for stream in (1, 2):
            os.dup2(saying, stream)
        sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, LARGEST_FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.environ.update(PIPELINE_WORKERS="1", NO_PROXY="127.0.0.1", https_proxy="http://127.0.0.1:9")
        retries.pause_seconds = lambda *_: 0.0  # backs off at once
        prepare()
        _tell_when_at_work(writing)
        for command in commands:
            status = main(list(command))
            if status:
                break
            print("\0ended", flush=True)
    except KeyboardInterrupt:
        status = 130  # a Ctrl-C between two commands
    except SystemExit as error:  # argparse
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  a traceback is judged
        sys.excepthook(*sys.exc_info())
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter ends: it waits for its threads
        os._exit(status)


def _tell_when_at_work(writing: int) -> None:
    """Write a byte as soon as a command has begun: from there on a Ctrl-C is its own."""
    parser = pipeline.__main__._parser
    told: list[bool] = []

    def telling(name: str) -> argparse.ArgumentParser:
        if not told:
            told.append(True)
            os.write(writing, b"!")
        return parser(name)

    pipeline.__main__._parser = telling


def _reads(descriptor: int, seconds: float) -> bool:
    """Tell whether there is a byte within that time."""
    return bool(select.select([descriptor], [], [], seconds)[0]) and bool(os.read(descriptor, 1))


def _ends_within(descriptor: int, seconds: float) -> bool:
    """Tell whether all processes that hold the other end are gone within that time."""
    until = time.monotonic() + seconds
    while select.select([descriptor], [], [], max(0.0, until - time.monotonic()))[0]:
        if not os.read(descriptor, 64):
            return True
    return False
