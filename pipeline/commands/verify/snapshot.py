"""The tables of the snapshot against the index of its members, and the index against the receipt."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pandas as pd
import pyarrow as pa

from pipeline.commands.verify.outputs import Problem
from pipeline.core import schema
from pipeline.core.errors import PipelineError, SnapshotError
from pipeline.snapshot import formats, tables
from pipeline.snapshot.receipt import read_members, read_receipt


def examine(folder: Path) -> tuple[str | None, list[Problem]]:
    """Check ``data/snapshot``; return the format of its tables, where that is known, and the problems."""
    receipt_path, members_path = folder / schema.RECEIPT.name, folder / schema.MEMBERS_FILE.name
    receipt, problems = None, []
    try:
        receipt = read_receipt(receipt_path)
    except SnapshotError as error:
        problems.append(Problem.of(receipt_path, error))
    snapshot_format = receipt.format if receipt else None
    try:
        members = read_members(members_path)
    except SnapshotError as error:
        return snapshot_format, [*problems, Problem.of(members_path, error)]
    if receipt and receipt.members != members.num_rows:
        problems.append(Problem(receipt_path, f"counts {receipt.members} members, the index {members.num_rows}"))
    if snapshot_format is not None:
        problems += _table_problems(folder / schema.TABLES.name, members, snapshot_format)
    return snapshot_format, problems


def _table_problems(folder: Path, members: pa.Table, snapshot_format: str) -> Iterator[Problem]:
    """Yield which tables are not, byte for byte, those that the index lists."""
    rows = {row["name"]: row for row in members.select(["name", "size_bytes", "crc32"]).to_pylist()}
    try:
        listed = formats.find_tables(rows, snapshot_format)
    except PipelineError as error:
        yield Problem.of(folder, error)
        return
    for name in listed.values():
        path, row = folder / PurePosixPath(name).name, rows[name]
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            yield Problem(path, "is missing; the index of the snapshot lists it")
            continue
        except OSError as error:
            yield Problem(path, f"cannot be read ({error.strerror})")
            continue
        if len(data) != row["size_bytes"] or row["crc32"] not in (None, zlib.crc32(data)):
            yield Problem(path, "is not the table that the index of the snapshot describes")


def read_clips(folder: Path, named: list[str], snapshot_format: str) -> pd.DataFrame:
    """Read the clips that these tables list, with their speakers where they are known."""
    return tables.read_clips(named, folder / schema.TABLES.name, snapshot_format)
