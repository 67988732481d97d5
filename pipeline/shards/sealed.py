"""Parquet shards: written whole, sealed, recognised, reused, retired.

Comes in: rows, as Arrow tables of one row group each, and a fingerprint of all that they were made from. Goes out:
``FOLDER/part-00000.parquet …``. New shards wait in a hidden folder beside the final one until all of them are there,
so that a run that fails changes nothing and a run that was killed goes on where it stopped.

A shard carries a seal, JSON under the key ``pipeline`` of its schema metadata: facts that its maker gives, the
`fingerprint`, and `content_sha256`, the SHA-256 of the whole file with these 64 digits as zeros. Damage anywhere in a
file breaks it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core import atomic
from pipeline.core.errors import ShardError

Found = TypeVar("Found")

_SEAL_KEY = "pipeline"
_HASH = "content_sha256"
_BLANK = b"0" * 64
_BLOCK_BYTES = 1 << 20


def shard_name(number: int) -> str:
    """Return the file name of shard `number`, counted from 0."""
    return f"part-{number:05d}.parquet"


def shard_paths(folder: Path) -> list[Path]:
    """Return the shards of `folder` in their order.

    Raises
    ------
    ShardError
        There is none, or one in their middle is missing.
    """
    paths = sorted(folder.glob("part-*.parquet"))
    if not paths:
        raise ShardError(f"{folder}: no shards there; make them with: dvc repro, or fetch them with: dvc pull {folder}")
    for number, path in enumerate(paths):
        if path.name != shard_name(number):
            raise ShardError(f"{folder}: {shard_name(number)} is missing; fetch it with: dvc checkout or dvc pull")
    return paths


def fingerprint(facts: Any) -> str:
    """Return the SHA-256 of `facts`, anything that JSON can say, whatever the order of its keys."""
    return hashlib.sha256(_json(facts)).hexdigest()


@contextmanager
def writing(
    path: Path,
    schema: pa.Schema,
    seal: dict[str, Any],
    metadata: Mapping[str, str] = MappingProxyType({}),
    **options: Any,
) -> Iterator[pq.ParquetWriter]:
    """Write one shard: each table given to the writer becomes a row group; `options` are Parquet's.

    `seal` may be added to until the end of the block; `metadata` stands beside it in the file. The Arrow schema is
    not stored beside Parquet's own: it would say everything twice.
    """
    with atomic.replacing(path) as temporary:
        with pq.ParquetWriter(temporary, schema, store_schema=False, write_page_checksum=True, **options) as writer:
            yield writer
            writer.add_key_value_metadata({**metadata, _SEAL_KEY: _json({**seal, _HASH: _BLANK.decode()})})
        with temporary.open("r+b") as file:
            position = _hash_position(file)
            digest = _digest(file, position)
            file.seek(position)
            file.write(digest.encode())


def read_seal(path: Path) -> dict[str, Any]:
    """Return what a shard says of itself.

    Raises
    ------
    ShardError
        It is no Parquet file, or has no seal.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
        seal: dict[str, Any] = json.loads(metadata[_SEAL_KEY.encode()])
        seal["fingerprint"], seal[_HASH]
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{path}: cannot be read as Parquet ({error})") from None
    except (KeyError, TypeError, ValueError):
        raise ShardError(f"{path}: was not written by this pipeline, or is damaged") from None
    return seal


def read_whole_seal(path: Path) -> dict[str, Any]:
    """Return what a shard says of itself, once it is sure that not a byte of it has changed since.

    Raises
    ------
    ShardError
        It cannot be read, or is damaged.
    """
    seal = read_seal(path)
    with path.open("rb") as file:
        if _digest(file, _hash_position(file)) != seal[_HASH]:
            raise ShardError(f"{path}: is damaged; it is not byte for byte what was written")
    return seal


def read_whole_seals(paths: Iterable[Path]) -> dict[Path, dict[str, Any]]:
    """Return what shards say of themselves; those that are damaged are left out. Several are read at a time."""

    def read(path: Path) -> dict[str, Any] | None:
        try:
            return read_whole_seal(path)
        except ShardError:
            return None

    paths = list(paths)
    with ThreadPoolExecutor() as pool:
        return {path: seal for path, seal in zip(paths, pool.map(read, paths), strict=True) if seal is not None}


class ShardFolder:
    """A folder of shards, and the hidden one beside it where the next ones wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.waiting = folder.with_name(f".{folder.name}")
        self._new: set[int] = set()
        for place in (self.folder, self.waiting):
            atomic.sweep(place)

    def find(self, number: int, is_right: Callable[[Path], Found | None]) -> Found | None:
        """Return what `is_right` says of shard `number`, left by a killed run or by one that ended well."""
        for place in (self.waiting, self.folder):
            found = is_right(place / shard_name(number))
            if found:
                self._new.update({number} if place == self.waiting else ())
                return found
        return None

    @property
    def has_new(self) -> bool:
        """Whether there are shards that are not published yet."""
        return bool(self._new)

    def existing(self) -> list[Path]:
        """Return all shards that lie there, the newest first."""
        return [path for place in (self.waiting, self.folder) for path in sorted(place.glob("part-*.parquet"))]

    def published(self, number: int) -> Path:
        """Return where shard `number` lies if a run that ended well left one."""
        return self.folder / shard_name(number)

    def new(self, number: int) -> Path:
        """Return where to write shard `number`."""
        self._new.add(number)
        return self.waiting / shard_name(number)

    def publish(self, count: int) -> None:
        """Give all new shards their final names and retire those that are no longer among the first `count`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in sorted(self._new):
            (self.waiting / shard_name(number)).replace(self.folder / shard_name(number))
        current = {shard_name(number) for number in range(count)}
        for path in self.folder.iterdir():
            if path.name not in current:
                path.unlink()
        shutil.rmtree(self.waiting, ignore_errors=True)


def _json(facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _hash_position(file: BinaryIO) -> int:
    """Return where in a shard its hash stands: in the footer, whose length the last eight bytes begin with."""
    end = file.seek(-8, os.SEEK_END)
    footer_bytes = min(int.from_bytes(file.read(4), "little"), end)
    start = file.seek(end - footer_bytes)
    key = f'"{_HASH}":"'.encode()
    return start + file.read(footer_bytes).rfind(key) + len(key)


def _digest(file: BinaryIO, position: int) -> str:
    """Return the SHA-256 of a file, block by block, with zeros for the hash at `position`."""
    digest = hashlib.sha256()
    file.seek(0)
    for start in range(0, position, _BLOCK_BYTES):
        digest.update(file.read(min(_BLOCK_BYTES, position - start)))
    digest.update(_BLANK)
    file.seek(position + len(_BLANK))
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
