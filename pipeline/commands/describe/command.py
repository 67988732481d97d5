"""describe: a draft of a snapshot's description on stdout, and on stderr what it was guessed from."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.contents import contents
from pipeline.commands.describe.draft import Draft
from pipeline.commands.describe.fields_of_paths import endings_of, level, stem_of
from pipeline.commands.describe.layouts import Layout, layouts_of
from pipeline.commands.describe.roles import roles_of
from pipeline.commands.describe.tables import Table, likely_tables, tables_of
from pipeline.core import atomic
from pipeline.core.errors import ParameterError, SnapshotError
from pipeline.core.params import load_runtime
from pipeline.core.settings import validated
from pipeline.core.terminal import amount, listed, printable_lines
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import Description
from pipeline.snapshot.join import Join
from pipeline.snapshot.members import Members, Read
from pipeline.snapshot.patterns import UNDECODED_EXTENSIONS, Pattern
from pipeline.snapshot.sources import OpenedSnapshot, open_snapshot
from pipeline.snapshot.tables import first_of_each

HEAD_BYTES = 1 << 16
_ABOUT = {"title": "unknown", "license": "unknown", "citation": "unknown"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the source, and where to write the draft."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="kaggle:OWNER/NAME[@VERSION], kaggle-competition:NAME, a URL, or the path of a zip, a tar or a folder",
    )
    parser.add_argument("--to", metavar="FILE", type=Path, help="write the draft to configs/snapshots/NAME.yaml")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield the draft."""
    to: Path | None = options.to
    if to is not None and (to.exists() or to.suffix != ".yaml" or not to.parent.is_dir()):
        problem = "is there already; nothing is overwritten" if to.exists() else "should end in .yaml, in a folder"
        raise ParameterError("the command line", [f"--to: {to} {problem}"])
    source = source_of(options.source)
    description = validated(Description, {**_ABOUT, "source": source, "audio": "{name}.*"}, options.source)
    opened = open_snapshot(description, load_runtime())
    try:
        draft, seen = drafted(opened, source, to.stem if to else _name_of(options.source))
    finally:
        opened.snapshot.close()
    if source["kind"] == "kaggle" and "@" not in options.source:
        seen.append("it is version 1 that was read, since none was named: kaggle:OWNER/NAME@VERSION names another")
    print(printable_lines("\n".join(seen)), file=sys.stderr, flush=True)
    if to is None:
        yield draft.text().rstrip("\n")
        return
    atomic.write_text(to, draft.text())
    yield f"{to} is written; try it:\n  {draft.command}"


def source_of(text: str) -> dict[str, Any]:
    """Return the ``source`` of a description that the command line names.

    Raises ParameterError if there is nothing at a path.
    """
    kind, _, rest = text.partition(":")
    if kind == "kaggle":
        dataset, _, version = rest.partition("@")
        return {"kind": kind, "dataset": dataset, "version": int(version) if version.isdigit() else version or 1}
    if kind == "kaggle-competition":
        return {"kind": kind, "competition": rest}
    if "://" not in text and not Path(text).exists():
        raise ParameterError(
            "the command line", [f"SOURCE: {text} is not there; it should be a path, a URL, or kaggle:OWNER/NAME"]
        )
    return {"kind": "directory" if Path(text).is_dir() else "archive", "path": text}


def _name_of(source: str) -> str:
    """Return a name for the description: that of the data set, the file or the folder."""
    name = re.sub(r"@\d+$", "", source.rstrip("/").rpartition("/")[2].rpartition(":")[2])
    name = re.sub(r"(?i)\.(zip|tar|tar\.gz|tgz)$", "", name).lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "draft"


def drafted(opened: OpenedSnapshot, source: dict[str, Any], name: str) -> tuple[Draft, list[str]]:
    """Return the draft that fits an opened snapshot best, and what to tell of it.

    It is the first of the likely ones that fits and has a role that is sure; else the first that fits.

    Raises SnapshotError if it has no audio, or none that is decoded here.
    """
    members = _members(opened)
    paths = members.clip_paths
    rows = dict(zip(members.other_paths.to_pylist(), members.others.to_pylist(), strict=True))
    heads = {path: _head(opened, Member(**rows[path])) for path in likely_tables(list(rows))}
    seen: list[str] = []
    tables = tables_of(heads, {path: row["size_bytes"] for path, row in rows.items()}, stem_of(paths), seen)
    known = {rows[path]["name"]: head for path, head in heads.items()}
    is_decoded = pc.invert(pc.is_in(endings_of(paths), pa.array(UNDECODED_EXTENSIONS)))
    unique = _without_copies(members, is_decoded)
    seen = [*contents(members, len(unique)), *seen, *(line for table in tables for line in table.lines())]
    first: tuple[Draft, str] | None = None
    problems: list[str] = []
    why: dict[str, str] = {}
    for layout in layouts_of(tables, paths.filter(is_decoded), unique, seen, why):
        draft = Draft(name, source, layout, roles_of(layout.columns), len(unique))
        try:
            found = _tried(draft, opened.members, lambda member: known.get(member["name"], b""))
        except (SnapshotError, ParameterError) as error:
            problems.append(str(error))
            continue
        first = first or (draft, found)
        if "segment" in layout.keys or any(candidates.sure for candidates in draft.roles):
            return draft, [*seen, *_unused(tables, draft.layout, why), found]
        if "tables" not in layout.keys:
            break  # what is less likely says less
    if first is None:
        raise SnapshotError("\n  ".join(["no description was found that fits:", *problems]))
    return first[0], [*seen, *_unused(tables, first[0].layout, why), first[1]]


def _members(opened: OpenedSnapshot) -> Members:
    try:
        members = Members(opened.members, [Pattern("{_}.*")], lambda _: b"")
    except SnapshotError:
        counts = Counter(endings_of(opened.members["name"].combine_chunks()).to_pylist())
        there = listed((f"{count:,} {kind}" for kind, count in counts.most_common()), most=5)
        if not there:
            raise SnapshotError("there is no file in it.") from None
        remedy = "Unpack archives that are within it; one that Kaggle serves on its own can be named: source.file."
        raise SnapshotError(f"no member is audio; of other kinds there are {there}. {remedy}") from None
    kinds = set(endings_of(members.clip_paths).to_pylist())
    if kinds <= set(UNDECODED_EXTENSIONS):
        clips = amount(members.clips.num_rows, "clip")
        raise SnapshotError(f"all {clips} are {listed(kinds)}, which no decoder here reads. Convert them to FLAC.")
    return members


def _head(opened: OpenedSnapshot, member: Member) -> bytes:
    """Return the whole lines at the beginning of a member; a line end within quotes is none of a table."""
    head = opened.snapshot.head(member, HEAD_BYTES)
    if len(head) == member.size_bytes:
        return head
    whole = head = head[: head.rfind(b"\n") + 1]
    while whole.count(b'"') % 2:
        whole = whole[: whole.rfind(b"\n", 0, -1) + 1]
    return whole if len(whole) > len(head) / 2 else head  # a quote may be no more than a character


def _without_copies(members: Members, is_decoded: pa.BooleanArray) -> pa.StringArray:
    """Return the paths of clips, of files of one name that are copies the one with the fewest folders."""
    order = pc.sort_indices(pa.table({"depth": pc.count_substring(members.clip_paths, "/")}), [("depth", "ascending")])
    order = order.filter(is_decoded.take(order))
    clips, paths = members.clips.take(order), members.clip_paths.take(order)
    size, crc = (clips[column].combine_chunks().cast(pa.string()) for column in ("size_bytes", "crc32"))
    first = first_of_each(pc.binary_join_element_wise(level(paths, 0), size, crc, "\n"))
    return paths.filter(pa.array(first == np.arange(len(first))))


def _tried(draft: Draft, index: pa.Table, read: Read) -> str:
    """Apply a draft to the index and the heads as `download` does, and return what it finds.

    Raises SnapshotError or ParameterError if it does not fit.
    """
    join = Join(index, validated(Description, draft.values(), draft.name), read)
    found = sum(table.num_rows - table["path"].null_count for table in join.tables())
    for counts in join.counts.values():
        if counts.problem:
            raise SnapshotError(counts.problem)
    rows = sum(counts.rows for counts in join.counts.values())
    tried = f"{amount(rows, 'row')}, {found:,} of them with their clip"
    return f"the draft was tried on the index and these heads: {tried}"


def _unused(tables: list[Table], layout: Layout, why: Mapping[str, str]) -> Iterator[str]:
    """Yield the tables that a draft does without, and why."""
    keys = [layout.keys.get("tables", []), *(lookup["tables"] for lookup in layout.lookups)]
    patterns = [Pattern(text) for key in keys for text in ([key] if isinstance(key, str) else key)]
    for table in tables:
        paths = pa.array(table.paths)
        if all(pattern.read(paths).matched.null_count == len(paths) for pattern in patterns):
            reason = why.get(table.paths[0], "no column names clips, nor what is known of them")
            yield f"{listed(table.paths)}: not used in the draft: {reason}"
