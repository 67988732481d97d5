"""What an archive has, for a person: folders, kinds of files, copies; and how values are listed. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow.compute as pc

from pipeline.core.terminal import amount, listed
from pipeline.snapshot.members import Members

_MOST_FOLDERS = 12
_WIDTH = 90  # of values on a line, with room for their column's name
_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def contents(members: Members, unique: int) -> Iterator[str]:
    """Yield what is in an archive, of whose clips that many are no copies."""
    clips, others = members.clip_paths.to_pylist(), members.other_paths.to_pylist()
    megabytes = (pc.sum(members.clips["size_bytes"]).as_py() or 0) / 1e6
    yield f"{amount(len(clips), 'clip')}, {megabytes:,.1f} MB; {amount(len(others), 'other file')}"
    folders: Counter[str] = Counter()
    for folder, count in Counter(path.rpartition("/")[0] + "/*" + _ending(path) for path in clips).items():
        folders[re.sub(r"\d[^/]*(?=/)", "…", folder)] += count
    folders = _without_families(folders)
    yield from (f"  {folder}  {count:,}" for folder, count in folders.most_common(_MOST_FOLDERS))
    if len(folders) > _MOST_FOLDERS:
        yield f"  and {len(folders) - _MOST_FOLDERS:,} more folders"
    copies = len(clips) - unique
    if copies:
        yield f"  {amount(copies, 'clip')} are copies of another: same name, length and CRC-32"
    kinds = Counter(_ending(path) or "without extension" for path in others)
    if kinds:
        yield "  others: " + listed(f"{count:,} {kind}" for kind, count in kinds.most_common())
    sheets = [path for path in others if _ending(path) in _SPREADSHEETS]
    if sheets:
        yield f"not read: {listed(sheets, most=3)}; save each sheet with facts about clips as a .csv beside it"


def values_shown(values: Sequence[str]) -> str:
    """Return values on one line: as many as fit, at least one, and how many more there are."""
    most = 1
    while most < len(values) and len(listed(values, most + 1)) <= _WIDTH:
        most += 1
    return listed(values, most)


def _without_families(folders: Counter[str]) -> Counter[str]:
    """Return folders with * for the deepest levels, until they are few: wav/*/*.wav."""
    for depth in range(max((folder.count("/") for folder in folders), default=0), 0, -1):
        if len(folders) > _MOST_FOLDERS:
            wider: Counter[str] = Counter()
            for folder, count in folders.items():
                parts = folder.split("/")
                wider["/".join([*parts[: depth - 1], "*", *parts[depth:]] if len(parts) > depth else parts)] += count
            folders = wider
    return folders


def _ending(path: str) -> str:
    name, dot, ending = path.rpartition("/")[2].rpartition(".")
    return f"{dot}{ending.lower()}" if name else ""
