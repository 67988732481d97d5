"""The snapshot's tables as one typed frame with a row for each clip, and how long each clip is likely to last."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pipeline.core import schema
from pipeline.core.errors import ParameterError, SnapshotError, TableError
from pipeline.core.files import require_file
from pipeline.snapshot.formats import BYTES_PER_SECOND, DURATIONS, FORMATS, LARGEST_TABLE_BYTES, Format, clip_keys

_VOTES = re.compile(r"[0-9]{1,9}")
_MILLISECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_LONGEST_LINE = 1 << 20  # characters; `csv` itself takes no field of more than 131,072
_SHOWN = 80  # characters of a cell in a message


def estimated_seconds(
    clip_ids: Iterable[str], clips: pa.Table, format_name: str = "kaggle-v1", folder: Path = schema.TABLES
) -> npt.NDArray[np.float64]:
    """Return how long each clip lasts, before it is fetched; NaN where that is unknown.

    Kaggle's clips all have 64 kbit/s (52 of 52 that were measured), which is 8000 bytes a second, within
    half a percent. Later releases, of other bit rates, have a table of durations from 16.1 on.
    """
    if FORMATS[format_name].own_folders:
        seconds = pd.Series(clips["size_bytes"].to_numpy() / BYTES_PER_SECOND, index=clips["key"].to_pandas())
    else:
        seconds = _durations(folder / f"{DURATIONS}.tsv")
    return seconds.reindex(pd.Index(clip_keys(clip_ids, format_name))).to_numpy(dtype=np.float64)


def read_clips(tables: Iterable[str], folder: Path = schema.TABLES, format_name: str = "kaggle-v1") -> pd.DataFrame:
    """Read `tables` into one frame.

    Its columns are ``clip_id``, ``table``, those of `schema.METADATA`, and ``speaker`` where the tables name
    speakers.

    Raises
    ------
    ParameterError
        There is no such table (the message lists those that are there), or two of them share clips.
    TableError
        A table cannot be read: file and line.
    """
    form = FORMATS[format_name]
    served = {form.table_of(path.name): path for path in sorted(folder.glob("*"))}
    known = {table: path for table, path in served.items() if table not in (None, DURATIONS)}
    if not known:
        raise SnapshotError(f"{folder}: no tables there; get them with: dvc repro download")
    unknown = [table for table in tables if table not in known]
    if unknown:
        problem = f"stratify.tables: this snapshot has no {', '.join(unknown)}; there are: {', '.join(map(str, known))}"
        raise ParameterError(str(schema.PARAMS), [problem])
    clips = pd.concat([_read_table(form, table, known[table]) for table in tables], ignore_index=True)
    keys = pd.Series(clip_keys(clips["clip_id"], format_name), dtype="str")
    if keys.duplicated().any():
        twice = clips["clip_id"][keys == keys[keys.duplicated()].iloc[0]]
        problem = (
            f"stratify.tables: a clip stands in two of them, as {' and '.join(twice)}; name tables that share none"
        )
        raise ParameterError(str(schema.PARAMS), [problem])
    return clips


def _read_table(form: Format, table: str, path: Path) -> pd.DataFrame:
    lines, rows = _read_rows(path, form.columns, form.dialect)
    columns: dict[str, Sequence[str]] = dict.fromkeys(form.columns, ())
    if rows:
        columns |= zip(form.columns, zip(*rows, strict=True), strict=True)
    clip_ids = _clip_ids(form, table, path, lines, columns["filename"])
    frame = pd.DataFrame({"clip_id": clip_ids, "table": table}, dtype="str")
    for name in [*schema.METADATA.names, *(["speaker"] if "speaker" in columns else [])]:
        if name.endswith("_votes"):
            frame[name] = pd.array(_votes(path, lines, name, columns[name]), dtype="int32")
        else:
            frame[name] = pd.array([value or None for value in columns[name]], dtype="str")
    return frame


def _read_rows(
    path: Path, columns: Mapping[str, tuple[str, ...]], dialect: dict[str, Any]
) -> tuple[list[int], list[list[str]]]:
    """Return the rows below the header, as the columns that are wanted, and the line of each."""
    require_file(path, SnapshotError)
    if (size := path.stat().st_size) > LARGEST_TABLE_BYTES:
        raise TableError(path.name, None, f"has {size} bytes; at most {LARGEST_TABLE_BYTES >> 30} GiB are read")
    lines: list[int] = []
    rows: list[list[str]] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(_lines(path, file), **dialect)
        try:
            header = next(reader, [])
            order = _order(path, columns, header)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    problem = f"expected {len(header)} fields, got {len(row)}: {','.join(row)[:_SHOWN]!r}"
                    raise TableError(path.name, reader.line_num, problem)
                lines.append(reader.line_num)
                rows.append([row[place] for place in order])
        except csv.Error as error:
            raise TableError(path.name, reader.line_num, str(error)) from None
        except UnicodeDecodeError:
            raise _not_utf8(path) from None
    return lines, rows


def _lines(path: Path, file: TextIO) -> Iterator[str]:
    """Yield the lines of a table with their ends, whatever these are."""
    for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 1):
        if len(line) == _LONGEST_LINE:
            raise TableError(path.name, number, f"has more than {_LONGEST_LINE - 1} characters")
        yield line


def _not_utf8(path: Path) -> TableError:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return TableError(path.name, number, f"expected UTF-8, got the byte 0x{line[error.start]:02x}")
    return TableError(path.name, None, "expected UTF-8")


def _order(path: Path, columns: Mapping[str, tuple[str, ...]], header: list[str]) -> list[int]:
    """Return where in the header each of the columns stands."""
    found = {ours: [name for name in theirs if name in header] for ours, theirs in columns.items()}
    missing = [" or ".join(columns[ours]) for ours, names in found.items() if not names]
    if missing:
        got = ",".join(header)[: 3 * _SHOWN]
        raise TableError(path.name, 1, f"has no column {', '.join(missing)}; its header is {got!r}")
    return [header.index(names[0]) for names in found.values()]


def _clip_ids(form: Format, table: str, path: Path, lines: list[int], filenames: Iterable[str]) -> list[str]:
    folder = f"{form.prefix}{table}/" if form.own_folders else ""
    first: dict[str, int] = {}
    for line, filename in zip(lines, filenames, strict=True):
        stem = filename.removeprefix(folder).removesuffix(".mp3")
        unfit = filename != f"{folder}{stem}.mp3" if form.own_folders else False  # old releases have no .mp3 there
        if unfit or not stem or "/" in stem:
            raise TableError(path.name, line, f"filename: expected {folder}NAME.mp3, got {filename[:_SHOWN]!r}")
        if (before := first.setdefault(f"{table}/{stem}", line)) != line:
            raise TableError(path.name, line, f"{filename[:_SHOWN]!r} stands already in line {before}")
    return list(first)


def _votes(path: Path, lines: list[int], column: str, values: Iterable[str]) -> list[int]:
    for line, value in zip(lines, values, strict=True):
        if not _VOTES.fullmatch(value):
            raise TableError(path.name, line, f"{column}: expected a number of votes, got {value[:_SHOWN]!r}")
    return [int(value) for value in values]


def _durations(path: Path) -> pd.Series[float]:
    """Return seconds by clip, as far as there is a table of them (``clip``, ``duration[ms]``).

    Raises
    ------
    TableError
        It cannot be read: file and line.
    """
    if not path.exists():
        return pd.Series(dtype=np.float64)
    columns = {"clip": ("clip",), "duration": ("duration[ms]",)}
    seconds: dict[str, float] = {}
    for line, (clip, duration) in zip(*_read_rows(path, columns, FORMATS["mozilla-tsv"].dialect), strict=True):
        if not _MILLISECONDS.fullmatch(duration):
            problem = f"duration[ms]: expected milliseconds, got {duration[:_SHOWN]!r}"
            raise TableError(path.name, line, problem)
        if seconds.setdefault(clip.removesuffix(".mp3"), float(duration) / 1000) != float(duration) / 1000:
            raise TableError(path.name, line, f"{clip[:_SHOWN]!r} stands there before, with another duration")
    return pd.Series(seconds, dtype=np.float64)
