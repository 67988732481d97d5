"""One folder of shards from another: find those that are right, make the others, publish, retire.

A `Recipe` says how; waveforms and each of the later views is one. The derived shards have the numbers and the rows of
their sources.
"""

from __future__ import annotations

import hashlib
import logging
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate, pairwise, takewhile
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import pyarrow as pa

from pipeline.core.errors import ShardError, WorkerError
from pipeline.core.progress import progress
from pipeline.shards import sealed
from pipeline.shards.folder import ShardFolder, shard_paths
from pipeline.shards.sealed import Seal, Shard

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Recipe(ABC):
    """How the rows of a source shard become the rows of a derived one. Frozen, and small enough to be sent to workers.

    Attributes
    ----------
    NAME
        What it makes, as the progress bar and messages call it.
    REVISION
        Raised whenever a change of code changes a byte of what it makes: shards of another revision are made again.
        A golden test holds both together.
    INPUTS
        The columns of the source that `rows` gets. A row is computed again only where one of these has changed.
    COPIED
        The columns that are taken from the source as they are.
    ROW_GROUP_ROWS
        Rows of a row group: what is in memory, and what is read to get at one row.
    """

    NAME: ClassVar[str]
    REVISION: ClassVar[int]
    INPUTS: ClassVar[tuple[str, ...]]
    COPIED: ClassVar[tuple[str, ...]]
    ROW_GROUP_ROWS: ClassVar[int]

    @property
    @abstractmethod
    def columns(self) -> pa.Schema:
        """The columns of a derived shard: those that `rows` returns, and `COPIED`."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return everything that was asked for and that changes the rows."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that the rows depend on."""

    @abstractmethod
    def rows(self, source: pa.Table) -> pa.Table:
        """Return the rows made of `source` (`INPUTS`), one for each; none may depend on the others. Pure."""

    def parquet(self) -> dict[str, Any]:
        """Return options of `pyarrow.parquet.ParquetWriter`."""
        return {}

    def metadata(self) -> dict[str, str]:
        """Return what stands beside the seal, for readers other than this project's."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DerivedSeal(Seal):
    """What a derived shard says of itself.

    Attributes
    ----------
    recipe, revision, settings
        Of the `Recipe`.
    decoder
        The versions that it was made with, pyarrow's among them, and the kind of machine, such as ``Linux x86_64``.
    sources
        A digest of each source row, as far as the recipe uses it.
    """

    recipe: str
    revision: int
    settings: dict[str, Any]
    decoder: dict[str, str]
    sources: tuple[str, ...] = ()

    def is_like(self, other: DerivedSeal) -> bool:
        """Tell whether rows of both were made in the same way, whatever they were made of."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("recipe", "revision", "settings", "decoder")
        )


class Engine(Protocol):
    """Where shards are made (`pipeline.engines`)."""

    def prepare(self, function: Callable[..., Any], tasks: int) -> None:
        """Begin to get ready for so many calls of `function`; the caller does something else meanwhile."""

    def start(self, function: Callable[..., Any], tasks: int) -> AbstractContextManager[tuple[Executor, int]]:
        """Start an executor for so many calls of `function`; yield it, and how many tasks it should have in flight."""


@dataclass(frozen=True)
class Derived:
    """What `derive` did: rows and shards that are there now, and rows of them that were computed."""

    rows: int
    shards: int
    computed: int


def machine() -> str:
    """Return the kind of this machine: decoders choose other instructions on another, and round differently."""
    return f"{platform.system()} {platform.machine()}"


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
    sources = {path.name: Shard(path, Seal) for path in shard_paths(source)}
    engine.prepare(make_shard, len(sources))
    folder = ShardFolder(target)
    before = sealed.read_whole(folder.existing(), DerivedSeal)
    _say_if_made_elsewhere(target, before.values())

    def is_right(path: Path, expected: DerivedSeal) -> bool:
        return path in before and before[path].fingerprint == expected.fingerprint

    tasks: dict[str, tuple[Recipe, Path, Path, Path]] = {}
    for number, (name, shard) in enumerate(sources.items()):
        if not folder.find(number, partial(is_right, expected=expected_seal(recipe, shard.seal))):
            tasks[name] = (recipe, source / name, folder.new(number), folder.published(number))
    computed = 0
    with (
        progress(recipe.NAME, sum(sources[name].num_rows for name in tasks), "clips") as bar,
        engine.start(make_shard, len(tasks)) as (executor, in_flight),
    ):
        for name, count in map_shards(executor, make_shard, tasks, in_flight):
            computed += count
            bar.update(sources[name].num_rows)
    folder.publish(len(sources))
    return Derived(sum(shard.num_rows for shard in sources.values()), len(sources), computed)


def expected_seal(recipe: Recipe, source: Seal) -> DerivedSeal:
    """Return the seal of the shard that `recipe` makes of the one sealed by `source`, but for its digests."""
    seal = DerivedSeal(
        snapshot=source.snapshot,
        title=source.title,
        license=source.license,
        fingerprint="",
        recipe=recipe.NAME,
        revision=recipe.REVISION,
        settings=recipe.settings(),
        decoder={**recipe.versions(), "pyarrow": pa.__version__, "machine": machine()},
    )
    return replace(seal, fingerprint=_fingerprint(seal, source))


def is_made_from(derived: DerivedSeal, source: Seal) -> bool:
    """Tell whether a shard was made of the very one that `source` seals, whatever the recipe."""
    unsealed = replace(
        derived,
        fingerprint="",
        sources=(),
        content_sha256=Seal.content_sha256,
        footer_sha256=Seal.footer_sha256,
    )
    return derived.fingerprint == _fingerprint(unsealed, source)


def _fingerprint(seal: DerivedSeal, source: Seal) -> str:
    return sealed.fingerprint([asdict(seal), source.fingerprint, source.content_sha256])


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
        for rows in _batches(shard, list({*recipe.INPUTS, *recipe.COPIED}), recipe.ROW_GROUP_ROWS):
            inputs = rows.select(recipe.INPUTS)
            new = row_digests(inputs)
            made = known.rows(len(digests), new) if known else None
            same = made.num_rows if made else 0
            if same < rows.num_rows:
                computed += rows.num_rows - same
                made = _appended(made, recipe.rows(inputs.slice(same)))
            writer.write(_completed(made, rows.select(recipe.COPIED), recipe.columns))
            digests += new
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


def row_digests(rows: pa.Table) -> list[str]:
    """Return a digest of 64 bits for each row."""
    hashers = [hashlib.blake2b(digest_size=8) for _ in range(rows.num_rows)]
    for column in rows.columns:
        for hasher, value in zip(hashers, _as_bytes(column.combine_chunks()), strict=True):
            hasher.update(len(value).to_bytes(8, "little"))
            hasher.update(value)
    return [hasher.hexdigest() for hasher in hashers]


def _as_bytes(column: pa.Array) -> Iterator[bytes | memoryview]:
    if pa.types.is_list(column.type):
        samples, offsets = column.values.to_numpy(), column.offsets.to_numpy()
        yield from (samples[start:stop].tobytes() for start, stop in pairwise(offsets))
    elif pa.types.is_struct(column.type):
        yield from _as_bytes(column.field(0))
    elif pa.types.is_binary(column.type):
        yield from (value.as_buffer() for value in column)
    else:
        yield from (repr(value).encode() for value in column.to_pylist())


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


def _batches(shard: Shard[Seal], columns: list[str], most: int) -> Iterator[pa.Table]:
    """Yield the rows of a shard in pieces of `most`, whatever its row groups are."""
    rest = shard.columns.empty_table().select(columns)
    for group in shard.groups:
        rest = pa.concat_tables([rest, shard.read(group, columns).select(columns)])
        while rest.num_rows >= most:
            yield rest.slice(0, most).combine_chunks()
            rest = rest.slice(most)
    if rest.num_rows:
        yield rest.combine_chunks()


def _appended(known: pa.Table | None, new: pa.Table) -> pa.Table:
    return new if known is None else pa.concat_tables([known.select(new.column_names).cast(new.schema), new])


def _completed(made: pa.Table, copied: pa.Table, columns: pa.Schema) -> pa.Table:
    """Put columns that were made and those that were copied side by side, in one chunk each."""
    sources = dict.fromkeys(made.column_names, made) | dict.fromkeys(copied.column_names, copied)
    arrays = [sources[field.name][field.name].cast(field.type) for field in columns]
    return pa.Table.from_arrays(arrays, schema=columns).combine_chunks()


def _say_if_made_elsewhere(target: Path, seals: Any) -> None:
    others = sorted({seal.decoder.get("machine", "another machine") for seal in seals} - {machine()})
    if others:
        log.warning(
            "%s was made on %s, whose decoder may differ in the last bit from that on %s: all of it is made again. "
            "`dvc pull` brings the original.",
            target,
            " and ".join(others),
            machine(),
        )
