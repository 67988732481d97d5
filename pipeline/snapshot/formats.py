"""The formats of releases: which member of an archive is a table, and which is the MP3 of which clip.

There are two. ``kaggle-v1`` is Common Voice v1 as Kaggle has it: ``cv-valid-test.csv`` beside the folder
``cv-valid-test/``, with commas. ``mozilla-tsv`` is every later release, in its ``.tar.gz`` or unpacked:
``validated.tsv`` beside the one folder ``clips/``, with tabs, never quoted (unbalanced quotes occur), with speakers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.errors import SnapshotError

BYTES_PER_SECOND = 8000  # of Kaggle's MP3s: 64 kbit/s
LARGEST_TABLE_BYTES = 1 << 30  # Kaggle's seven have 40 MB together, later releases some 500 MB at most
DURATIONS = "clip_durations"  # a table beside the others, not one of clips


@dataclass(frozen=True)
class Format:
    """How a release lays out its tables and clips.

    Attributes
    ----------
    prefix, suffix
        Of the tables' names.
    columns
        Our name of each column that is needed → its names in the tables, of which one has to be there.
    dialect
        For `csv.reader`.
    own_folders
        Each table has a folder of clips of its own, named like it; otherwise all share ``clips/``.
    """

    prefix: str
    suffix: str
    columns: dict[str, tuple[str, ...]]
    dialect: dict[str, Any]
    own_folders: bool

    def table_of(self, name: str) -> str | None:
        """Return the table that the file `name` is, if it is one."""
        file = PurePosixPath(name).name
        if not (file.startswith(self.prefix) and file.endswith(self.suffix)):
            return None
        return file.removeprefix(self.prefix).removesuffix(self.suffix)

    def key_of_member(self, name: str) -> str | None:
        """Return what finds the member `name` for a clip, if it is a clip.

        ``cv-valid-test/cv-valid-test/sample-000003.mp3`` (Kaggle) and ``cv-valid-test/sample-000003.mp3`` (Mozilla, and
        most copies on disk) are both ``valid-test/sample-000003``.
        """
        folder, _, file = name.rpartition("/")
        folder = folder.rpartition("/")[2]
        if not file.endswith(".mp3") or not (folder.startswith(self.prefix) if self.own_folders else folder == "clips"):
            return None
        stem = file.removesuffix(".mp3")
        return f"{folder.removeprefix(self.prefix)}/{stem}" if self.own_folders else stem

    def key_of_clip(self, clip_id: str) -> str:
        """Return what finds the member of a clip."""
        return clip_id if self.own_folders else clip_id.partition("/")[2]


FORMATS = {
    "kaggle-v1": Format(
        prefix="cv-",
        suffix=".csv",
        columns={"filename": ("filename",), **{name: (name,) for name in schema.METADATA.names}},
        dialect={"strict": True},
        own_folders=True,
    ),
    "mozilla-tsv": Format(
        prefix="",
        suffix=".tsv",
        columns={
            "filename": ("path",),
            **{name: (name,) for name in ("age", "gender", "up_votes", "down_votes")},
            "text": ("sentence",),
            "accent": ("accents", "accent"),
            "speaker": ("client_id",),
        },
        dialect={"delimiter": "\t", "quoting": csv.QUOTE_NONE},
        own_folders=False,
    ),
}


def find_tables(names: Iterable[str], format_name: str = "kaggle-v1") -> dict[str, str]:
    """Find the tables among the members' `names`: which table is which member.

    They lie beside the folders of clips: at the root of Kaggle's archive, in ``cv_corpus_v1/`` in Mozilla's.

    Raises
    ------
    SnapshotError
        There is none, or one more than once.
    """
    tables: dict[str, str] = {}
    for name in names:
        table = FORMATS[format_name].table_of(name)
        if table is None:
            continue
        if table in tables:
            raise SnapshotError(f"the snapshot holds the table {table} more than once: {tables[table]} and {name}")
        tables[table] = name
    if not set(tables) - {DURATIONS}:
        expected = f"{FORMATS[format_name].prefix}*{FORMATS[format_name].suffix}"
        raise SnapshotError(f"the snapshot holds no table: expected {expected} beside the folders of clips")
    return tables


def paths_of(tables: Iterable[str], format_name: str = "kaggle-v1", folder: Path = schema.TABLES) -> list[Path]:
    """Return the files of `tables`, and that of the clips' durations where there is one."""
    form = FORMATS[format_name]
    wanted = {*tables, *([] if form.own_folders else [DURATIONS])}
    return [path for path in sorted(folder.iterdir()) if form.table_of(path.name) in wanted]


def index_clips(members: pa.Table, format_name: str = "kaggle-v1") -> pa.Table:
    """Return the members (`schema.MEMBERS`) that are clips, with a ``key`` (`clip_keys`) as one more column.

    Raises
    ------
    SnapshotError
        Two members are the same clip.
    """
    keys = pa.array(map(FORMATS[format_name].key_of_member, members["name"].to_pylist()), pa.string())
    clips = members.append_column("key", keys).filter(keys.is_valid())
    counts = clips["key"].value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        both = " and ".join(clips.filter(pc.equal(clips["key"], twice[0]))["name"].to_pylist())
        raise SnapshotError(f"the snapshot holds the clip {twice[0]} more than once: {both}")
    return clips


def clip_keys(clip_ids: Iterable[str], format_name: str = "kaggle-v1") -> list[str]:
    """Return what finds each clip in the index."""
    return [FORMATS[format_name].key_of_clip(clip_id) for clip_id in clip_ids]
