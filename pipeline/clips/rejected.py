"""The rejected clips, each with its reason: ``data/rejected.csv``, written and read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.core import atomic, schema
from pipeline.core.errors import SnapshotError, TableError
from pipeline.core.files import require_file
from pipeline.core.schema import Reason


class Rejection(NamedTuple):
    """A rejected clip: a row of the file."""

    rank: int
    clip_id: str
    reason: str
    detail: str


def rejected_csv(rejected: Iterable[Sequence[Any]]) -> str:
    """Return the text of the file that lists these clips."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([schema.REJECTED_COLUMNS, *rejected])
    return buffer.getvalue()


def write_rejected(rejected: Iterable[Rejection], path: Path = schema.REJECTED) -> None:
    """Write the file."""
    atomic.write_text(path, rejected_csv(rejected))


def read_rejected(path: Path = schema.REJECTED) -> pa.Table:
    """Read the file: `schema.REJECTED_COLUMNS`, all of them strings.

    Raises
    ------
    TableError
        It is not what `subsample` writes; names the line.
    """
    again = f"get it again with: dvc checkout {path}, or make it again with: dvc repro"
    require_file(path, SnapshotError)
    data = path.read_bytes()
    rows: list[tuple[str, ...]] = []
    line = 1
    try:
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        for row in reader:
            line = reader.line_num
            if not rows and tuple(row) != schema.REJECTED_COLUMNS:
                raise ValueError(f"expected the header {','.join(schema.REJECTED_COLUMNS)}")
            if len(row) != len(schema.REJECTED_COLUMNS):
                raise ValueError(f"expected {len(schema.REJECTED_COLUMNS)} fields, got {len(row)}")
            if rows:
                Reason(row[schema.REJECTED_COLUMNS.index("reason")])
            rows.append(tuple(row))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(str(path), line, f"is not UTF-8 ({error.reason}); {again}") from None
    except (ValueError, csv.Error) as error:
        raise TableError(str(path), line, f"{error}; {again}") from None
    if not rows:
        raise TableError(str(path), 1, f"expected the header {','.join(schema.REJECTED_COLUMNS)}; {again}")
    columns = pa.schema([(name, pa.string()) for name in schema.REJECTED_COLUMNS])
    return pa.Table.from_pylist([dict(zip(columns.names, row, strict=True)) for row in rows[1:]], columns)
