"""What an archive has, for a person: folders, kinds of files, copies, tables with their first rows. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.tables import Head
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.members import Members

_MOST_FOLDERS = 12
_MOST_VALUES = 12
_CELL = 40  # characters


def lines(members: Members, heads: list[Head], unique: int) -> Iterator[str]:
    """Yield what is in an archive, of whose clips that many are no copies."""
    clips, others = members.clip_paths, members.other_paths
    size = pc.sum(members.clips["size_bytes"]).as_py() or 0
    yield f"{amount(len(clips), 'clip')}, {size / 1e6:,.1f} MB; {amount(len(others), 'other file')}"
    yield from (f"  {text}" for text in folders(clips))
    copies = len(clips) - unique
    if copies:
        yield f"  {amount(copies, 'clip')} are copies of another: same name, length and CRC-32"
    kinds = pc.utf8_lower(pc.extract_regex(others, r"(?P<end>\.[^./]+)$").field("end"))
    counts = Counter(
        {each["values"] or "without extension": each["counts"] for each in kinds.value_counts().to_pylist()}
    )
    if counts:
        yield "  others: " + listed(f"{count:,} {kind}" for kind, count in counts.most_common())
    for head in heads:
        yield from _table(head)


def folders(paths: pa.StringArray) -> Iterator[str]:
    """Yield the folders of files with how many each has, numbers and many names as one: ``fold{1…10}/*.wav  8,732``."""
    files = pc.binary_join_element_wise(
        pc.replace_substring_regex(paths, "[^/]*$", ""),
        pc.utf8_lower(pc.replace_substring_regex(paths, r".*\.", "")),
        "*.",
    )
    counts = {each["values"]: each["counts"] for each in files.value_counts().to_pylist()}
    for text, count in sorted(_short(counts).items(), key=lambda each: (-each[1], each[0]))[:_MOST_FOLDERS]:
        yield f"{text}  {count:,}"


def _short(counts: dict[str, int]) -> dict[str, int]:
    """Join folders whose names differ in one number; while there are many, those that differ in one name."""
    short = _joined(counts, r"\d+", lambda found: f"{min(found, key=int)}…{max(found, key=int)}")
    for below in ("/[^/]*$", "/[^/]*/[^/]*$"):
        if len(short) > _MOST_FOLDERS:
            short = _joined(short, f"[^/]+(?={below})", lambda found: f"{len(found)}: {listed(sorted(found), most=3)}")
    return short


def _joined(counts: dict[str, int], regex: str, shown: Callable[[set[str]], str]) -> dict[str, int]:
    groups: dict[str, dict[str, tuple[str, int]]] = {}
    for text, count in counts.items():
        found = list(re.finditer(regex, text))
        mark = f"{text[: found[-1].start()]}\0{text[found[-1].end() :]}" if found else text
        groups.setdefault(mark, {})[text] = (found[-1][0] if found else "", count)
    joined = {}
    for mark, group in groups.items():
        values = {value for value, _ in group.values()}
        name = mark.replace("\0", f"{{{shown(values)}}}") if len(group) > 1 else next(iter(group))
        joined[name] = sum(count for _, count in group.values())
    return joined


def _table(head: Head) -> Iterator[str]:
    about = "" if head.is_whole else "about "
    yield f"{head.path}: {about}{amount(head.rows, 'row')}, {head.shown}"
    for number in range(min(3, len(next(iter(head.columns.values()))))):
        yield "  " + " | ".join(_cell(column[number].as_py()) for column in head.columns.values())
    for name, column in head.columns.items():
        distinct = sorted(column.drop_null().unique().to_pylist())
        if 1 < len(distinct) <= _MOST_VALUES and len(distinct) < len(column) / 2:
            yield f"  {name}: {listed(map(_cell, distinct))}"


def _cell(text: str | None) -> str:
    return "" if text is None else text if len(text) <= _CELL else f"{text[:_CELL]}…"
