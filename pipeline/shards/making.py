"""One shard from another: the next rows are read and made while those before are written.

Where a shard grows, what is new is computed while what was there is read and copied.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import accumulate, pairwise, takewhile
from pathlib import Path
from typing import NamedTuple, TypeVar

import pyarrow as pa

from pipeline.core.errors import ShardError
from pipeline.shards import sealed
from pipeline.shards.recipe import DerivedSeal, Recipe, expected_seal, row_digests
from pipeline.shards.sealed import Seal, Shard

Item = TypeVar("Item")

BEGUN = 8  # row groups that may wait for those before them


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
    with sealed.writing(target, recipe.columns, recipe.metadata(), **recipe.parquet()) as writer:
        for made in _all_made(recipe, shard, known):
            writer.write(made.rows)
            computed += made.computed
            digests += made.digests
        writer.seal(replace(seal, sources=tuple(digests)))
    return computed


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

    @property
    def num_rows(self) -> int:
        """How many rows may be copied."""
        return self._shard.num_rows

    def rows(self, start: int, digests: list[str]) -> pa.Table | None:
        """Return the rows from `start` on, where a row group begins, as far as their inputs have these digests."""
        there = self._shard.seal.sources[start : start + len(digests)]
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(there, digests, strict=False)))
        if not same:
            return None
        group = list(accumulate(self._shard.rows_of_groups, initial=0)).index(start)
        return self._shard.read(group).slice(0, same)


class _Made(NamedTuple):
    """Rows that were made, the digests of their sources, and how many of them were computed."""

    rows: pa.Table
    digests: list[str]
    computed: int


def _all_made(recipe: Recipe, shard: Shard[Seal], earlier: _Earlier | None) -> Iterator[_Made]:
    """Yield the rows of a row group at a time: those that may be known, and those that cannot, begun at once."""

    def made(rows: range) -> Iterator[_Made]:
        return ahead(_made(recipe, ahead(_batches(recipe, shard, earlier, rows))))

    if earlier is None:
        return made(range(shard.num_rows))
    full_groups = min(earlier.num_rows, shard.num_rows) // recipe.ROW_GROUP_ROWS
    first_new = full_groups * recipe.ROW_GROUP_ROWS
    return begun_together(made(range(first_new)), made(range(first_new, shard.num_rows)))


class _Batch(NamedTuple):
    """Rows of a source, a digest of each, and what is known of the first of them."""

    rows: pa.Table
    digests: list[str]
    known: pa.Table | None


def _batches(recipe: Recipe, shard: Shard[Seal], earlier: _Earlier | None, rows: range) -> Iterator[_Batch]:
    """Yield these rows of a shard, as many at a time as a row group of the other has."""
    start = rows.start
    for batch in _regrouped(shard, list({*recipe.INPUTS, *recipe.COPIED}), rows, recipe.ROW_GROUP_ROWS):
        digests = row_digests(batch.select(recipe.INPUTS))
        yield _Batch(batch, digests, earlier.rows(start, digests) if earlier else None)
        start += batch.num_rows


def _made(recipe: Recipe, batches: Iterable[_Batch]) -> Iterator[_Made]:
    for batch in batches:
        made = _continued(batch.known, recipe, batch.rows.select(recipe.INPUTS))
        rows = _completed(made, batch.rows.select(recipe.COPIED), recipe.columns)
        yield _Made(rows, batch.digests, rows.num_rows - (batch.known.num_rows if batch.known else 0))


def _regrouped(shard: Shard[Seal], columns: list[str], rows: range, most: int) -> Iterator[pa.Table]:
    """Yield these rows of a shard in pieces of `most`, whatever its row groups are."""
    rest = shard.columns.empty_table().select(columns)
    for group, (start, stop) in enumerate(pairwise(accumulate(shard.rows_of_groups, initial=0))):
        wanted = range(max(rows.start, start), min(rows.stop, stop))
        if not wanted:
            continue
        read = shard.read(group, columns).select(columns).slice(wanted.start - start, len(wanted))
        rest = pa.concat_tables([rest, read])
        while rest.num_rows >= most:
            yield rest.slice(0, most).combine_chunks()
            rest = rest.slice(most)
    if rest.num_rows:
        yield rest.combine_chunks()


def begun_together(first: Iterator[Item], second: Iterator[Item]) -> Iterator[Item]:
    """Yield the items of `first`, then those of `second`, of which another thread makes the earliest meanwhile."""
    pool = ThreadPoolExecutor(1)
    try:
        begun = [pool.submit(next, second, None) for _ in range(BEGUN)]
        yield from first
        yield from takewhile(lambda item: item is not None, (item.result() for item in begun))
    finally:
        pool.shutdown(cancel_futures=True)
    yield from second


def ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Yield items, none of them None, each made by another thread while the caller is at the one before."""
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
    """Cast a column where its type differs: the first cast imports `pyarrow.compute`, which takes 25 ms."""
    return column if column.type == kind else column.cast(kind)
