"""The input of a report: the tables, the ranking, the sample, and the columns of the shards other than audio.

Earlier stages have checked all of it; here it is read fast, and a file that cannot be read is one error that names it.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from pipeline.clips import reader
from pipeline.clips.rejected import read_rejected
from pipeline.core import schema
from pipeline.core.errors import ShardError, SnapshotError, TableError
from pipeline.core.files import require_file
from pipeline.shards.folder import shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.table import read_table
from pipeline.snapshot import formats
from pipeline.waveforms.reader import Waveforms

SHIPPED_SPLITS = ("valid-train", "valid-dev", "valid-test")
VOICE = ["f0_median_hz", "words_per_second", "speech_start_seconds", "speech_end_seconds"]  # of all features

_COUNTED = ("text", *schema.VOCABULARY)  # columns that every report counts
_MEASURED = ["clip_id", "split", "num_samples", "duration_seconds", "peak_dbfs", "rms_dbfs", "clipped_samples"]
_MEASURED += ["mp3_sha256"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """The input of a report.

    Attributes
    ----------
    population
        All rows of the tables that the sample is drawn from.
    shipped
        All rows of the tables in `SHIPPED_SPLITS` that the snapshot has.
    eligible
        The ranking.
    sample
        The accepted clips.
    rejected
        ``data/rejected.csv``.
    waveforms, features
        A row for each clip of the sample, in the same order: columns of the waveforms' shards, and `VOICE`.
    bytes_mp3
        Total size of the sample's MP3s.
    bytes_clips, bytes_waveforms
        Total size of the shards of clips and of waveforms.
    """

    population: pa.Table
    shipped: pa.Table
    eligible: pa.Table
    sample: pa.Table
    rejected: pa.Table
    waveforms: pa.Table
    features: pa.Table
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
    """Read the outputs of the earlier stages.

    Parameters
    ----------
    clips
        The sample's waveforms.
    drawn_from
        The tables that the sample is drawn from.
    strata
        The columns that define the strata.
    snapshot_format
        One of `pipeline.snapshot.formats.FORMATS`.
    verify
        Raises `TableError` for a table that `download` did not write.

    Raises
    ------
    ShardError
        A Parquet file is damaged, or waveforms or features are not those of the sample.
    TableError
        A CSV file cannot be read; names file and line.
    """
    columns = list(dict.fromkeys([*_COUNTED, *strata]))
    served = formats.find_tables((path.name for path in schema.TABLES.iterdir()), snapshot_format)
    shipped = [table for table in SHIPPED_SPLITS if table in served]
    population = read_population(drawn_from, columns, snapshot_format, verify)
    sample = read_table(schema.SAMPLE, schema.SAMPLE_SCHEMA, list(dict.fromkeys(["clip_id", "stratum", *columns])))
    clip_paths, waveform_paths = shard_paths(schema.CLIPS), shard_paths(schema.WAVEFORMS)
    waveforms = pa.concat_tables([Shard(path, DerivedSeal).read_all(_MEASURED) for path in waveform_paths])
    if not waveforms["clip_id"].equals(sample["clip_id"]):
        raise ShardError(f"{schema.WAVEFORMS}: holds other clips than {schema.SAMPLE}; make it again with: dvc repro")
    rejected = read_rejected()
    sealed_rejections = [list(map(str, row)) for path in clip_paths for row in Shard(path, _ClipsSeal).seal.rejected]
    if [list(row.values()) for row in rejected.to_pylist()] != sealed_rejections:
        raise ShardError(f"{schema.REJECTED}: names other clips than {schema.CLIPS}; make it again with: dvc repro")
    return Material(
        population=population.select(columns),
        shipped=_read_shipped(population, shipped, snapshot_format, verify),
        eligible=read_table(schema.RANKING, schema.RANKING_SCHEMA, list(dict.fromkeys([*columns, "stratum", "split"]))),
        sample=sample,
        rejected=rejected,
        waveforms=waveforms,
        features=clips.feature_table(VOICE),
        bytes_mp3=sum(map(reader.mp3_bytes, clip_paths)),
        bytes_clips=sum(path.stat().st_size for path in clip_paths),
        bytes_waveforms=sum(path.stat().st_size for path in waveform_paths),
    )


@dataclass(frozen=True, kw_only=True)
class _ClipsSeal(Seal):
    """The part of a seal of clips that is needed here."""

    rejected: list[list[str | int]]


def _read_shipped(
    clips: pa.Table, shipped: Sequence[str], snapshot_format: str, verify: Callable[[Path], None]
) -> pa.Table:
    """Return ``table`` and ``text`` of the tables `shipped`; a table that no clip is drawn from may be damaged."""
    drawn = clips["table"].unique().to_pylist()
    texts = [clips.select(["table", "text"]).filter(pc.is_in(clips["table"], pa.array(shipped, pa.string())))]
    for table in [table for table in shipped if table not in drawn]:
        try:
            texts.append(read_population([table], ["text"], snapshot_format, verify))
        except TableError as error:
            log.warning("%s. No clip is drawn from this table; the report does without it", error)
    return pa.concat_tables(texts)


def read_population(
    named: Sequence[str],
    columns: Sequence[str],
    snapshot_format: str,
    verify: Callable[[Path], None] = lambda _: None,
) -> pa.Table:
    """Read ``table`` and `columns` of all rows of these tables.

    The result is that of `pipeline.snapshot.tables.read_clips` without its checks, which `stratify` has made.
    """
    wanted = pa.schema([schema.RANKING_SCHEMA.field(name) for name in dict.fromkeys(["table", *columns])])
    form = formats.FORMATS[snapshot_format]
    served = {form.table_of(path.name): path for path in schema.TABLES.iterdir()}
    try:
        population = pa.concat_tables([_read_table(form, table, served[table], wanted) for table in named])
    except (KeyError, ValueError, StopIteration, csv.Error, pa.ArrowException):
        from pipeline.snapshot.tables import read_clips  # noqa: PLC0415  it needs pandas, which whole tables do not

        clips = read_clips(named, format_name=snapshot_format)  # its error names the line
        population = pa.Table.from_pandas(clips, wanted, preserve_index=False)
    for path in formats.paths_of(named, snapshot_format):
        verify(path)
    return population


def _read_table(form: formats.Format, table: str, path: Path, wanted: pa.Schema) -> pa.Table:
    """Read the `wanted` columns of a table, by the names of any release; an empty text is a missing value."""
    require_file(path, SnapshotError)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = next(csv.reader(file, **form.dialect))
    ours = [name for name in wanted.names if name != "table"]
    theirs = [next(each for each in form.columns[name] if each in header) for name in ours]
    quoted = form.dialect.get("quoting") != csv.QUOTE_NONE
    read = pa_csv.read_csv(
        path,
        parse_options=pa_csv.ParseOptions(
            delimiter=form.dialect.get("delimiter", ","), quote_char='"' if quoted else False, newlines_in_values=quoted
        ),
        convert_options=pa_csv.ConvertOptions(include_columns=theirs, column_types=dict.fromkeys(header, pa.string())),
    )
    filled = [pc.if_else(pc.equal(read[name], ""), None, read[name]) for name in theirs]
    return pa.table([pa.repeat(table, len(read)), *filled], ["table", *ours]).cast(wanted)
