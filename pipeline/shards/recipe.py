"""A recipe: how the rows of a source shard become those of a derived one, and the seal that records it."""

from __future__ import annotations

import hashlib
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, pairwise
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shards import sealed
from pipeline.shards.sealed import Seal, Shard


class Recipe(ABC):
    """How the rows of a source shard become the rows of a derived one. Frozen; small enough to be sent to workers."""

    NAME: ClassVar[str]  # of its product, as the progress bar and messages call it
    # Raised whenever a change of code changes a byte of its shards: those of another revision are made again. A golden
    # test fails where that is forgotten.
    REVISION: ClassVar[int]
    ROW_GROUP_ROWS: ClassVar[int]  # the unit that is in memory, and that is read to get at one row

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """The columns of the source that `rows` gets. A row is computed again only if one of these has changed."""

    @property
    @abstractmethod
    def copied(self) -> tuple[str, ...]:
        """The columns that are copied from the source."""

    @property
    @abstractmethod
    def columns(self) -> pa.Schema:
        """The columns of a derived shard: those that `rows` returns, and `copied`."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all settings that change the rows."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that the rows depend on."""

    @abstractmethod
    def rows(self, source: pa.Table) -> pa.Table:
        """Return a row for each row of `source` (`inputs`); none may depend on the others. Pure."""

    def start(self, source: Shard[Any]) -> Callable[[pa.Table], pa.Table]:  # noqa: ARG002
        """Return what makes the rows of a shard: `rows`, unless they need more of `source` than their own inputs."""
        return self.rows

    def parquet(self) -> dict[str, Any]:
        """Return options of `pyarrow.parquet.ParquetWriter`."""
        return {}

    def metadata(self) -> dict[str, str]:
        """Return metadata beside the seal, for readers other than this project's."""
        return {}


@dataclass(frozen=True, kw_only=True)
class DerivedSeal(Seal):
    """The seal of a derived shard."""

    recipe: str
    revision: int  # like the settings, of the recipe
    settings: dict[str, Any]
    decoder: dict[str, str]  # versions of libraries, pyarrow's among them, and the kind of machine: Linux x86_64
    sources: tuple[str, ...] = ()  # a digest of the inputs of each row

    def is_like(self, other: DerivedSeal) -> bool:
        """Return whether the rows of both were made in the same way, perhaps from other inputs."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("recipe", "revision", "settings", "decoder")
        )


def machine() -> str:
    """Return the kind of this machine: on another, decoders use other instructions, and round differently."""
    return f"{platform.system()} {platform.machine()}"


def expected_seal(recipe: Recipe, source: Seal, rows: int | None = None) -> DerivedSeal:
    """Return the seal, without digests, of the shard that `recipe` makes from the one with the seal `source`.

    `rows` is how many of its first rows; None for all.
    """
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
    return replace(seal, fingerprint=_fingerprint(seal, source, rows))


def is_made_from(derived: DerivedSeal, source: Seal) -> bool:
    """Return whether a shard was made from exactly the one with the seal `source`, or its first rows, by any recipe."""
    unsealed = replace(
        derived,
        fingerprint="",
        sources=(),
        content_sha256=Seal.content_sha256,
        footer_sha256=Seal.footer_sha256,
    )
    rows = len(derived.sources)
    return derived.fingerprint in (_fingerprint(unsealed, source, None), _fingerprint(unsealed, source, rows))


def _fingerprint(seal: DerivedSeal, source: Seal, rows: int | None) -> str:
    cut = [] if rows is None else [rows]
    return sealed.fingerprint([asdict(seal), source.fingerprint, source.content_sha256, *cut])


def row_digests(rows: pa.Table, files: dict[str, str]) -> list[str]:
    """Return a digest of 64 bits for each row.

    `files` has by the path of each file the digest of the row of the shard that has its bytes, and is added to. In the
    digest of a row whose file is null, that of the row which has it counts.
    """
    hashers = [hashlib.blake2b(digest_size=8) for _ in range(rows.num_rows)]
    for column in rows.columns:
        values = chain.from_iterable(map(_as_bytes, column.chunks))
        for hasher, value in zip(hashers, values, strict=True):
            hasher.update(len(value).to_bytes(8, "little"))
            hasher.update(value)
    digests = [hasher.hexdigest() for hasher in hashers]
    for column in rows.columns:
        if pa.types.is_struct(column.type):
            held = pc.is_valid(pc.struct_field(column, "bytes")).to_pylist()
            for row, path in enumerate(pc.struct_field(column, "path").to_pylist()):
                if held[row]:
                    files[path] = digests[row]
                else:
                    both = f"{digests[row]} {files[path]}".encode()
                    digests[row] = hashlib.blake2b(both, digest_size=8).hexdigest()
    return digests


def binary_values(column: pa.BinaryArray) -> Iterator[memoryview]:
    """Yield the values of a column of bytes in place: pyarrow's scalars are copies, of files that may be large."""
    _, offsets, data = column.buffers()
    places = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1].tolist()
    yield from (memoryview(data or b"")[start:stop] for start, stop in pairwise(places))


def _as_bytes(column: pa.Array) -> Iterator[bytes | memoryview]:
    if pa.types.is_list(column.type):
        samples, offsets = column.values.to_numpy(), column.offsets.to_numpy()
        yield from (samples[start:stop].tobytes() for start, stop in pairwise(offsets))
    elif pa.types.is_struct(column.type):
        yield from _as_bytes(column.field(0))
    elif pa.types.is_binary(column.type):
        yield from binary_values(column)
    else:
        yield from (repr(value).encode() for value in column.to_pylist())
