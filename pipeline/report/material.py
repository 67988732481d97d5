"""The input of a report: the table of clips, the ranking, the sample, and the columns of the shards other than audio.

Earlier stages have checked all of it; here a file that cannot be read is one error that names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.clips import reader
from pipeline.clips.rejected import read_rejected
from pipeline.clips.writer import ClipsSeal
from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.core.errors import ShardError
from pipeline.shards.folder import shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.shards.table import read_table
from pipeline.snapshot.clips import read_clips
from pipeline.snapshot.receipt import Receipt
from pipeline.waveforms.reader import Waveforms

# Of all features.
VOICE = ["f0_median_hz", "words", "words_per_second", "speech_start_seconds", "speech_end_seconds"]

_MEASURED = ["clip_id", "split", "num_samples", "duration_seconds", "source_format", "peak_dbfs", "rms_dbfs"]
_MEASURED += ["clipped_samples"]


@dataclass(frozen=True)
class Material:
    """The input of a report.

    Attributes
    ----------
    population
        All rows of the tables that the sample is drawn from: ``table`` and the declared columns.
    undocumented
        How many of their values are not among the documented ones.
    eligible
        The ranking.
    sample
        The accepted clips. The fields of the declared columns carry what is declared of them.
    rejected
        ``data/rejected.csv``.
    waveforms, features
        A row for each clip of the sample, in the same order: columns of the waveforms' shards, and `VOICE`.
    bytes_originals
        Total size of the sample's files, as published.
    bytes_clips, bytes_waveforms
        Total size of the shards of clips and of waveforms.
    """

    population: pa.Table
    undocumented: int
    eligible: pa.Table
    sample: pa.Table
    rejected: pa.Table
    waveforms: pa.Table
    features: pa.Table
    bytes_originals: int
    bytes_clips: int
    bytes_waveforms: int


def load(clips: Waveforms, receipt: Receipt, drawn_from: Sequence[str]) -> Material:
    """Read the outputs of the earlier stages.

    Parameters
    ----------
    clips
        The sample's waveforms.
    receipt
        Of the snapshot.
    drawn_from
        The tables that the sample is drawn from; none for all that can be used.

    Raises
    ------
    ShardError, SnapshotError, TableError
        A file is damaged, or waveforms, features or rejected clips are not those of the sample.
    """
    sample = read_table(schema.SAMPLE, schema.sample_schema)
    names = [field.name for field in fields(sample.schema)]
    clip_paths, waveform_paths = shard_paths(schema.CLIPS), shard_paths(schema.WAVEFORMS)
    waveforms = pa.concat_tables([Shard(path, DerivedSeal).read_all(_MEASURED) for path in waveform_paths])
    if not waveforms["clip_id"].equals(sample["clip_id"]):
        raise ShardError(f"{schema.WAVEFORMS}: holds other clips than {schema.SAMPLE}; make it again with: dvc repro")
    rejected = read_rejected()
    sealed_rejections = [list(map(str, row)) for path in clip_paths for row in Shard(path, ClipsSeal).seal.rejected]
    if [list(row.values()) for row in rejected.to_pylist()] != sealed_rejections:
        raise ShardError(f"{schema.REJECTED}: names other clips than {schema.CLIPS}; make it again with: dvc repro")
    counted = [receipt.tables[table] for table in drawn_from or receipt.usable if table in receipt.tables]
    return Material(
        population=read_clips(receipt, drawn_from, ["table", *names]),
        undocumented=sum(rows for counts in counted for rows in counts.undocumented.values()),
        eligible=read_table(schema.RANKING, schema.ranking_schema, ["split", "stratum", "table", *names]),
        sample=sample,
        rejected=rejected,
        waveforms=waveforms,
        features=clips.feature_table(VOICE),
        bytes_originals=reader.audio_bytes(clip_paths),
        bytes_clips=sum(path.stat().st_size for path in clip_paths),
        bytes_waveforms=sum(path.stat().st_size for path in waveform_paths),
    )
