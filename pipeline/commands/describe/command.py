"""describe: a draft of a snapshot's description on stdout, and on stderr what it was guessed from."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe import layouts, tables
from pipeline.commands.describe.draft import Draft, Layout
from pipeline.commands.describe.guesses import roles_of
from pipeline.commands.describe.names import level
from pipeline.commands.describe.seen import lines
from pipeline.core import atomic
from pipeline.core.errors import ParameterError, SnapshotError
from pipeline.core.params import load_runtime
from pipeline.core.settings import validated
from pipeline.core.terminal import amount, listed, printable_lines
from pipeline.snapshot.archive import Member
from pipeline.snapshot.description import Description
from pipeline.snapshot.join import Join
from pipeline.snapshot.members import Members
from pipeline.snapshot.patterns import Pattern, without_extension
from pipeline.snapshot.sources import OpenedSnapshot, open_snapshot
from pipeline.snapshot.tables import first_of_each

UNSUPPORTED = r"(?i)\.(m4a|mp4|aac|webm|wma|amr|3gp)$"  # libsndfile decodes none of them
_COVERED = 0.2  # of the clips, by the rows of a table
_PIECES = 1.2  # rows for each clip
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
    with atomic.replacing(to) as temporary:
        temporary.write_text(draft.text(), encoding="utf-8")
    yield f"{to} is written; try it:\n  git add {to} && {draft.command()}"


def source_of(text: str) -> dict[str, Any]:
    """Return the ``source`` of a description that the command line names.

    Raises
    ------
    ParameterError
        There is nothing at a path.
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

    Raises
    ------
    SnapshotError
        It has no audio, or none that is decoded here.
    """
    members = _members(opened)
    paths = members.clip_paths
    supported = pc.invert(pc.match_substring_regex(paths, UNSUPPORTED))
    if not pc.any(supported).as_py():
        kinds = listed(pc.utf8_lower(pc.replace_substring_regex(paths, r".*\.", "")).unique().to_pylist())
        raise SnapshotError(
            f"all {amount(len(paths), 'clip')} are {kinds}, which no decoder here reads. Convert them to FLAC."
        )
    heads, read = _heads(opened, members)
    unique = _without_copies(members, supported)
    seen = list(lines(members, heads, len(unique)))
    all_tables = members.other_paths.to_pylist()
    problems: list[str] = []
    for layout in map(_with_names_of_roles, _layouts(heads, paths.filter(supported), unique, all_tables, seen)):
        draft = Draft(name, source, layout, roles_of(layout.known), len(unique))
        problem, rows = _checked(draft, opened.members, read)
        if problem is None:
            return draft, [*seen, *rows]
        problems.append(problem)
    raise SnapshotError("\n  ".join(["no description was found that fits:", *problems]))


def _layouts(
    heads: list[tables.Head], paths: pa.StringArray, unique: pa.StringArray, all_tables: list[str], seen: list[str]
) -> Iterator[Layout]:
    """Yield layouts, the likeliest first."""
    groups = layouts.joined(heads, paths)
    by_clip = [head for group in groups for head in group.heads]
    others = [head for head in heads if head not in by_clip]
    by_names: Layout | None = None
    for group in groups:
        where, naming = listed(head.path for head in group.heads), group.naming
        seen.append(f"{where}: clip is {naming.template}, which finds a clip for {naming.share:.0%} of the rows")
        if group.rows_for_a_clip > _PIECES:
            seen.append(f"  {group.rows_for_a_clip:.1f} rows for each clip: pieces of it, or a table of something else")
        elif group.rows >= _COVERED * len(unique):
            layout = layouts.by_tables(group, others, paths, all_tables)
            if not roles_of(layout.known).is_any:
                by_names = by_names or layouts.by_names(unique, others, all_tables)
            if by_names is None or roles_of(by_names.known).label is None:
                yield layout
    yield by_names or layouts.by_names(unique, others, all_tables)
    yield layouts.by_paths(paths)
    endings = pc.utf8_lower(pc.replace_substring_regex(paths, r".*\.", ""))
    commonest = max(endings.value_counts().to_pylist(), key=lambda each: (each["counts"], each["values"]))
    yield layouts.by_paths(paths.filter(pc.equal(endings, commonest["values"])))


def _with_names_of_roles(layout: Layout) -> Layout:
    """Name the fields with a role by it where nothing else names them."""
    roles = roles_of(layout.known)
    guesses = {"label": roles.label, "group": roles.group}
    names = {
        guess.column.name: role for role, guess in guesses.items() if guess and guess.column.name.startswith("part_")
    }
    taken = {column.name for column in layout.known}
    return layout.renamed({name: role for name, role in names.items() if role not in taken})


def _members(opened: OpenedSnapshot) -> Members:
    def refuse(_: dict[str, Any]) -> bytes:
        return b""

    try:
        return Members(opened.members, [Pattern("{_}.*")], refuse)
    except SnapshotError:
        kinds = pc.utf8_lower(pc.replace_substring_regex(opened.members["name"], r".*\.|.*/", ""))
        common = sorted(kinds.value_counts().to_pylist(), key=lambda each: -each["counts"])
        there = listed((f"{each['counts']:,} {each['values']}" for each in common), most=5) or "none"
        raise SnapshotError(
            f"no member is audio; of other kinds there are {there}. Unpack archives that are within the archive."
        ) from None


def _without_copies(members: Members, supported: pa.BooleanArray) -> pa.StringArray:
    """Return the paths of clips, of files of one name that are copies the one with the fewest folders."""
    order = pc.sort_indices(pa.table({"depth": pc.count_substring(members.clip_paths, "/")}), [("depth", "ascending")])
    clips, paths = members.clips.take(order), members.clip_paths.take(order)
    size, crc = (clips[column].combine_chunks().cast(pa.string()) for column in ("size_bytes", "crc32"))
    first = first_of_each(pc.binary_join_element_wise(level(paths, 0), size, crc, "\n"))
    return paths.filter(pc.and_(supported.take(order), pa.array(first == np.arange(len(first)))))


def _heads(opened: OpenedSnapshot, members: Members) -> tuple[list[tables.Head], Any]:
    """Return the heads of tables, and what reads them in the place of the whole files."""
    paths = members.other_paths.to_pylist()
    rows = dict(zip(paths, members.others.to_pylist(), strict=True))
    heads = tables.heads_of(
        paths,
        members.others["size_bytes"].to_pylist(),
        without_extension(level(members.clip_paths, 0)),
        lambda path: opened.snapshot.head(Member(**rows[path]), tables.HEAD_BYTES),
    )
    known = {rows[head.path]["name"]: head.data for head in heads}
    return heads, lambda member: known.get(member["name"], b"")


def _checked(draft: Draft, index: pa.Table, read: Any) -> tuple[str | None, list[str]]:
    """Apply a draft to the index and the heads as `download` does; return what does not hold, or what it found."""
    try:
        description = validated(Description, draft.values(), draft.name)
        join = Join(index, description, read)
        found = sum(table.num_rows - table["path"].null_count for table in join.tables())
    except (SnapshotError, ParameterError) as error:
        return str(error), []
    bad = [counts.problem for counts in join.counts.values() if counts.problem]
    if bad:
        return bad[0], []
    rows = sum(counts.rows for counts in join.counts.values())
    return None, [f"the draft was tried on the index and these heads: {rows:,} rows, {found:,} of them with their clip"]
