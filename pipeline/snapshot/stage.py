"""download: a snapshot's tables as served, an index of its members, and a receipt of what was opened; no clip."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.errors import Rejected, SnapshotError
from pipeline.core.params import load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.snapshot import tables
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import describe
from pipeline.snapshot.sources import Snapshot, open_snapshot


def run() -> str:
    """Write ``data/snapshot/``; return what to tell the user."""
    name = load_params().snapshot
    description = describe(name)
    snapshot = open_snapshot(description, load_runtime())
    members = snapshot.members()
    found = tables.find_tables(members["name"].to_pylist(), description.format)
    clips = tables.index_clips(members, description.format)
    rows = members.filter(pc.is_in(members["name"], pa.array(found.values()))).to_pylist()
    wanted = [Member(**row) for row in rows]
    with atomic.replacing_folder(schema.SNAPSHOT) as folder:
        (folder / schema.TABLES.name).mkdir()
        size_bytes = sum(member.size_bytes for member in wanted)
        with progress("tables", size_bytes, "B") as bar:
            for member in wanted:
                data = _read_table(snapshot, member)
                (folder / schema.TABLES.name / PurePosixPath(member.name).name).write_bytes(data)
                bar.update(len(data))
        pq.write_table(members, folder / schema.MEMBERS_FILE.name, compression="zstd", store_schema=False)
        receipt: dict[str, Any] = {
            "snapshot": name,
            "format": description.format,
            "source": description.source.identity(),
            "members": members.num_rows,
        }
        receipt["validators"] = snapshot.validators()
        if transport := snapshot.transport():
            receipt["transport"] = transport
        text = json.dumps(receipt, indent=2, sort_keys=True) + "\n"
        (folder / schema.RECEIPT.name).write_bytes(text.encode())
    return f"{name}: {len(found)} tables, {clips.num_rows} clips, {_megabytes(clips):.0f} MB of MP3s"


def _read_table(snapshot: Snapshot, member: Member) -> bytes:
    try:
        return snapshot.read(member)
    except Rejected as rejected:
        raise SnapshotError(f"a table of the snapshot is damaged: {rejected.detail}. Get the archive again.") from None


def _megabytes(clips: pa.Table) -> float:
    return float(pc.sum(clips["size_bytes"]).as_py() or 0) / 1e6
