"""download: a snapshot's tables as served, an index of its members, and a receipt of what was opened; no clip."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import atomic, schema
from pipeline.core.errors import Rejected, SnapshotError
from pipeline.core.params import load_params, load_runtime
from pipeline.core.progress import progress
from pipeline.core.terminal import amount
from pipeline.snapshot import formats
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import describe
from pipeline.snapshot.receipt import Receipt, write_members, write_receipt
from pipeline.snapshot.sources import Snapshot, open_snapshot


def run() -> str:
    """Write ``data/snapshot/``; return what to tell the user."""
    name = load_params().snapshot
    description = describe(name)
    layout: Literal["kaggle-v1", "mozilla-tsv"] = "mozilla-tsv" if description.format == "mozilla-tsv" else "kaggle-v1"
    opened = open_snapshot(description, load_runtime())
    try:
        members = opened.members
        found = formats.find_tables(members["name"].to_pylist(), layout)
        clips = formats.index_clips(members, layout)
        rows = members.filter(pc.is_in(members["name"], pa.array(found.values()))).to_pylist()
        wanted = [_require_bounded(Member(**row)) for row in rows]
        with atomic.replacing_folder(schema.SNAPSHOT) as folder:
            (folder / schema.TABLES.name).mkdir()
            digests = {}
            with progress("tables", sum(member.size_bytes for member in wanted), "B") as bar:
                for member in wanted:
                    data = _read_table(opened.snapshot, member)
                    table = PurePosixPath(member.name).name
                    (folder / schema.TABLES.name / table).write_bytes(data)
                    digests[table] = hashlib.sha256(data).hexdigest()
                    bar.update(len(data))
            write_members(folder / schema.MEMBERS_FILE.name, members)
            source = description.source.identity()
            receipt = Receipt(name, layout, source, members.num_rows, opened.identity, digests)
            write_receipt(folder / schema.RECEIPT.name, receipt)
    finally:
        opened.snapshot.close()
    of = f"{amount(len(found), 'table')}, {amount(clips.num_rows, 'clip')}"
    return f"{name}: {of}, {_megabytes(clips):.0f} MB of MP3s"


def _require_bounded(member: Member) -> Member:
    if member.size_bytes > formats.LARGEST_TABLE_BYTES:
        gigabytes = formats.LARGEST_TABLE_BYTES >> 30
        raise SnapshotError(f"the table {member.name} has {member.size_bytes} bytes; at most {gigabytes} GiB are read")
    return member


def _read_table(snapshot: Snapshot, member: Member) -> bytes:
    try:
        return snapshot.read(member)
    except Rejected as rejected:
        raise SnapshotError(f"a table of the snapshot is damaged: {rejected.detail}. Get the archive again.") from None


def _megabytes(clips: pa.Table) -> float:
    return float(pc.sum(clips["size_bytes"]).as_py() or 0) / 1e6
