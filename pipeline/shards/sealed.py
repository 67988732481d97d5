"""A shard: a Parquet file with a seal, which records its inputs and reveals any changed byte.

The seal is JSON under the key ``pipeline`` of the schema metadata, in the file's footer. Its `content_sha256` is the
SHA-256 of the whole file with zeros in place of both digests; its `footer_sha256` is the SHA-256 of the footer with
zeros in its own place. So the footer is verified when a file is opened, each page by its checksum when it is read, and
the whole file on request.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Generic, NamedTuple, Self, TypeVar

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.errors import GET_AGAIN, ShardError, first_line
from pipeline.core.files import require_file

LOCAL = pyarrow.fs.LocalFileSystem()
BLANK = "0" * 64  # in the place of a digest

_KEY = "pipeline"
_KEY_IN_FOOTER = b"\x18\x08pipeline"  # in Thrift's compact protocol: a text of 8 bytes
_BLOCK_BYTES = 1 << 22
_TAIL_BYTES = 1 << 17  # read first, from the end: the footer of 512 waveforms has 74 kB
_END_BYTES = 8  # the footer's length, and b"PAR1" (https://parquet.apache.org/docs/file-format/)


@dataclass(frozen=True, kw_only=True)
class TableSeal:
    """The seal of any file of this pipeline; its digests (see the module's head) are zeros until it is written."""

    version: str = schema.VERSION  # of this project
    content_sha256: str = BLANK
    footer_sha256: str = BLANK

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Make a seal from the values of its fields in `facts`; KeyError or TypeError where one is missing."""
        return cls(**{field.name: facts[field.name] for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Seal(TableSeal):
    """The seal of a shard, with the snapshot that its clips are from."""

    snapshot: str
    title: str
    license: str
    fingerprint: str  # SHA-256 of all its inputs (`fingerprint`)


AnySeal = TypeVar("AnySeal", bound=TableSeal)


def fingerprint(facts: Any) -> str:
    """Return the SHA-256 of `facts`, any value of JSON; the order of keys does not matter."""
    return hashlib.sha256(_json(facts)).hexdigest()


class Writer:
    """A shard that is being written: each table becomes a row group."""

    def __init__(self, parquet: pq.ParquetWriter) -> None:
        self._parquet = parquet

    def write(self, rows: pa.Table) -> None:
        """Write a row group."""
        self._parquet.write_table(rows)

    def seal(self, seal: TableSeal) -> None:
        """Write the seal; once, after the last row group."""
        self._parquet.add_key_value_metadata({_KEY: _json(asdict(seal))})


@contextmanager
def writing(
    path: Path, columns: pa.Schema, metadata: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> Iterator[Writer]:
    """Write one shard, which gets its name once it is whole and sealed.

    `metadata` is stored beside the seal; `options` are Parquet's. The Arrow schema is stored as well: it has what is
    declared of the columns, for which Parquet's own has no place.
    """
    with atomic.replacing(path) as temporary:
        columns = columns.with_metadata(dict(metadata) or None)  # where readers of Arrow schemas look for it
        with pq.ParquetWriter(temporary, columns, write_page_checksum=True, **options) as parquet:
            yield Writer(parquet)
        with temporary.open("r+b") as file:
            footer = _Footer.read(file)
            footer = footer.with_digest("content_sha256", footer.content_sha256(file))
            footer = footer.with_digest("footer_sha256", footer.sha256)
            file.seek(footer.start)
            file.write(footer.data)


class Shard(Generic[AnySeal]):
    """A shard to read from. Its footer is verified when it is opened, and each page when it is read.

    It can be pickled, and holds no open file. `kind` is the class of its seal. Raises ShardError if it cannot be read,
    is damaged, or was not written by this pipeline.
    """

    def __init__(self, path: Path | str, kind: type[AnySeal], filesystem: pyarrow.fs.FileSystem = LOCAL) -> None:
        self.path = path
        self.filesystem = filesystem
        with self._open() as file:
            footer = _Footer.read(file)
            self.metadata = pq.read_metadata(pa.BufferReader(footer.data))
        try:
            self.seal = kind.of(json.loads((self.metadata.metadata or {})[_KEY.encode()]))
        except (KeyError, TypeError, ValueError):
            raise ShardError(f"{path}: was not written by this version of the pipeline, or is damaged") from None
        if footer.sha256 != self.seal.footer_sha256:
            raise ShardError(f"{path}: its footer is damaged; {GET_AGAIN}")
        if self.groups and footer.start != self._end_of_data:
            raise ShardError(f"{path}: is damaged, longer or shorter than what was written; {GET_AGAIN}")

    @property
    def _end_of_data(self) -> int:
        group = self.metadata.row_group(self.groups[-1])
        last = group.column(group.num_columns - 1)
        start = last.dictionary_page_offset if last.has_dictionary_page else last.data_page_offset
        return int(start + last.total_compressed_size)

    @property
    def num_rows(self) -> int:
        """How many rows it has."""
        return int(self.metadata.num_rows)

    @property
    def groups(self) -> range:
        """The numbers of its row groups."""
        return range(self.metadata.num_row_groups)

    @property
    def rows_of_groups(self) -> list[int]:
        """How many rows each row group has."""
        return [self.metadata.row_group(group).num_rows for group in self.groups]

    @cached_property
    def columns(self) -> pa.Schema:
        """Its columns."""
        return self.metadata.schema.to_arrow_schema()

    @property
    def first_rank(self) -> int | None:
        """The rank of its first clip, from the statistics in its footer; None without ranks."""
        names = self.metadata.schema.names
        if not self.num_rows or "rank" not in names:
            return None
        statistics = self.metadata.row_group(0).column(names.index("rank")).statistics
        return int(statistics.min) if statistics is not None and statistics.has_min_max else None

    def read(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a row group, or some of its columns."""
        rows = self.metadata.row_group(group).num_rows
        return self._read(lambda file: file.read_row_group(group, columns=columns, use_threads=False), rows)

    def read_all(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows, or some of their columns."""
        return self._read(lambda file: file.read(columns=columns), self.num_rows)

    def verify(self) -> None:
        """Make sure that no byte of it has changed since it was written."""
        with self._open() as file:
            digest = _Footer.read(file).content_sha256(file)
        if digest != self.seal.content_sha256:
            raise ShardError(f"{self.path}: is damaged, not byte for byte what was written; {GET_AGAIN}")

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, pyarrow.fs.LocalFileSystem)

    def _read(self, read: Callable[[pq.ParquetFile], pa.Table], rows: int) -> pa.Table:
        with (
            self._open() as file,
            pq.ParquetFile(
                file, metadata=self.metadata, page_checksum_verification=True, pre_buffer=not self._is_local
            ) as parquet,
        ):
            table = read(parquet)
            table.validate(full=True)
        if table.num_rows != rows:  # a page's header has no checksum
            raise ShardError(f"{self.path}: is damaged, {table.num_rows} rows in place of {rows}; {GET_AGAIN}")
        return table

    @contextmanager
    def _open(self) -> Iterator[pa.NativeFile]:
        """Open it, and translate errors of reading it."""
        try:
            if self._is_local:
                require_file(Path(self.path), ShardError)
            with self.filesystem.open_input_file(str(self.path)) as file:
                yield file
        except (OSError, ValueError, pa.ArrowException) as error:
            remedy = f"; {GET_AGAIN}" if self._is_local else ""
            raise ShardError(f"{self.path}: cannot be read ({first_line(error)}){remedy}") from None


def require_in_order(shards: Iterable[Shard[Any]]) -> None:
    """Raise `ShardError` where ranks do not ascend from shard to shard: whole shards, but in each other's places."""
    for before, after in pairwise(shards):
        if before.first_rank is not None and after.first_rank is not None and before.first_rank >= after.first_rank:
            raise ShardError(f"{after.path}: has earlier clips than {before.path}; {GET_AGAIN}")


class _Footer(NamedTuple):
    """The end of a Parquet file, from where its metadata begins."""

    start: int
    data: bytes

    @classmethod
    def read(cls, file: BinaryIO) -> Self:
        """Read it; ValueError where there is none."""
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        tail = file.read(_TAIL_BYTES)
        if tail[-4:] != b"PAR1":
            raise ValueError("no Parquet file, or a truncated one")
        length = int.from_bytes(tail[-_END_BYTES:-4], "little") + _END_BYTES
        if length > size:
            raise ValueError("its footer claims to be longer than the file")
        if length > len(tail):
            file.seek(size - length)
            tail = file.read(length)
        return cls(size - length, tail[-length:])

    def with_digest(self, name: str, digest: str = BLANK) -> Self:
        """Return it with the digits of a digest in their place."""
        key = f'"{name}":"'.encode()
        place = self.data.find(key, self.data.rfind(_KEY_IN_FOOTER)) + len(key)
        return self._replace(data=self.data[:place] + digest.encode() + self.data[place + len(digest) :])

    @property
    def sha256(self) -> str:
        """Its digest, with zeros in its own place."""
        return hashlib.sha256(self.with_digest("footer_sha256").data).hexdigest()

    def content_sha256(self, file: BinaryIO) -> str:
        """Return the digest of the whole file, read block by block, with zeros in the place of both digests."""
        digest = hashlib.sha256()
        file.seek(0)
        for start in range(0, self.start, _BLOCK_BYTES):
            digest.update(file.read(min(_BLOCK_BYTES, self.start - start)))
        digest.update(self.with_digest("content_sha256").with_digest("footer_sha256").data)
        return digest.hexdigest()


def _json(facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
