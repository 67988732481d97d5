"""A snapshot's description in ``configs/snapshots/NAME.yaml``: title, licence, citation, where it lies, its layout.

The layout (which members are clips and tables, what the columns are) may be a file of ``configs/formats`` that several
snapshots share. The description is frozen and validated; reading it never opens the snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import field

from pipeline.core import schema
from pipeline.core.columns import RESERVED, Column, Role
from pipeline.core.errors import ParameterError
from pipeline.core.params import Names, Text, in_checkout, read_yaml
from pipeline.core.settings import Settings, validated
from pipeline.snapshot.layout import Audio, ColumnSource, Dialect, Lookup, Patterns, Seconds, TextTemplate
from pipeline.snapshot.origin import ArchiveSource, CompetitionSource, DirectorySource, KaggleSource
from pipeline.snapshot.patterns import Pattern, Template
from pipeline.snapshot.segments import COLUMNS, Segment

FORMATS = Path("configs/formats")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Licences whose names say that copies may be passed on, changed ones too.
_SHARED = re.compile(r"(?i)(cc0|public domain|pddl|odc-by|odbl|cc[- ]by(-nc)?(-sa)?([- ][0-9.]+)?$|mit$|apache)")


class Description(Settings, frozen=True, kw_only=True):
    """A snapshot's description: what it is, under which licence, where it lies, and how it is laid out.

    Attributes
    ----------
    title
        Name of the data set.
    license
        Its licence, by its SPDX identifier where it has one, such as ``CC-BY-4.0``.
    citation
        How to cite it.
    source
        Where it lies.
    redistribution
        Whether a sample may be published. Left out: as the licence's name says (CC0, CC BY, MIT … allow it), and never
        for a competition.
    format
        Name of a file in ``configs/formats`` with further keys of the description. A key of the description replaces
        the format's key as a whole.
    audio
        Path pattern of the clips, or a list of patterns; the first that matches counts.
    tables
        Path pattern of the tables, or a list of patterns. Without tables, each clip is a row.
    tables_file
        A table in this repository instead of `tables`.
    dialect
        How the tables are written: ``csv``, ``tsv``, or keys of its own.
    clip
        Template of the path of a row's clip.
    id
        Template of the clip's id. Left out: the path without its extension. The ranking hashes the id: never change it
        once a sample is drawn.
    columns
        The declared columns: our name → theirs, or the long form.
    label
        The column that a classifier predicts; the report compares by it.
    text
        The column with the words that are said.
    apart
        Columns whose values must not be in two splits: a speaker, an author, a recording.
    lookups
        Second tables, with more columns for each row.
    segment
        The columns with start and end of the piece of a recording that a row is. Left out: a row is a whole file.
    """

    title: str
    license: str
    citation: str
    source: KaggleSource | CompetitionSource | ArchiveSource | DirectorySource
    redistribution: bool | None = None
    format: str | None = None
    audio: Audio
    tables: Patterns | None = None
    tables_file: Text | None = None
    dialect: Dialect = Dialect()
    clip: TextTemplate | None = None
    id: TextTemplate | None = None
    columns: dict[str, ColumnSource] = field(default_factory=dict)
    label: Text | None = None
    text: Text | None = None
    apart: Names = ()
    lookups: tuple[Lookup, ...] = ()
    seconds: Seconds | None = None
    segment: Segment | None = None

    def __post_init__(self) -> None:
        problems = [*self._problems_of_rows(), *self._problems_of_columns()]
        if problems:
            raise ValueError("\n  ".join(problems))

    @property
    def has_tables(self) -> bool:
        """Whether the rows are those of tables; otherwise each clip is a row."""
        return self.tables is not None or self.tables_file is not None

    @property
    def declared(self) -> dict[str, ColumnSource]:
        """The declared columns by name: its own, then those of its lookups, then those of pieces."""
        columns = dict(self.columns)
        for lookup in self.lookups:
            columns |= lookup.columns
        return columns | (COLUMNS if self.segment else {})

    @property
    def may_be_redistributed(self) -> bool:
        """Whether a sample may be published: if the description does not say, only if the licence's name does.

        The rules of a competition may forbid it whatever the licence.
        """
        if self.redistribution is not None:
            return self.redistribution
        return not isinstance(self.source, CompetitionSource) and bool(_SHARED.match(self.license))

    def declaration(self, name: str) -> Column:
        """Return a declared column with its roles and meaning."""
        source = self.declared[name]
        named: dict[Role, str | None] = {"label": self.label, "text": self.text}
        roles = tuple(role for role, column in named.items() if column == name)
        is_apart = name in self.apart
        return Column(name, source.type, roles, is_apart, source.unit, source.description, source.values)

    def _problems_of_rows(self) -> Iterator[str]:
        if self.tables is not None and self.tables_file is not None:
            yield "tables, tables_file: should be one of the two"
        if self.has_tables and self.clip is None:
            yield "clip: missing; the path of a clip, made of the columns of a row, such as {filename}"
        if not self.has_tables and self.clip is not None:
            yield "clip: there are no tables that it could be made of"
        if not self.has_tables and self.segment is not None:
            yield "segment: there are no tables whose rows could be pieces of recordings"
        if self.seconds is not None and self.segment is not None:
            yield "seconds, segment: should be one of the two; a piece lasts from its start to its end"
        if not self.has_tables and self.id is not None:
            fields = {name for text in self.audio for name in Pattern(text).fields}
            unknown = [name for name in Template(self.id).names if name not in fields]
            if unknown:
                yield f"id: {{{unknown[0]}}} is no field of audio; there are: {', '.join(sorted(fields))}"

    def _problems_of_columns(self) -> Iterator[str]:
        names = [*self.columns, *(name for lookup in self.lookups for name in lookup.columns)]
        for name in dict.fromkeys(names):
            if names.count(name) > 1:
                yield f"columns.{name}: is declared more than once"
            if name in RESERVED:
                yield f"columns.{name}: is the name of a column that the stages write; choose another"
            elif not name.isidentifier() or name.startswith("_"):
                yield f"columns.{name}: should be made of letters, digits and _, and begin with a letter"
        for role, columns in (("label", [self.label]), ("text", [self.text]), ("apart", self.apart)):
            for column in columns:
                if column is not None and column not in names:
                    yield f"{role}: {column} is not declared; columns: {', '.join(names) or 'none'}"


def describe(name: str, folder: Path = schema.SNAPSHOTS, formats: Path = FORMATS) -> Description:
    """Read the description of the snapshot called `name`, and the format that it names.

    Raises ParameterError if it is not known (the message lists those that are), or its description is not valid.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        if in_checkout(path) != path:
            remedy = f"dvc exp run with --temp or --queue takes along only what git knows; run: git add {path}"
            raise ParameterError(str(schema.PARAMS), [f"snapshot: {name!r} is not known here: {remedy}"])
        known = _files(folder)
        raise ParameterError(str(schema.PARAMS), [f"snapshot: {name!r} is not known; there are: {known} ({folder}/)"])
    values = read_yaml(path)
    source = str(path)
    if isinstance(values, dict) and values.get("format") is not None:
        layout = formats / f"{values['format']}.yaml"
        if not _NAME.fullmatch(str(values["format"])) or not layout.is_file():
            raise ParameterError(source, [f"format: should be one of {_files(formats)} ({formats}/)"])
        values = {**read_yaml(layout), **values}  # a key beside `format` takes the place of the format's, whole
        source = f"{path}, with {layout},"
    return validated(Description, values, source)


def _files(folder: Path) -> str:
    return ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
