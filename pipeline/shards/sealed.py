"""A shard: a Parquet file with a seal, which says what it was made from and finds any byte that has changed.

The seal is JSON under the key ``pipeline`` of the schema metadata, in the file's footer. Its `content_sha256` is the
SHA-256 of the whole file with zeros in place of both digests, and its `footer_sha256` that of the footer with zeros in
place of itself. So a footer is known to be right when it is read, pages have checksums of their own, and a whole file
can be verified.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.errors import GET_AGAIN, ShardError, first_line
from pipeline.shards.footer import BLANK, Footer, require_regular

_KEY = "pipeline"

LOCAL = pyarrow.fs.LocalFileSystem()


@dataclass(frozen=True, kw_only=True)
class TableSeal:
    """What every sealed file says of itself.

    Attributes
    ----------
    version
        Of this project.
    content_sha256, footer_sha256
        See the head of this module; zeros until it is written.
    """

    version: str = schema.VERSION
    content_sha256: str = BLANK
    footer_sha256: str = BLANK

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Make a seal of what `facts` says of its fields; KeyError or TypeError where that is not enough."""
        return cls(**{field.name: facts[field.name] for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class Seal(TableSeal):
    """What every shard says of itself.

    Attributes
    ----------
    snapshot, title, license
        The snapshot that its clips are from.
    fingerprint
        SHA-256 of all that it was made from (`fingerprint`).
    """

    snapshot: str
    title: str
    license: str
    fingerprint: str


AnySeal = TypeVar("AnySeal", bound=TableSeal)


def fingerprint(facts: Any) -> str:
    """Return the SHA-256 of `facts`, anything that JSON can say, whatever the order of its keys."""
    return hashlib.sha256(_json(facts)).hexdigest()


class Writer:
    """A shard that is being written: each table becomes a row group."""

    def __init__(self, parquet: pq.ParquetWriter, metadata: Mapping[str, str]) -> None:
        self._parquet = parquet
        self._metadata = metadata

    def write(self, rows: pa.Table) -> None:
        """Write a row group."""
        self._parquet.write_table(rows)

    def seal(self, seal: TableSeal) -> None:
        """Say what the shard was made from; once, after its last row group."""
        self._parquet.add_key_value_metadata({**self._metadata, _KEY: _json(asdict(seal))})


@contextmanager
def writing(
    path: Path, columns: pa.Schema, metadata: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> Iterator[Writer]:
    """Write one shard, which takes its name once it is whole and sealed.

    `metadata` stands beside the seal; `options` are Parquet's. Unless they ask for it, the Arrow schema is not stored
    beside Parquet's own: it would say everything twice.
    """
    with atomic.replacing(path) as temporary:
        options = {"store_schema": False, "write_page_checksum": True, **options}
        with pq.ParquetWriter(temporary, columns, **options) as parquet:
            yield Writer(parquet, metadata)
        with temporary.open("r+b") as file:
            footer = Footer.read(file)
            footer = footer.filled("content_sha256", footer.content_sha256(file))
            footer = footer.filled("footer_sha256", footer.sha256)
            file.seek(footer.start)
            file.write(footer.data)


class Shard(Generic[AnySeal]):
    """A shard to read from. Its footer is verified when it is opened, and each page when it is read.

    It can be pickled, and holds no open file.

    Parameters
    ----------
    path
        On `filesystem`.
    kind
        The class of its seal.
    filesystem
        Where it lies; this machine's disk by default.

    Raises
    ------
    ShardError
        It cannot be read, is damaged, or was not written by this pipeline.
    """

    def __init__(self, path: Path | str, kind: type[AnySeal], filesystem: pyarrow.fs.FileSystem = LOCAL) -> None:
        self.path = path
        self.filesystem = filesystem
        with self._translating(), self._open() as file:
            footer = Footer.read(file)
            self.metadata = pq.read_metadata(pa.BufferReader(footer.data))
        try:
            facts = json.loads((self.metadata.metadata or {})[_KEY.encode()])
            self.seal = kind.of(facts)
            is_whole = footer.sha256 == self.seal.footer_sha256 and footer.start == _end_of_pages(self.metadata)
        except (KeyError, TypeError, ValueError, RecursionError):
            raise ShardError(f"{path}: was not written by this version of the pipeline, or is damaged") from None
        if not is_whole:
            raise ShardError(f"{path}: its footer is damaged; {GET_AGAIN}")

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
        """The rank of its first clip, as its footer has it; None where it has no ranks."""
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
        """Make sure that not a byte of it has changed since it was written."""
        with self._translating(), self._open() as file:
            digest = Footer.read(file).content_sha256(file)
        if digest != self.seal.content_sha256:
            raise ShardError(f"{self.path}: is damaged, not byte for byte what was written; {GET_AGAIN}")

    @property
    def _is_local(self) -> bool:
        return isinstance(self.filesystem, pyarrow.fs.LocalFileSystem)

    def _read(self, read: Callable[[pq.ParquetFile], pa.Table], rows: int) -> pa.Table:
        with (
            self._translating(),
            self._open() as file,
            pq.ParquetFile(
                file,
                metadata=self.metadata,
                page_checksum_verification=True,
                pre_buffer=not self._is_local,
            ) as parquet,
        ):
            table = read(parquet)
            table.validate(full=True)
        if table.num_rows != rows:  # a page's header has no checksum
            raise ShardError(f"{self.path}: is damaged, {table.num_rows} rows in place of {rows}; {GET_AGAIN}")
        return table

    def _open(self) -> pa.NativeFile:
        if self._is_local:
            require_regular(Path(self.path))
        return self.filesystem.open_input_file(str(self.path))

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, pa.ArrowException) as error:
            remedy = f"; {GET_AGAIN}" if self._is_local else ""
            raise ShardError(f"{self.path}: cannot be read ({first_line(error)}){remedy}") from None


def require_in_order(shards: Iterable[Shard[Any]]) -> None:
    """Raise `ShardError` where a shard has earlier ranks than the one before: each is whole, but in another's place."""
    for before, after in pairwise(shards):
        if before.first_rank is not None and after.first_rank is not None and before.first_rank >= after.first_rank:
            raise ShardError(f"{after.path}: has earlier clips than {before.path}; {GET_AGAIN}")


def _end_of_pages(metadata: pq.FileMetaData) -> int:
    """Return where a footer begins that follows the pages it speaks of: nothing was put before, between or behind."""
    if not metadata.num_row_groups:
        return len(b"PAR1")
    last = metadata.row_group(metadata.num_row_groups - 1).column(metadata.num_columns - 1)
    first_page = last.dictionary_page_offset if last.has_dictionary_page else last.data_page_offset
    return int(first_page + last.total_compressed_size)


def _json(facts: Any) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
