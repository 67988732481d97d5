"""A snapshot's tables → one typed table of clips.

Comes in: the tables as served, and the names in the snapshot's index. Goes out: a frame with one row for each clip,
with missing values missing; and which member of the archive is which clip. Pure but for reading the tables.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema
from pipeline.errors import ParameterError, SnapshotError, TableError

BYTES_PER_SECOND = 8000  # of the MP3s: 64 kbit/s

_PREFIX = "cv-"  # of the tables and of the folders beside them
_HEADER = ("filename", "text", "up_votes", "down_votes", "age", "gender", "accent", "duration")
_VOTES = re.compile(r"[0-9]{1,9}")


def find_tables(names: Iterable[str]) -> dict[str, str]:
    """Find the tables among the members' `names`: which table is which member.

    They lie beside the folders of clips: at the root of Kaggle's archive, in ``cv_corpus_v1/`` in Mozilla's.
    """
    tables: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.suffix == ".csv" and path.stem.startswith(_PREFIX):
            table = path.stem.removeprefix(_PREFIX)
            if table in tables:
                raise SnapshotError(f"the snapshot holds the table {table} more than once: {tables[table]} and {name}")
            tables[table] = name
    if not tables:
        raise SnapshotError(f"the snapshot holds no table: expected {_PREFIX}*.csv beside the folders of clips")
    return tables


def member_clip_ids(names: Iterable[str]) -> list[str | None]:
    """Return the clip that each member is, and None for what is no clip.

    ``cv-valid-test/cv-valid-test/sample-000003.mp3`` (Kaggle) and ``cv-valid-test/sample-000003.mp3`` (Mozilla, and
    most copies on disk) are both ``valid-test/sample-000003``.
    """
    clip_ids: list[str | None] = []
    for name in names:
        folder, _, file = name.rpartition("/")
        table = folder.rpartition("/")[2]
        is_clip = table.startswith(_PREFIX) and file.endswith(".mp3")
        clip_ids.append(f"{table.removeprefix(_PREFIX)}/{file.removesuffix('.mp3')}" if is_clip else None)
    return clip_ids


def index_clips(members: pa.Table) -> pa.Table:
    """Return the members (`pipeline.schema.MEMBERS`) that are clips, with their ``clip_id`` as one more column.

    Raises
    ------
    SnapshotError
        Two members are the same clip.
    """
    clip_ids = member_clip_ids(members["name"].to_pylist())
    clips = members.append_column("clip_id", pa.array(clip_ids, pa.string())).filter(pc.field("clip_id").is_valid())
    counts = clips["clip_id"].value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        both = " and ".join(clips.filter(pc.field("clip_id") == twice[0])["name"].to_pylist())
        raise SnapshotError(f"the snapshot holds the clip {twice[0]} more than once: {both}")
    return clips


def estimated_seconds(clip_ids: Iterable[str], clips: pa.Table) -> npt.NDArray[np.float64]:
    """Return how long each clip lasts, within half a percent, by its size alone; NaN where there is no such clip.

    All of the Kaggle snapshot's clips have 64 kbit/s (52 of 52 that were measured), which is 8000 bytes a second.
    """
    sizes = pd.Series(clips["size_bytes"].to_numpy(), index=clips["clip_id"].to_pandas())
    return sizes.reindex(pd.Index(clip_ids)).to_numpy(dtype=np.float64) / BYTES_PER_SECOND


def read_clips(tables: Iterable[str], folder: Path = schema.TABLES) -> pd.DataFrame:
    """Read `tables` into one frame: ``clip_id``, ``table`` and the columns of `pipeline.schema.METADATA`.

    Raises
    ------
    ParameterError
        There is no such table; the message lists those that are there.
    TableError
        A table cannot be read: file and line.
    """
    known = {path.stem.removeprefix(_PREFIX): path for path in sorted(folder.glob(f"{_PREFIX}*.csv"))}
    unknown = [table for table in tables if table not in known]
    if unknown:
        problem = f"stratify.tables: this snapshot has no {', '.join(unknown)}; there are: {', '.join(known)}"
        raise ParameterError(str(schema.PARAMS), [problem])
    return pd.concat([_read_table(table, known[table]) for table in tables], ignore_index=True)


def _read_table(table: str, path: Path) -> pd.DataFrame:
    lines, rows = _read_rows(path)
    columns = dict(zip(_HEADER, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(_HEADER, ())
    frame = pd.DataFrame({"clip_id": _clip_ids(table, path, lines, columns["filename"]), "table": table}, dtype="str")
    for field in schema.METADATA:
        values = columns[field.name]
        if pa.types.is_integer(field.type):
            frame[field.name] = pd.array(_votes(path, lines, field.name, values), dtype="int32")
        else:
            frame[field.name] = pd.array([value or None for value in values], dtype="str")
    return frame


def _read_rows(path: Path) -> tuple[list[int], list[list[str]]]:
    """Return the rows below the header, and the line of each."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(path.name, line, f"expected UTF-8, came the byte 0x{data[error.start]:02x}") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        header = next(reader, [])
        missing = [column for column in _HEADER if column not in header]
        if missing:
            raise TableError(path.name, 1, f"has no column {', '.join(missing)}; its header is {','.join(header)!r}")
        order = [header.index(column) for column in _HEADER]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                problem = f"expected {len(header)} fields, came {len(row)}: {','.join(row)[:80]!r}"
                raise TableError(path.name, reader.line_num, problem)
            lines.append(reader.line_num)
            rows.append([row[i] for i in order])
    except csv.Error as error:
        raise TableError(path.name, reader.line_num, str(error)) from None
    return lines, rows


def _clip_ids(table: str, path: Path, lines: list[int], filenames: Iterable[str]) -> list[str]:
    folder = f"{_PREFIX}{table}/"
    first: dict[str, int] = {}
    for line, filename in zip(lines, filenames, strict=True):
        stem = filename.removeprefix(folder).removesuffix(".mp3")
        if filename != f"{folder}{stem}.mp3" or not stem or "/" in stem:
            raise TableError(path.name, line, f"filename: expected {folder}NAME.mp3, came {filename!r}")
        if (before := first.setdefault(f"{table}/{stem}", line)) != line:
            raise TableError(path.name, line, f"{filename} stands already in line {before}")
    return list(first)


def _votes(path: Path, lines: list[int], column: str, values: Iterable[str]) -> list[int]:
    for line, value in zip(lines, values, strict=True):
        if not _VOTES.fullmatch(value):
            raise TableError(path.name, line, f"{column}: expected a number of votes, came {value!r}")
    return [int(value) for value in values]
