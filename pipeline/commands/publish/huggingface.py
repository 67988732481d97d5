"""The folder for Hugging Face: a Parquet file or more for each split, and a card that says so.

https://huggingface.co/docs/hub/datasets-manual-configuration and https://huggingface.co/docs/hub/datasets-audio.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from pipeline.audio import decode
from pipeline.commands.publish.columns import feature_columns
from pipeline.commands.publish.material import Material
from pipeline.core.progress import progress
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.waveforms.encodings import ENCODINGS, waveforms_of
from pipeline.waveforms.shard import hugging_face_features

CLIPS, FEATURES = "data", "features"  # folders of the two configurations
_FILE_CLIPS = 5_000  # in one file, of about 250 MB: the Hub asks for less than 500
_ROW_GROUP_CLIPS = 100  # as `datasets` writes audio: what its viewer reads to show a page
_PARQUET: dict[str, Any] = {
    "compression": "none",  # FLAC is compressed
    "write_page_checksum": True,
    "write_page_index": True,  # lets the viewer read a page without its row group
    "use_content_defined_chunking": True,  # so that a larger sample uploads only what is new
}


def file_names(split: str, clips: int) -> list[str]:
    """Return the names of the files of a split, such as ``train-00000-of-00002.parquet``."""
    count = -(-clips // _FILE_CLIPS)
    return [f"{split}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]


def write(folder: Path, material: Material) -> None:
    """Write the Parquet files and the card; a row group is in memory."""
    described = pa.schema([column.field for column in feature_columns()])
    configurations = [(CLIPS, material.waveforms, _with_features(material.flac_columns, material.sample_rate))]
    if material.features:
        configurations.append((FEATURES, material.features, _with_features(described)))
    with progress("published", material.clips, "clips") as bar:
        for name, shards, columns in configurations:
            (folder / name).mkdir(parents=True)
            for split, clips in material.splits.items():
                groups = _row_groups(shards, split, columns)
                for file in file_names(split, clips):
                    with pq.ParquetWriter(folder / name / file, columns, **_PARQUET) as writer:
                        for group in islice(groups, _FILE_CLIPS // _ROW_GROUP_CLIPS):
                            writer.write_table(group)
                            bar.update(group.num_rows if name == CLIPS else 0)
    (folder / "README.md").write_bytes(_card(material).encode())


def _row_groups(shards: Iterable[Shard[DerivedSeal]], split: str, columns: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a split, in rank order, in tables of `_ROW_GROUP_CLIPS`."""
    waiting = columns.empty_table()
    for shard in shards:
        for group in shard.groups:
            rows = shard.read(group)
            rows = _with_flac(rows.filter(pc.equal(rows["split"], split))).cast(columns)
            waiting = pa.concat_tables([waiting, rows])
            while waiting.num_rows >= _ROW_GROUP_CLIPS:
                yield waiting.slice(0, _ROW_GROUP_CLIPS)
                waiting = waiting.slice(_ROW_GROUP_CLIPS).combine_chunks()
    if waiting.num_rows:
        yield waiting


def _with_flac(rows: pa.Table) -> pa.Table:
    """Return rows with their audio as FLAC files."""
    if "waveform" not in rows.column_names:
        return rows
    place = rows.column_names.index("waveform")
    rate = rows["sample_rate"].to_pylist()
    waveforms = waveforms_of(rows["waveform"].combine_chunks())
    flacs = [
        decode.to_file(decode.to_pcm16(samples)[0], hz, "FLAC") for samples, hz in zip(waveforms, rate, strict=True)
    ]
    flac = ENCODINGS["flac"]
    return rows.set_column(place, flac.FIELD, flac.pack(flacs, rows["clip_id"].to_pylist()))


def _with_features(columns: pa.Schema, sample_rate: int | None = None) -> pa.Schema:
    """Return columns with what `datasets` knows them by."""
    features = hugging_face_features(columns, sample_rate)
    return columns.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _card(material: Material) -> str:
    """Return the card with what the Hub and `datasets` read of the files; the columns stand in the files themselves."""
    yaml = YAML()
    yaml.width = 4096
    head = yaml.load(material.card_head)
    names = {"default": CLIPS, **({"features": FEATURES} if material.features else {})}
    head["configs"] = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": f"{place}/{split}-*.parquet"} for split in material.splits],
        }
        for name, place in names.items()
    ]
    buffer = io.StringIO()
    yaml.dump(head, buffer)
    return f"---\n{buffer.getvalue()}---\n\n{material.card_body}\n{_FILES}"


_FILES = """## Files

- `data/`: a row for each clip, in the order of the ranking, in files by split; `audio` is a FLAC file of 16 bits.
- `features/`, if present: measurements of the same clips, as a second configuration.
- `croissant.json` describes every column; `SHA256SUMS` has the checksum of every file (`sha256sum --check SHA256SUMS`).
"""
