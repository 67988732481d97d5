"""The command line: ``python -m pipeline STAGE`` is what dvc.yaml calls.

Results go to stdout, progress and log lines to stderr. Exit status 0: the outputs are whole. 1: a failure, explained in
one message (``--verbose`` adds the traceback). 2: wrong usage or wrong parameters. 130: interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.core import interrupts
from pipeline.core.errors import explain
from pipeline.core.terminal import amount, printable_lines
from pipeline.registry import COMMANDS, SHARDS, STAGES


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one stage or command; return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = argparse.Namespace(command=next(iter(words), ""), verbose=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        with interrupts.redeliver_sigint():
            _parser(options.command).parse_args(words, options)
            if options.command in STAGES:
                texts = _run_stage(options.command)
            else:
                texts = importlib.import_module(COMMANDS[options.command].module).run(options)
            for text in texts:
                _print(printable_lines(text))
    except KeyboardInterrupt as error:
        return _failed(options, error, f"interrupted; {_kept(options.command)}", 130)
    except Exception as error:
        message, status = explain(error)
        if message is None:
            raise
        return _failed(options, error, message, status)
    return 0


def _parser(name: str) -> argparse.ArgumentParser:
    """Return a parser that knows all stages and commands, and the arguments of the one called `name`."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline", description="From a huge audio data set to a small, fair, reproducible one."
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for each, command in (STAGES | COMMANDS).items():
        subparser = subparsers.add_parser(each, help=command.description, description=command.description)
        subparser.add_argument("--verbose", action="store_true", help="show the traceback of a failure")
        if each == name and each in COMMANDS:
            importlib.import_module(command.module).arguments(subparser)
    return parser


def _run_stage(name: str) -> Iterator[str]:
    stage = importlib.import_module(STAGES[name].module)
    from pipeline.core import atomic  # noqa: PLC0415  needs pyarrow, and --help does not

    with atomic.exclusive_lock(name):
        yield f"{name}: {stage.run()}"


def _kept(name: str) -> str:
    """Return what an interrupted stage or command leaves for its next run: the new shards that are whole."""
    if name not in SHARDS:
        return "run it again"
    shards = len([*Path("data", f".{SHARDS[name]}").glob("part-*.parquet")])  # as `pipeline.shards.folder` has it
    if not shards:
        return "no new shard was whole yet, so what was begun is not kept; run it again"
    return f"{amount(shards, 'new shard')} {'is' if shards == 1 else 'are'} whole and kept, run it again to go on"


def _print(text: str) -> None:
    """Print a result at once. If the reader has closed the pipe (`head`), discard the rest."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(options: argparse.Namespace, error: BaseException, message: str, status: int) -> int:
    if options.verbose:
        traceback.print_exception(error)
    print(f"{options.command}: {printable_lines(message)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
