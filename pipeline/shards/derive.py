"""One folder of shards from another: keep the right ones, make the others, publish, retire.

A recipe says how (`pipeline.shards.recipe`). The derived shards have the numbers and the rows of their sources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from pipeline.core.errors import ShardError, WorkerError
from pipeline.core.progress import progress
from pipeline.shards import sealed
from pipeline.shards.folder import ShardFolder, existing_shards, open_shards, shard_name, shard_paths, whole_shards
from pipeline.shards.recipe import DerivedSeal, Recipe, expected_seal, machine, row_digests
from pipeline.shards.sealed import Seal, Shard

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Where shards are made (`pipeline.engines`)."""

    def start(self, function: Callable[..., Any], tasks: int) -> AbstractContextManager[tuple[Executor, int]]:
        """Start an executor for calls of `function`, at least one; yield it, and how many it should have in flight."""


@dataclass(frozen=True)
class Derived:
    """The rows and shards of a folder after `derive`, and how many of the rows it computed."""

    rows: int
    shards: int
    computed: int


def derive(recipe: Recipe, source: Path, target: Path, engine: Engine, rows: int | None = None) -> Derived:
    """Make the shards of `target` from those of `source`, or from their first `rows` rows.

    Law 6: the bytes depend neither on earlier or interrupted runs nor on the number of workers. Shards that are whole
    and were made in the same way from the same source stay. In others, rows whose inputs are the same are copied.
    Shards of another revision, or from another kind of machine, are made again from their first row.

    Raises ShardError if a source is missing or damaged, or the recipe cannot make a row of it; WorkerError if a worker
    died: finished shards are kept.
    """
    sources = [Shard(path, Seal) for path in shard_paths(source)]
    sealed.require_in_order(sources)
    parts = list(_first_rows(sources, rows))
    needed = {*recipe.inputs, *recipe.copied}
    for shard in sources:
        if lacking := needed.difference(shard.columns.names):
            raise ShardError(f"{shard.path}: has no column {', '.join(sorted(lacking))}; make it again with: dvc repro")
    folder = ShardFolder(target)
    existing = open_shards(existing_shards(target), DerivedSeal)
    machines = {shard.seal.decoder.get("machine", "another machine") for shard in existing.values()} - {machine()}
    if machines:
        log.warning(
            "%s was made on %s, whose decoder may differ in the last bit from that on %s: all of it is made again. "
            "`dvc pull` brings the original.",
            target,
            " and ".join(sorted(machines)),
            machine(),
        )

    wanted = {
        shard_name(number): expected_seal(recipe, shard.seal, cut).fingerprint
        for number, (shard, cut) in enumerate(parts)
    }
    matching = {path: shard for path, shard in existing.items() if shard.seal.fingerprint == wanted.get(path.name)}
    right = whole_shards(matching)
    tasks = {
        shard_name(number): (recipe, shard.path, folder.new(number), target / shard_name(number), cut)
        for number, (shard, cut) in enumerate(parts)
        if not folder.find(number, right.get)
    }
    computed = 0
    if tasks:
        with (
            progress(recipe.NAME, len(tasks), "shards") as bar,
            engine.start(make_shard, len(tasks)) as (executor, in_flight),
        ):
            for _, new in map_shards(executor, make_shard, tasks, in_flight):
                computed += new
                bar.update(1)
    folder.publish(len(parts))
    made = sum(shard.num_rows if cut is None else cut for shard, cut in parts)
    return Derived(made, len(parts), computed)


def _first_rows(shards: Iterable[Shard[Seal]], rows: int | None) -> Iterator[tuple[Shard[Seal], int | None]]:
    """Yield the shards that have the first `rows`, and how many of each one's rows; None for all of them."""
    for shard in shards:
        if rows is None or rows >= shard.num_rows:
            yield shard, None
        elif rows > 0:
            yield shard, rows
        rows = None if rows is None else rows - shard.num_rows


def map_shards(
    executor: Executor,
    function: Callable[..., Result],
    tasks: Mapping[str, tuple[Any, ...]],
    in_flight: int,
) -> Iterator[tuple[str, Result]]:
    """Call `function` with the arguments of each shard, at most `in_flight` at a time; yield results as they arrive.

    The first error is raised.

    Raises the first error; WorkerError, which names the shards that were being made, if a worker died.
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


def make_shard(recipe: Recipe, source: Path, target: Path, earlier: Path, cut: int | None = None) -> int:
    """Make one shard from another, or from its first `cut` rows, batch by batch; return how many rows were computed.

    Rows that the shard `earlier`, made in the same way, has in the same places and from the same inputs are copied: a
    last shard that grows costs only its new rows.
    """
    shard = Shard(source, Seal)
    shard.verify()
    seal = expected_seal(recipe, shard.seal, cut)
    reusable = open_shards([earlier], DerivedSeal).get(earlier)
    if reusable and not (reusable.seal.is_like(seal) and whole_shards({earlier: reusable})):
        reusable = None
    new_columns = pa.schema([field for field in recipe.columns if field.name not in recipe.copied])
    rows_of = recipe.start(shard)
    digests: list[str] = []
    files: dict[str, str] = {}
    computed = 0
    group: list[pa.Table] = []
    most = recipe.ROW_GROUP_ROWS
    with sealed.writing(target, recipe.columns, recipe.metadata(), **recipe.parquet()) as writer:
        for whole in _batches(shard, list({*recipe.inputs, *recipe.copied}), most):
            rows = whole if cut is None else whole.slice(0, cut - len(digests))
            if not rows.num_rows:
                break
            inputs = rows.select(recipe.inputs)
            new_digests = row_digests(inputs, files)
            parts = []
            if reusable and len(digests) < reusable.num_rows:
                pairs = zip(new_digests, reusable.seal.sources[len(digests) :], strict=False)
                same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
                if same:  # else it may have other columns: that of another data set
                    parts.append(reusable.read(len(digests) // most).slice(len(digests) % most, same))
            reused = sum(part.num_rows for part in parts)
            if reused < rows.num_rows:
                parts.append(rows_of(inputs.slice(reused)))
                computed += rows.num_rows - reused
            made = pa.concat_tables([part.select(new_columns.names).cast(new_columns) for part in parts])
            columns = {name: (rows if name in recipe.copied else made)[name] for name in recipe.columns.names}
            group.append(pa.table(columns, schema=recipe.columns))
            digests += new_digests
            if len(digests) % most == 0 or len(digests) == (shard.num_rows if cut is None else cut):
                writer.write(pa.concat_tables(group).combine_chunks())
                group = []
            del whole, rows, inputs  # as in `_batches`
        writer.seal(replace(seal, sources=tuple(digests)))
    return computed


def _batches(shard: Shard[Seal], columns: list[str], most: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard: each time as many as its row group has, up to the next multiple of `most`."""
    done = 0
    for group in shard.groups:
        rest = shard.read(group, columns)
        pa.default_memory_pool().release_unused()  # of reading a long file, as much again
        while rest.num_rows:
            count = min(rest.num_rows, most - done % most)
            yield rest.slice(0, count)
            done += count
            rest = rest.slice(count)
        del rest  # before the next is read: a row group may be one long file
