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

_MEASURED = ["clip_id", "split", "num_samples", "duration_seconds", "source_format", "source_sha256"]
_MEASURED += ["peak_dbfs", "rms_dbfs", "clipped_samples"]


@dataclass(frozen=True)
class Material:
    """The input of a report."""

    population: pa.Table  # all rows of the tables that the sample is drawn from: `table` and the declared columns
    undocumented: int  # how many of their values are not among the documented ones
    eligible: pa.Table  # the ranking
    sample: pa.Table  # the accepted clips
    rejected: pa.Table  # `schema.REJECTED_COLUMNS`
    waveforms: pa.Table  # a row for each clip of the sample, in the same order: `_MEASURED`
    features: pa.Table  # likewise: `VOICE`
    bytes_originals: int  # of the sample's files, as published
    bytes_clips: int  # of the shards
    bytes_waveforms: int


def load(clips: Waveforms, receipt: Receipt, drawn_from: Sequence[str]) -> Material:
    """Read the outputs of the earlier stages; the sample is drawn from the tables `drawn_from`, or all that are usable.

    Raises ShardError, SnapshotError or TableError if a file is damaged, or waveforms, features or rejected clips are
    not those of the sample.
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
