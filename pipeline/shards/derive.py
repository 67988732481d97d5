"""One folder of shards from another: find those that are right, make the others, publish, retire.

A recipe says how (`pipeline.shards.recipe`). The derived shards have the numbers and the rows of their sources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from pipeline.core.errors import ShardError, WorkerError
from pipeline.core.progress import progress
from pipeline.shards import sealed, tally
from pipeline.shards.folder import ShardFolder, shard_name, shard_paths
from pipeline.shards.recipe import DerivedSeal, Recipe, expected_seal, machine, row_digests
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.verification import opened, verifying

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Where shards are made (`pipeline.engines`)."""

    def start(self, function: Callable[..., Any], tasks: int) -> AbstractContextManager[tuple[Executor, int]]:
        """Start an executor for so many calls of `function`; yield it, and how many tasks it should have in flight."""


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
        progress(recipe.NAME, sum(shard.num_rows for shard in sources.values()), "clips") as bar,
        tally.watching([target for _, _, target, _ in tasks.values()], bar),
        engine.start(make_shard, len(tasks)) as (executor, in_flight),
    ):
        return sum(count for _, count in map_shards(executor, make_shard, tasks, in_flight))


def make_shard(recipe: Recipe, source: Path, target: Path, earlier: Path) -> int:
    """Make one shard of another; return how many rows were computed.

    Rows that `earlier`, a shard made in the same way, has in the same places and of the same inputs are copied from
    it: a shard that was not full, and is fuller now, costs only what is new.
    """
    shard = Shard(source, Seal)
    shard.verify()
    seal = expected_seal(recipe, shard.seal)
    known = _Earlier.opened(earlier, seal)
    digests: list[str] = []
    computed = 0
    with (
        tally.counting(target) as count,
        sealed.writing(target, recipe.columns, recipe.metadata(), **recipe.parquet()) as writer,
    ):
        for made in ahead(_made(recipe, ahead(_batches(recipe, shard, known)))):
            writer.write(made.rows)
            computed += made.computed
            digests += made.digests
            count(len(made.digests))
        writer.seal(replace(seal, sources=tuple(digests)))
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


class _Earlier:
    """A shard that was made in the same way: rows to copy from."""

    def __init__(self, shard: Shard[DerivedSeal]) -> None:
        self._shard = shard

    @classmethod
    def opened(cls, path: Path, seal: DerivedSeal) -> _Earlier | None:
        """Open a shard if it is there, whole, and was made as `seal` says."""
        try:
            shard = Shard(path, DerivedSeal)
            if not shard.seal.is_like(seal):
                return None
            shard.verify()
        except ShardError:
            return None
        return cls(shard)

    def rows(self, start: int, digests: list[str]) -> pa.Table | None:
        """Return the rows from `start` on, where a row group begins, as far as their inputs have these digests."""
        there = self._shard.seal.sources[start : start + len(digests)]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(there, digests, strict=False)))
        if not same:
            return None
        group = list(accumulate(self._shard.rows_of_groups, initial=0)).index(start)
        return self._shard.read(group).slice(0, same)


class _Batch(NamedTuple):
    """Rows of a source, a digest of each, and what is known of the first of them."""

    rows: pa.Table
    digests: list[str]
    known: pa.Table | None


def _batches(recipe: Recipe, shard: Shard[Seal], earlier: _Earlier | None) -> Iterator[_Batch]:
    """Yield the rows of a shard, as many at a time as a row group of the other has."""
    start = 0
    for rows in _regrouped(shard, list({*recipe.INPUTS, *recipe.COPIED}), recipe.ROW_GROUP_ROWS):
        digests = row_digests(rows.select(recipe.INPUTS))
        yield _Batch(rows, digests, earlier.rows(start, digests) if earlier else None)
        start += rows.num_rows


class _Made(NamedTuple):
    """Rows that were made, the digests of their sources, and how many of them were computed."""

    rows: pa.Table
    digests: list[str]
    computed: int


def _made(recipe: Recipe, batches: Iterable[_Batch]) -> Iterator[_Made]:
    for batch in batches:
        made = _continued(batch.known, recipe, batch.rows.select(recipe.INPUTS))
        rows = _completed(made, batch.rows.select(recipe.COPIED), recipe.columns)
        yield _Made(rows, batch.digests, rows.num_rows - (batch.known.num_rows if batch.known else 0))


def _regrouped(shard: Shard[Seal], columns: list[str], most: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard in pieces of `most`, whatever its row groups are."""
    rest = shard.columns.empty_table().select(columns)
    for group in shard.groups:
        rest = pa.concat_tables([rest, shard.read(group, columns).select(columns)])
        while rest.num_rows >= most:
            yield rest.slice(0, most).combine_chunks()
            rest = rest.slice(most)
    if rest.num_rows:
        yield rest.combine_chunks()


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items, each of which is made by another thread while the caller is at the one before."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item


def _continued(known: pa.Table | None, recipe: Recipe, inputs: pa.Table) -> pa.Table:
    """Return what the recipe makes of `inputs`; its first rows may be known."""
    if known is None:
        return recipe.rows(inputs)
    if known.num_rows == inputs.num_rows:
        return known
    new = recipe.rows(inputs.slice(known.num_rows))
    known = known.select(new.column_names)
    return pa.concat_tables([known if known.schema == new.schema else known.cast(new.schema), new])


def _completed(made: pa.Table, copied: pa.Table, columns: pa.Schema) -> pa.Table:
    """Put columns that were made and those that were copied side by side, in one chunk each."""
    sources = dict.fromkeys(made.column_names, made) | dict.fromkeys(copied.column_names, copied)
    arrays = [_of_type(field.type, sources[field.name][field.name]) for field in columns]
    return pa.Table.from_arrays(arrays, schema=columns).combine_chunks()


def _of_type(kind: pa.DataType, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast a column where that is needed: with its first cast, pyarrow imports another fortieth of a second."""
    return column if column.type == kind else column.cast(kind)


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
