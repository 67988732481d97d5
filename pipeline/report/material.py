"""What a report is made from: the tables, the ranking, the sample, and what the shards say beside their audio.

Earlier stages have judged all of it; here it is read as fast as it can be, and what cannot be read is one error that
names the file.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipeline.clips import originals
from pipeline.core import schema
from pipeline.core.errors import ShardError, TableError
from pipeline.core.schema import Reason
from pipeline.shards.folder import shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.table import read_table
from pipeline.snapshot import formats, tables
from pipeline.snapshot.receipt import require_file
from pipeline.waveforms.reader import Waveforms

SHIPPED_SPLITS = ("valid-train", "valid-dev", "valid-test")

_COUNTED = ("text", *schema.VOCABULARY)  # columns that are looked at whatever the strata are
_MEASURED = ["clip_id", "split", "num_samples", "duration_seconds", "peak_dbfs", "rms_dbfs", "clipped_samples"]
_MEASURED += ["mp3_sha256"]

Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """What a report is made from.

    Attributes
    ----------
    population
        All rows of the tables that were drawn from.
    shipped
        All rows of those of `SHIPPED_SPLITS` that the snapshot has.
    eligible
        The ranking.
    sample
        The accepted clips.
    rejected
        ``data/rejected.csv``.
    waveforms
        What the shards of waveforms say of each clip of the sample, in the same order.
    features
        The table of features, likewise.
    bytes_mp3
        What the sample's MP3s hold, in bytes.
    bytes_clips, bytes_waveforms
        What their shards and those of the waveforms take on disk.
    """

    population: pd.DataFrame
    shipped: pd.DataFrame
    eligible: pd.DataFrame
    sample: pd.DataFrame
    rejected: pd.DataFrame
    waveforms: pd.DataFrame
    features: pd.DataFrame
    bytes_mp3: int
    bytes_clips: int
    bytes_waveforms: int


def load(
    clips: Waveforms,
    drawn_from: Sequence[str],
    strata: Sequence[str],
    snapshot_format: str,
    verify: Callable[[Path], None] = lambda _: None,
) -> Material:
    """Read what the stages before wrote.

    Parameters
    ----------
    clips
        The sample's waveforms.
    drawn_from
        The tables that were drawn from.
    strata
        The columns that strata are made of.
    snapshot_format
        One of `pipeline.snapshot.formats.FORMATS`.
    verify
        Raises `TableError` for a table that is not what `download` wrote.

    Raises
    ------
    ShardError
        A Parquet file is damaged, or waveforms or features are not those of the sample.
    TableError
        A CSV file cannot be read: file and line.
    """
    columns = list(dict.fromkeys([*_COUNTED, *strata]))
    served = formats.find_tables((path.name for path in schema.TABLES.iterdir()), snapshot_format)
    shipped = [table for table in SHIPPED_SPLITS if table in served]
    population = read_population(drawn_from, columns, snapshot_format)
    for path in formats.paths_of(drawn_from, snapshot_format):
        verify(path)
    sample = read_table(
        schema.SAMPLE, schema.SAMPLE_SCHEMA, list(dict.fromkeys(["clip_id", "stratum", *columns]))
    ).to_pandas()
    read = _read_shards(schema.WAVEFORMS, lambda path: Shard(path, DerivedSeal).read_all(_MEASURED))
    waveforms = pa.concat_tables(read).to_pandas()
    if not waveforms["clip_id"].equals(sample["clip_id"]):
        raise ShardError(f"{schema.WAVEFORMS}: holds other clips than {schema.SAMPLE}; make it again with: dvc repro")
    rejected = read_rejected()
    sealed_rejections = [list(map(str, row)) for rows in _read_shards(schema.CLIPS, _rejected_of) for row in rows]
    if rejected.to_numpy().tolist() != sealed_rejections:
        raise ShardError(f"{schema.REJECTED}: names other clips than {schema.CLIPS}; make it again with: dvc repro")
    return Material(
        population=population[columns],
        shipped=_read_shipped(population, shipped, snapshot_format, verify),
        eligible=read_table(
            schema.RANKING, schema.RANKING_SCHEMA, list(dict.fromkeys([*columns, "stratum", "split"]))
        ).to_pandas(),
        sample=sample,
        rejected=rejected,
        waveforms=waveforms,
        features=clips.features(),
        bytes_mp3=sum(_read_shards(schema.CLIPS, originals.mp3_bytes)),
        bytes_clips=_bytes_on_disk(schema.CLIPS),
        bytes_waveforms=_bytes_on_disk(schema.WAVEFORMS),
    )


@dataclass(frozen=True, kw_only=True)
class _ClipsSeal(Seal):
    """As much of a seal of clips as is needed here."""

    rejected: list[list[str | int]]


def _rejected_of(path: Path) -> list[list[str | int]]:
    return Shard(path, _ClipsSeal).seal.rejected


def _read_shipped(
    clips: pd.DataFrame, shipped: Sequence[str], snapshot_format: str, verify: Callable[[Path], None]
) -> pd.DataFrame:
    """Return ``table`` and ``text`` of the tables `shipped`; one that no clip is drawn from may be damaged."""
    drawn = set(clips["table"])
    texts = [clips.loc[clips["table"].isin(shipped), ["table", "text"]]]
    for table in [table for table in shipped if table not in drawn]:
        try:
            read = read_population([table], ["text"], snapshot_format)[["table", "text"]]
            for path in formats.paths_of([table], snapshot_format):
                verify(path)
            texts.append(read)
        except TableError as error:
            log.warning("%s. No clip is drawn from this table; the report does without it", error)
    return pd.concat(texts, ignore_index=True)


def read_population(tables_named: Iterable[str], columns: Sequence[str], snapshot_format: str) -> pd.DataFrame:
    """Read `columns` of all rows of these tables, with ``table`` as one more column.

    What `pipeline.snapshot.tables.read_clips` says of them, without its checks: `stratify` has made them.
    """
    named = list(tables_named)
    form = formats.FORMATS[snapshot_format]
    served = {form.table_of(path.name): path for path in schema.TABLES.iterdir()}
    try:
        read = [_read_table(form, served[table], columns).assign(table=table) for table in named]
    except (KeyError, ValueError, StopIteration, csv.Error, pa.ArrowException):
        return tables.read_clips(named, format_name=snapshot_format)  # which says in which line the fault is
    return pd.concat(read, ignore_index=True)


def read_rejected(path: Path = schema.REJECTED) -> pd.DataFrame:
    """Read ``data/rejected.csv``: `schema.REJECTED_COLUMNS`, all of them strings.

    Raises
    ------
    TableError
        It is not what `subsample` writes: the line.
    """
    again = f"get it again with: dvc checkout {path}, or make it again with: dvc repro"
    require_file(path)
    data = path.read_bytes()
    rows: list[tuple[str, ...]] = []
    line = 1
    try:
        reader = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
        for row in reader:
            line = reader.line_num
            rows.append(_rejected_row(row) if rows else tuple(row))
    except UnicodeDecodeError as error:
        raise TableError(
            str(path), data.count(b"\n", 0, error.start) + 1, f"is not UTF-8 ({error.reason}); {again}"
        ) from None
    except (ValueError, csv.Error) as error:
        raise TableError(str(path), line, f"{error}; {again}") from None
    if not rows or rows[0] != schema.REJECTED_COLUMNS:
        raise TableError(str(path), 1, f"expected the header {','.join(schema.REJECTED_COLUMNS)}; {again}")
    return pd.DataFrame(rows[1:], columns=list(schema.REJECTED_COLUMNS), dtype="str")


def _rejected_row(row: list[str]) -> tuple[str, ...]:
    if len(row) != len(schema.REJECTED_COLUMNS):
        raise ValueError(f"expected {len(schema.REJECTED_COLUMNS)} fields, got {len(row)}")
    Reason(row[schema.REJECTED_COLUMNS.index("reason")])
    return tuple(row)


def _read_table(form: formats.Format, path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read columns of a table, whatever the release calls them; an empty text is a missing value."""
    require_file(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, **form.dialect))
    theirs = {name: next(each for each in form.columns[name] if each in header) for name in columns if name != "table"}
    quoted = form.dialect.get("quoting") != csv.QUOTE_NONE
    read = pa_csv.read_csv(
        path,
        parse_options=pa_csv.ParseOptions(
            delimiter=form.dialect.get("delimiter", ","), quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        convert_options=pa_csv.ConvertOptions(
            include_columns=list(theirs.values()), column_types=dict.fromkeys(header, pa.string())
        ),
    )
    values = (read[name] for name in theirs.values())
    filled = [pc.if_else(pc.equal(each, ""), None, each) for each in values]
    table = pa.table(dict(zip(theirs, filled, strict=True)))
    for name in ("up_votes", "down_votes"):
        if name in theirs:
            table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int32()))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _read_shards(folder: Path, read: Callable[[Path], Result]) -> list[Result]:
    """Read the shards of a folder, several at a time."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(read, shard_paths(folder)))


def _bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in shard_paths(folder))
