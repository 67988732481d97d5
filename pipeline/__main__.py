"""The command line: ``python -m pipeline STAGE`` is what dvc.yaml calls.

Results go to stdout, progress and log lines to stderr. Exit status 0: the outputs are whole. 1: a failure, explained in
one message (``--verbose`` adds the traceback). 2: wrong usage or wrong parameters. 130: interrupted.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.core import interrupts
from pipeline.core.terminal import amount, printable, printable_lines

Command = Callable[[argparse.Namespace], int]


class Stage(NamedTuple):
    """A stage of dvc.yaml: the wing whose `stage.run` it calls, and what it does."""

    wing: str
    description: str


STAGES = {
    "download": Stage("snapshot", "open the snapshot: its tables, an index of its members, a receipt"),
    "stratify": Stage("sampling", "put all eligible clips into one fixed order"),
    "subsample": Stage("clips", "fetch and check the first good clips of that order"),
    "waveforms": Stage("waveforms", "decode them to mono waveforms in Parquet shards"),
    "features": Stage("views.features", "measure them: pitch, timbre, level, words"),
    "report": Stage("report", "compare the sample with what it was drawn from"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        with interrupts.redeliver_sigint():
            return int(options.run(options))
    except KeyboardInterrupt as error:
        return _failed(options, error, "interrupted; what is done is kept, run it again to go on", 130)
    except Exception as error:
        explain = _imported("pipeline.core.errors").explain
        message, status = explain(error)
        if message is None:
            raise
        return _failed(options, error, message, status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline", description="From a huge audio data set to a small, fair, reproducible one."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, stage in STAGES.items():
        _add_command(commands, name, stage.description, _run_stage)
    _add_command(commands, "estimate", "say what the sample will cost, before any clip is fetched", _run_estimate)
    _add_command(commands, "doctor", "see whether this machine has what a run needs", _run_doctor)
    show = _add_command(commands, "show", "say what is known of a clip, and draw it", _run_show)
    show.add_argument("clip_id", metavar="CLIP_ID", help="such as valid-test/sample-000003")
    show.add_argument("--out", type=_png, metavar="FILE.png", help="where to draw it (default: in reports/clips/)")
    export = _add_command(commands, "export", "write clips as audio files, with a table beside them", _run_export)
    export.add_argument("--clips", type=_count, required=True, metavar="N", help="how many, from the first on")
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="an empty folder, or a new one")
    export.add_argument(
        "--format",
        choices=("mp3", "wav", "flac", "lhotse"),
        default="mp3",
        help="mp3 (default) is the original, lhotse is FLAC with a CutSet",
    )
    export.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE", help="such as gender=female; may be repeated"
    )
    export.add_argument("--pictures", action="store_true", help="add a picture of each, its spectrogram, as PNG")
    export.add_argument("--force", action="store_true", help="write even if there are files, replacing same names")
    verify = _add_command(commands, "verify", "say whether what lies in a folder is whole and consistent", _run_verify)
    verify.add_argument("folder", type=Path, nargs="?", default=Path(), metavar="FOLDER", help="default: this project")
    publish = _add_command(commands, "publish", "make a folder that is ready to upload, and say how", _run_publish)
    publish.add_argument("--for", dest="place", choices=("huggingface", "kaggle"), required=True, help="where to")
    publish.add_argument("--to", type=Path, required=True, metavar="DIR", help="an empty folder, or a new one")
    publish.add_argument("--owner", type=_account, metavar="NAME", help="your name there")
    publish.add_argument("--force", action="store_true", help="replace a folder that this command made before")
    transcribe = _add_command(commands, "transcribe", "recognise what is said, and compare it", _run_transcribe)
    transcribe.add_argument("--engine", choices=("whisper", "pocketsphinx"), default="whisper", help="default: whisper")
    transcribe.add_argument(
        "--model", metavar="NAME", help="of the engine (default: tiny.en), or a folder that has one"
    )
    return parser


def _add_command(commands: Any, name: str, description: str, run: Command) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=description, description=description)
    command.add_argument("--verbose", action="store_true", help="show the traceback of a failure")
    command.set_defaults(run=run)
    return command


def _imported(module: str) -> Any:
    """Import what a command needs, and no other does; an extension module is not interrupted half-way."""
    with interrupts.defer_sigint():
        return importlib.import_module(module)


def _run_stage(options: argparse.Namespace) -> int:
    stage = _imported(f"pipeline.{STAGES[options.command].wing}.stage")
    _imported("pipeline.core.pandas_later").put_off()
    with _imported("pipeline.core.atomic").exclusive_lock(options.command):
        _say(f"{options.command}: {printable_lines(stage.run())}")
    return 0


def _run_estimate(_: argparse.Namespace) -> int:
    _say(_imported("pipeline.commands.estimate").report())
    return 0


def _run_doctor(_: argparse.Namespace) -> int:
    failures = 0
    for finding in _imported("pipeline.commands.doctor").findings():
        _say(str(finding))
        failures += finding.status == "failure"
    return 1 if failures else 0


def _run_show(options: argparse.Namespace) -> int:
    _say(_imported("pipeline.commands.show").run(options.clip_id, options.out))
    return 0


def _run_export(options: argparse.Namespace) -> int:
    export = _imported("pipeline.commands.export")
    said = export.run(
        options.clips,
        options.to,
        file_format=options.format,
        where=options.where,
        pictures=options.pictures,
        force=options.force,
    )
    _say(f"export: {said}")
    return 0


def _run_verify(options: argparse.Namespace) -> int:
    verdict = _imported("pipeline.commands.verify.audit").run(options.folder)
    for problem in verdict.problems:
        _say(printable(str(problem)))
    if verdict.unguarded:
        names = ", ".join(map(str, verdict.unguarded))
        print(
            f"verify: no dvc.lock or SHA256SUMS here has a checksum of {names}: only the content was compared",
            file=sys.stderr,
        )
    if verdict.missing:
        names = ", ".join(map(str, verdict.missing))
        print(
            f"verify: not here, though dvc.lock records it: {names} (dvc pull gets it, or dvc repro makes it)",
            file=sys.stderr,
        )
    found = f"{amount(verdict.files, 'file')}, {verdict.size_bytes / 1e6:.1f} MB"
    if verdict.problems:
        print(f"verify: {amount(len(verdict.problems), 'problem')} in {found}", file=sys.stderr)
        return 1
    said = f"{found}, whole and consistent" if verdict.has_data else "no data is here, only metrics.json"
    _say(f"verify: {said}")
    return 0


def _run_publish(options: argparse.Namespace) -> int:
    publication = _imported("pipeline.commands.publish.publication")
    with _imported("pipeline.core.atomic").exclusive_lock(options.command):
        said = publication.run(options.place, options.to, owner=options.owner, force=options.force)
    _say(f"publish: {printable_lines(said)}")
    return 0


def _run_transcribe(options: argparse.Namespace) -> int:
    transcribe = _imported("pipeline.commands.transcribe")
    with _imported("pipeline.core.atomic").exclusive_lock(options.command):
        _say(f"transcribe: {transcribe.run(options.engine, options.model)}")
    return 0


def _say(text: str) -> None:
    """Print a result at once. Whoever read it may have ended, such as `head`: the rest goes nowhere, the command on."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"should be a number of clips, 1 or more; got {text!r}")
    return int(text)


def _png(text: str) -> Path:
    if not text.endswith(".png"):
        raise argparse.ArgumentTypeError(f"should be a file whose name ends in .png; got {text!r}")
    return Path(text)


def _account(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"should be the name of an account; got {text!r}")
    return text


def _failed(options: argparse.Namespace, error: BaseException, message: str, status: int) -> int:
    if options.verbose:
        traceback.print_exception(error)
    print(f"{options.command}: {printable_lines(message)}", file=sys.stderr)
    return status


if __name__ == "__main__":
    # What a command imports stays until it ends: to look for garbage in it takes a tenth of a second.
    gc.set_threshold(100_000)
    status = main()
    gc.freeze()
    sys.exit(status)
