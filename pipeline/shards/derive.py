"""One folder of shards from another: find those that are right, make the others, publish, retire.

A recipe says how (`pipeline.shards.recipe`). The derived shards have the numbers and the rows of their sources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pipeline.core.errors import WorkerError
from pipeline.core.progress import progress
from pipeline.shards import sealed
from pipeline.shards.folder import ShardFolder, shard_name, shard_paths
from pipeline.shards.making import make_shard
from pipeline.shards.recipe import DerivedSeal, Recipe, expected_seal, machine
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.verification import opened, verifying

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Where shards are made (`pipeline.engines`)."""

    def start(self, function: Callable[..., Any], tasks: int) -> AbstractContextManager[tuple[Executor, int]]:
        """Start an executor for calls of `function`, at least one; yield it, and how many it should have in flight."""


@dataclass(frozen=True)
class Derived:
    """What `derive` did: rows and shards that are there now, and rows of them that were computed."""

    rows: int
    shards: int
    computed: int


def derive(recipe: Recipe, source: Path, target: Path, engine: Engine) -> Derived:
    """Make the shards of `target` from those of `source`.

    Law 6: what was there before, how it was interrupted, and how many workers there are change no byte. Shards that
    are whole and were made in the same way from the same source stay; of others, rows whose inputs are the same are
    copied; shards of another revision, or from another kind of machine, are made again from their first row.

    Raises
    ------
    ShardError
        A source is missing or damaged, or the recipe cannot make a row of it.
    WorkerError
        A worker died; what was done is kept.
    """
    sources = [Shard(path, Seal) for path in shard_paths(source)]
    sealed.require_in_order(sources)
    folder = ShardFolder(target)
    before = opened(folder.existing(), DerivedSeal)
    _say_if_made_elsewhere(target, before.values())

    def made_of(shard: Shard[Seal], path: Path) -> Shard[DerivedSeal] | None:
        made = before.get(path)
        return made if made and made.seal.fingerprint == expected_seal(recipe, shard.seal).fingerprint else None

    there = {number: folder.find(number, partial(made_of, shard)) for number, shard in enumerate(sources)}
    with verifying({number: shard for number, shard in there.items() if shard}) as damaged:
        computed = _make(recipe, {number: sources[number] for number in there if not there[number]}, folder, engine)
        computed += _make(recipe, {number: sources[number] for number in damaged}, folder, engine)
    folder.publish(len(sources))
    return Derived(sum(shard.num_rows for shard in sources), len(sources), computed)


def _make(recipe: Recipe, sources: Mapping[int, Shard[Seal]], folder: ShardFolder, engine: Engine) -> int:
    """Make the shards of these numbers; return how many rows were computed."""
    if not sources:
        return 0
    tasks = {
        shard_name(number): (recipe, shard.path, folder.new(number), folder.published(number))
        for number, shard in sources.items()
    }
    with (
        progress(recipe.NAME, len(tasks), "shards") as bar,
        engine.start(make_shard, len(tasks)) as (executor, in_flight),
    ):
        computed = 0
        for _, count in map_shards(executor, make_shard, tasks, in_flight):
            computed += count
            bar.update(1)
        return computed


def map_shards(
    executor: Executor,
    function: Callable[..., Result],
    tasks: Mapping[str, tuple[Any, ...]],
    in_flight: int,
) -> Iterator[tuple[str, Result]]:
    """Call `function` with each shard's arguments, so many at a time; yield (shard, result) as they get done.

    The first error is raised.

    Raises
    ------
    WorkerError
        A worker died: names the shards that were being made.
    """
    running: dict[Future[Result], str] = {}
    waiting = iter(tasks.items())
    try:
        while True:
            for shard, arguments in (task for _, task in zip(range(in_flight - len(running)), waiting, strict=False)):
                running[executor.submit(function, *arguments)] = shard
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
    except BrokenExecutor:
        shards = " or ".join(sorted(running.values())) or "nothing yet"
        raise WorkerError(
            f"a worker process died while it made {shards}; it was killed, or memory ran out.\n"
            "Shards that are done are kept. Run it again, with fewer workers if memory is short (configs/runtime.yaml)."
        ) from None


def _say_if_made_elsewhere(target: Path, shards: Iterable[Shard[DerivedSeal]]) -> None:
    others = sorted({shard.seal.decoder.get("machine", "another machine") for shard in shards} - {machine()})
    if others:
        log.warning(
            "%s was made on %s, whose decoder may differ in the last bit from that on %s: all of it is made again. "
            "`dvc pull` brings the original.",
            target,
            " and ".join(others),
            machine(),
        )
