"""Trials and their judgement, and the table of what was tried.

``python -m tests.support.chaos.bench --trials 2000 --seed 7``
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import socket
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support.chaos import damage, network, runs, settings, stands
from tests.support.chaos.runs import Ended
from tests.support.chaos.stands import SAMPLE, Stand
from tests.support.fake_kaggle import SECRET
from tests.support.project import STAGES

SAME, MESSAGE, USAGE, INTERRUPTED = "same bytes", "message, status 1", "message, status 2", "interrupted, status 130"
OUTCOMES = (SAME, MESSAGE, USAGE, INTERRUPTED)
_NEVER = ("Traceback", "Exception ignored", "Error:", "core dumped", SECRET, "user:pw", "\x1b[2J", "\x1b[31m")
_MOST_SAID = 6000  # characters: one message
_SOURCES = ("archive", "folder", "url", "kaggle", "pieces")
_OWNERS = {  # of outputs: the stage from which DVC runs again
    "data/snapshot": "download",
    "data/ranking.parquet": "stratify",
    "data/clips": "subsample",
    "data/rejected.csv": "subsample",
    "data/sample.parquet": "subsample",
    "data/waveforms": "waveforms",
    "data/features": "features",
    "reports": "report",
}


class GotThrough(Exception):
    """A trial that ended as none may."""


@dataclass(frozen=True)
class Result:
    """How a trial ended."""

    number: int
    kind: str
    what: str
    outcome: str
    problem: str = ""
    seconds: float = 0.0


@dataclass
class Trial:
    """One fault in one project."""

    stand: Stand
    dice: random.Random
    what: str = ""

    def run(self, *commands: Sequence[str], **how: object) -> Ended:
        """Run commands there, and judge how they say what went wrong."""
        self.what += f" | {' '.join(command[0] for command in commands)}"
        ended = runs.run(self.stand.root, commands, prepare=how.pop("prepare", self.stand.environment), **how)  # type: ignore[arg-type]
        self.judge(ended, commands)
        return ended

    def judge(self, ended: Ended, commands: Sequence[Sequence[str]]) -> None:
        """Make sure that a run ended by itself, and in one message."""
        if not ended.in_time:
            raise GotThrough(f"not at an end after {runs.DEADLINE_SECONDS:g} s: {ended.said[-1000:]}")
        killed = ended.signalled and ended.status == -signal.SIGKILL
        allowed = {0, 1, 2} | ({130} if ended.signalled else set()) | ({ended.status} if killed else set())
        if ended.status not in allowed:
            raise GotThrough(f"exit status {ended.status}: {ended.said[-2000:]}")
        for word in _NEVER:
            if word in ended.said:
                raise GotThrough(f"{word!r} was said: {ended.said[-3000:]}")
        if ended.status > 0:
            command = commands[len(ended.statuses) - 1][0]
            messages = sum(
                line.startswith((f"{command}: ", "usage: ")) for line in ended.said.replace("\r", "\n").split("\n")
            )
            # A Ctrl-C may come when a command has just said what it did, or between two of them.
            if messages != 1 and not (ended.status == 130 and messages in (0, 2)):
                raise GotThrough(f"{messages} messages: {ended.said[-2000:]}")
            if len(ended.said) > _MOST_SAID:
                raise GotThrough(f"{len(ended.said)} characters were said: {ended.said[:300]} … {ended.said[-300:]}")

    def require_same(self, stages: tuple[str, ...], found: str, of: Sequence[str] = ("",)) -> None:
        """Compare the outputs whose path starts with one of `of` with those of a clean run."""
        expected, got = (self.stand.only(each, stages) for each in (self.stand.clean, self.stand.outputs()))
        differing = sorted(
            path
            for path in expected.keys() | got.keys()
            if expected.get(path) != got.get(path) and path.startswith(tuple(of))
        )
        if differing:
            raise GotThrough(f"{found}, other bytes: {', '.join(differing[:6])}")

    def heal(self, stages: tuple[str, ...] = SAMPLE) -> None:
        """Run everything with nothing in its way: it has to make what a clean run makes."""
        ended = self.stand.healthy(stages)
        if ended.statuses != (0,) * len(stages):
            raise GotThrough(f"the next healthy run ended with {ended.statuses}: {ended.said[-2000:]}")
        copied = any((self.stand.root / "data/archive").glob("*.zip"))  # whole: what the server said may be unknown
        of = [path for path in self.stand.clean if not copied or not path.endswith("receipt.json")]
        self.require_same(stages, "after the next healthy run", of=[*of, "data/.", "data/clips"])


def outcome_of(ended: Ended) -> str:
    """Return the column of the table for how a run ended."""
    return {0: SAME, 1: MESSAGE, 2: USAGE, 130: INTERRUPTED}.get(ended.status, SAME)


def stages(*names: str) -> list[list[str]]:
    """Return commands that run these."""
    return [[name] for name in names]


def server(trial: Trial) -> str:
    """A server answers wrongly while the snapshot is opened and clips are fetched."""
    trial.what, faults = network.faults(trial.dice, trial.stand.source == "kaggle")
    state = trial.dice.choice(["none", "none", "smaller", "other"])
    trial.stand.restore(state)
    trial.what += f" on {state}"
    chain = SAMPLE[:3]
    if state != "none" and trial.dice.random() < 0.5:
        chain = ("subsample",)
    with trial.stand.served(faults):
        ended = trial.run(*stages(*chain))
    if ended.status == 0:
        trial.require_same(SAMPLE, "exit status 0", of=("data/clips", "data/rejected", "data/sample"))
    trial.heal()
    return outcome_of(ended)


def moment(trial: Trial, sent: signal.Signals) -> str:
    """A run is killed, or gets Ctrl-C, at a random moment."""
    state = trial.dice.choice(["none", "none", "clean", "smaller", "other"])
    chain = STAGES if trial.dice.random() < 0.2 else SAMPLE
    trial.what = f"{sent.name} on {state}"
    trial.stand.restore(state)
    seconds = trial.stand.seconds * (0.6 if state == "clean" else 1) + (0.4 if chain is STAGES else 0)
    after = trial.dice.uniform(0, seconds)
    with trial.stand.served():
        ended = trial.run(*stages(*chain), kill=(sent, after))
    trial.heal(chain)
    return outcome_of(ended)


def limit(trial: Trial) -> str:
    """No file can grow beyond a random size, as on a disk that is nearly full."""
    most = int(10 ** trial.dice.uniform(1, 5.7))
    state = trial.dice.choice(["none", "smaller", "other"])
    trial.what = f"at most {most} bytes on {state}"
    trial.stand.restore(state)

    def prepare() -> None:
        trial.stand.environment()
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(most, 1), runs.LARGEST_FILE_BYTES))

    with trial.stand.served():
        ended = trial.run(*stages(*SAMPLE), prepare=prepare)
    trial.heal()
    return outcome_of(ended)


def output(trial: Trial) -> str:
    """A file that a stage made is damaged, and DVC has it made again."""
    path, trial.what = _damaged_output(trial)
    found = trial.stand.outputs()
    damaged = [each for each in trial.stand.clean if found.get(each) != trial.stand.clean[each]] or [path]
    owners = [next(stage for place, stage in _OWNERS.items() if each.startswith(place)) for each in damaged]
    owner = min(owners, key=STAGES.index)  # what was swapped may be of two stages
    chain = STAGES[STAGES.index(owner) :]
    if owner != "report":
        chain = chain[:-1]
    with trial.stand.served():
        ended = trial.run(*stages(*chain))
    if ended.status == 0:
        trial.require_same(chain, "exit status 0")
    else:  # as its message says: what is there is removed, and made again
        for each in damaged:
            stands.remove(trial.stand.root / each)
    trial.heal(chain)
    return outcome_of(ended)


def reader(trial: Trial) -> str:
    """A file that a stage made is damaged, and somebody reads it."""
    path, trial.what = _damaged_output(trial)
    root = trial.stand.root
    later = [name for name, of in _READERS.items() if path.startswith(of)] or ["report"]
    command = trial.dice.choice(later)
    arguments = {
        "export": ["export", "--clips", "12", "--to", "out", "--format", trial.dice.choice(["mp3", "wav"])],
        "show": ["show", trial.dice.choice(_clip_ids(trial.stand)), "--out", "out/clip.png"],
    }.get(command, [command])
    with trial.stand.served():
        ended = trial.run(arguments)
        made = {each.name: each.read_bytes() for each in sorted((root / "out").glob("*"))}
        last = max(each for each in trial.stand.clean if each.startswith(str(Path(path).parent)))
        if path == last and trial.what.startswith(f"{path}: missing") and command in ("waveforms", "features"):
            trial.heal()  # without its last shard, a folder looks like a smaller sample; DVC knows better
            return outcome_of(ended)
        if ended.status == 0 and command in STAGES:
            of = [place for place, owner in _OWNERS.items() if owner == command]
            trial.require_same(STAGES, "exit status 0", of=of)
        elif ended.status == 0:
            if command == "estimate":  # it says what a run would do now
                return outcome_of(ended)
            said = ended.said
            trial.stand.restore()
            clean = runs.run(root, [arguments], prepare=trial.stand.environment)
            if said != clean.said or made != {
                each.name: each.read_bytes() for each in sorted((root / "out").glob("*"))
            }:
                raise GotThrough(f"exit status 0, other results: {said[-600:]} in place of {clean.said[-600:]}")
    return outcome_of(ended)


_READERS = {  # which command reads which outputs
    "stratify": ("data/snapshot/",),
    "subsample": ("data/snapshot/", "data/ranking"),
    "waveforms": ("data/clips",),
    "features": ("data/waveforms",),
    "report": ("data/",),
    "export": ("data/clips", "data/waveforms"),
    "show": ("data/clips", "data/waveforms"),
    "estimate": ("data/snapshot/", "data/clips"),
}


def _clip_ids(stand: Stand) -> list[str]:
    return [line.split(",")[0] for line in stand.clean["data/rejected.csv"].decode().splitlines()[1:]] or ["x"]


def _damaged_output(trial: Trial) -> tuple[str, str]:
    trial.stand.restore()
    path = trial.dice.choice(sorted(trial.stand.clean))
    if path.startswith("reports/") and trial.dice.random() < 0.6:
        path = trial.dice.choice([each for each in sorted(trial.stand.clean) if each.startswith("data/")])
    folder = (trial.stand.root / path).parent
    others = [each for each in sorted(folder.iterdir()) if each.is_file()]
    return path, f"{path}: {damage.damage(trial.stand.root / path, trial.dice, others)}"


def archive(trial: Trial) -> str:
    """The archive, or a file of a folder, is damaged; what is made of it does not depend on what was there before."""
    root, dice = trial.stand.root, trial.dice
    trial.stand.restore()
    if trial.stand.source == "archive":
        path = root / "archive.zip"
        done = damage.damage(path, dice, [path])
    else:
        files = [each for each in sorted((root / "folder").rglob("*")) if each.is_file()]
        path = dice.choice(files)
        done = damage.damage(path, dice, [])
    trial.what = f"{path.name}: {done}"
    whole = trial.stand.kept / "inputs" / path.relative_to(root)
    unseen = trial.stand.source == "folder" and path.is_file() and path.stat().st_size == whole.stat().st_size
    return _with_other_input(trial, unseen=unseen)


def table(trial: Trial) -> str:
    """A table of the snapshot is damaged before it is served."""
    root, dice = trial.stand.root, trial.dice
    trial.stand.restore()
    path = dice.choice(sorted((root / "folder").glob("*.csv")))
    text = path.read_bytes()
    if dice.random() < 0.5:
        odd = [b'"', b"\0", b"\r", b",", b"\xff", b"=1+1", b"\x1b[2J", b"<script>", b"../../x.mp3", b"9" * 400, b"\n\n"]
        done = f"{(more := dice.choice(odd))!r} is put in"
        at = dice.randrange(len(text))
        damage.replace(path, text[:at] + more + text[at:])
    else:
        done = damage.damage(path, dice, sorted((root / "folder").glob("*.csv")))
    trial.what = f"{path.name}: {done}"
    return _with_other_input(trial)


def _with_other_input(trial: Trial, *, unseen: bool = False) -> str:
    """Run on top of what there is, and from scratch; `unseen` is a change that nothing but its bytes tells of."""
    ended = trial.run(*stages(*SAMPLE))
    if ended.status == 0:
        first = trial.stand.outputs()
        for made in ("data", "reports"):
            stands.remove(trial.stand.root / made)
        again = trial.run(*stages(*SAMPLE))
        of_data = [
            {path: data for path, data in each.items() if path.startswith("data/")}
            for each in (first, trial.stand.outputs())
        ]
        # Clips of an archive that were good by their CRC-32 before are kept, even if their bytes changed.
        comparable = trial.stand.source != "archive" and not unseen
        if comparable and (again.status or of_data[0] != of_data[1]):
            differing = sorted(path for path in of_data[0] if of_data[0][path] != of_data[1].get(path))
            raise GotThrough(f"other bytes than from scratch, status {again.status}: {differing[:5]}")
    trial.stand.restore_inputs()
    if unseen:  # a folder has no checksums: docs/reliability.md
        stands.remove(trial.stand.root / "data/clips")
    trial.heal()
    return outcome_of(ended)


def setting(trial: Trial) -> str:
    """A settings file, or a variable of the environment, says something odd."""
    trial.stand.restore()
    root, dice = trial.stand.root, trial.dice
    place = dice.choice(
        ["params.yaml"] * 3 + [f"configs/snapshots/{trial.stand.name}.yaml", "configs/runtime.yaml", "environment"]
    )
    before = trial.stand.outputs()

    def prepare() -> None:
        trial.stand.environment()
        if place == "environment":
            import os

            os.environ.update(variables)

    variables = settings.environment(dice)
    if place == "environment":
        trial.what = f"{variables}"[:200]
    else:
        path = root / place
        if dice.random() < 0.1:
            done = damage.damage(path, dice, [])
        else:
            done, data = settings.fuzzed(path.read_text(), dice)
            damage.replace(path, data)
        trial.what = f"{place}: {done}"
    with trial.stand.served():
        ended = trial.run(*stages(*SAMPLE), prepare=prepare)
    if ended.status == 2 and len(ended.statuses) == 1 and trial.stand.outputs() != before:
        raise GotThrough("a run that refused its settings changed outputs")
    trial.stand.restore_inputs()
    trial.heal()
    return outcome_of(ended)


_KINDS: dict[str, tuple[Callable[[Trial], str], tuple[str, ...], int]] = {  # what, where, how often
    "a server that answers wrongly": (server, ("url", "kaggle", "pieces"), 5),
    "killed at a random moment": (partial(moment, sent=signal.SIGKILL), _SOURCES, 3),
    "Ctrl-C at a random moment": (partial(moment, sent=signal.SIGINT), _SOURCES, 3),
    "no room on the disk": (limit, _SOURCES, 2),
    "an output damaged, then made again": (output, ("archive",), 4),
    "an output damaged, then read": (reader, ("archive",), 4),
    "the archive or folder damaged": (archive, ("archive", "folder"), 3),
    "a table damaged": (table, ("folder",), 2),
    "odd settings": (setting, ("archive", "folder"), 4),
}


def bench(trials: int, seed: int, folder: Path, only: str = "", first: int = 0) -> list[Result]:
    """Run a number of trials; each depends only on the seed and its own number."""
    runs.import_all()
    made: dict[str, Stand] = {}
    results = []
    names = [name for name, (_, _, weight) in _KINDS.items() for _ in range(weight)]
    for number in range(first, first + trials):
        dice = random.Random(f"{seed} {number}")
        kind = names[number % len(names)] if not only else next(name for name in names if only in name)
        function, sources, _ = _KINDS[kind]
        source = dice.choice(sources)
        if source not in made:
            made[source] = stands.build(folder, source, _free_port())
        trial = Trial(made[source], dice)
        started = time.monotonic()
        try:
            outcome, problem = function(trial), ""
        except GotThrough as error:
            outcome, problem = "got through", str(error)
        results.append(Result(number, kind, f"{source}: {trial.what}", outcome, problem, time.monotonic() - started))
        if (number - first) % 200 == 199:
            print(f"{number - first + 1} trials", file=sys.stderr, flush=True)
        if problem:
            print(f"{number} {kind}, {results[-1].what}\n    {problem!r}", file=sys.stderr, flush=True)
    return results


def as_table(results: Sequence[Result]) -> str:
    """Return Markdown: a row for each kind of fault, with how many trials ended how."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[result.kind][result.outcome] += 1
        counts["all"][result.outcome] += 1
    columns = [*OUTCOMES, "got through"]
    lines = [f"| fault | trials | {' | '.join(columns)} |", f"|---|{'--:|' * (1 + len(columns))}"]
    for kind in [*(kind for kind in _KINDS if kind in counts), "all"]:
        cells = [str(counts[kind].total()), *(str(counts[kind][column] or "–") for column in columns)]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> int:
    """Run the bench; print its table; fail where anything got through."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial, to see one again")
    parser.add_argument("--only", default="", help="part of the name of one kind of fault")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        results = bench(options.trials, options.seed, Path(folder), options.only, options.first)
    print(as_table(results))
    print(f"\nSeed {options.seed}, {time.monotonic() - started:.0f} s.")
    return int(any(result.problem for result in results))


if __name__ == "__main__":
    sys.exit(main())
