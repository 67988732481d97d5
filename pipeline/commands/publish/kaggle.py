"""The folder for Kaggle: the shards as they are, side by side, and ``dataset-metadata.json``.

https://github.com/Kaggle/kaggle-cli/blob/main/docs/datasets_metadata.md. Folders are left out by
``kaggle datasets create`` unless it is told otherwise, and described columns are those of a file beside the metadata.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.commands.publish.columns import Column, feature_columns, waveform_columns
from pipeline.commands.publish.material import Material
from pipeline.core.progress import progress
from pipeline.snapshot.licenses import license_of

METADATA = "dataset-metadata.json"
OWNER = "INSERT_OWNER_HERE"


def write(folder: Path, material: Material, owner: str | None) -> None:
    """Write the shards, the card and the metadata."""
    names = {f"part-{number:05d}.parquet": shard.path for number, shard in enumerate(material.waveforms)}
    names |= {f"features-{number:05d}.parquet": shard.path for number, shard in enumerate(material.features)}
    with progress("published", sum(Path(path).stat().st_size for path in names.values()), "B") as bar:
        for name, path in names.items():
            shutil.copyfile(path, folder / name)
            bar.update((folder / name).stat().st_size)
    (folder / "README.md").write_bytes(f"{material.card.rstrip()}\n\n{_FILES}".encode())
    text = json.dumps(metadata(material, list(names), owner or OWNER), indent=2, ensure_ascii=False) + "\n"
    (folder / METADATA).write_bytes(text.encode())


def metadata(material: Material, files: list[str], owner: str) -> dict[str, Any]:
    """Return what ``kaggle datasets create`` reads."""
    columns = {
        "part": waveform_columns(material.waveforms[0].columns),
        "features": feature_columns() if material.features else [],
    }
    about = {"part": "Clips, in the order of the ranking", "features": "Measurements of the same clips"}
    return {
        "title": material.title,
        "id": f"{owner}/{material.slug}",
        "subtitle": f"A small, fair, reproducible sample of audio at {material.sample_rate / 1000:g} kHz",
        "licenses": [{"name": license_of(material.description.license).kaggle}],
        "keywords": [],
        "description": f"{material.card_body.rstrip()}\n\n{_FILES}",
        "resources": [
            {
                "path": file,
                "description": f"{about[file.partition('-')[0]]}: {file}",
                "schema": {"fields": [_field(column) for column in columns[file.partition("-")[0]]]},
            }
            for file in files
        ],
    }


def _field(column: Column) -> dict[str, str]:
    unit = f" Unit: {column.unit}." if column.unit else ""
    kind = column.field.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return {
        "name": column.name,
        "description": f"{column.description}{unit}",
        "type": "numeric" if numeric else "string" if pa.types.is_string(kind) else str(kind),
    }


_FILES = """## Files

- `part-*.parquet`: a row for each clip, in the order of the ranking; each file is sealed with its checksum.
- `features-*.parquet`, if present: measurements of the same clips, in the same rows.
- `croissant.json` describes every column; `SHA256SUMS` has the checksum of every file (`sha256sum --check SHA256SUMS`).
"""
