"""How a snapshot is laid out: sections of its description that say how its tables are written and read.

Nothing here names a data set. What patterns and templates mean is in `pipeline.snapshot.patterns`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pipeline.core.columns import Value
from pipeline.core.params import Text
from pipeline.core.settings import Rule, Settings
from pipeline.snapshot.patterns import Pattern, Template


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _patterns(value: Any) -> tuple[str, ...]:
    """Take one path pattern, or a list."""
    listed = _listed(value)
    if not listed or not all(isinstance(each, str) for each in listed):
        raise ValueError("should be a path pattern, or a list of them")
    return tuple(Pattern(each).text for each in listed)


def _audio(value: Any) -> tuple[str, ...]:
    patterns = _patterns(value)
    for text in patterns:
        if "{" not in text:
            raise ValueError(f"{text!r} is the path of one file: it has no {{field}}")
    return patterns


def _template(value: str) -> str:
    return Template(value).text


def _names(value: Any) -> tuple[str, ...]:
    """Take one name of a column, or a list; null is none."""
    listed = [] if value is None else _listed(value)
    if not all(isinstance(each, str) and each for each in listed):
        raise ValueError("should be the name of a column, or a list of them")
    return tuple(listed)


def _codes(value: Any) -> Any:
    """Take the codes of a column, each with its value."""
    if not isinstance(value, dict) or not value:
        raise ValueError("should be a value for each code")
    unquoted = [code for code in value if not isinstance(code, str)]
    if unquoted:
        raise ValueError(f"codes should be texts: put {', '.join(map(str, unquoted))} in quotes")
    return dict(value)


Audio = Annotated[tuple[str, ...], Rule(_audio, is_whole=True)]
Patterns = Annotated[tuple[str, ...], Rule(_patterns, is_whole=True)]
TextTemplate = Annotated[Text, Rule(_template)]
Cell = str | int | float | None


class Dialect(Settings, frozen=True):
    """How a table is written.

    Attributes
    ----------
    separator
        Character between cells; a blank stands for any run of blanks.
    quote
        Character around a cell that holds separators or line ends; null if there is none.
    header
        Names of the columns, if the file has no header line.
    encoding
        Encoding of the text, by its name in Python.
    comment
        Lines that begin with this are ignored.
    skip
        How many lines are ignored first.
    trim
        Whether blanks around a cell are removed.
    """

    separator: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    quote: Annotated[str, Meta(min_length=1, max_length=1)] | None = '"'
    header: Annotated[tuple[Text, ...], Meta(min_length=1)] | None = None
    encoding: Text = "utf-8"
    comment: Text | None = None
    skip: Annotated[int, Meta(ge=0, le=1000)] = 0
    trim: bool = False

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ValueError(f"encoding: {self.encoding!r} is not known") from None
        if not f"{self.separator}{self.quote or ''}".isascii() or self.separator in (self.quote, "\n", "\r"):
            raise ValueError("separator, quote: should be two characters of ASCII, and no line ends")

    @classmethod
    def in_full(cls, values: Any) -> Any:
        """Return what ``csv`` and ``tsv`` are short for; a TSV has no quotes."""
        return (
            {"csv": {}, "tsv": {"separator": "\t", "quote": None}}.get(values, values)
            if type(values) is str
            else values
        )


class ColumnSource(Settings, frozen=True, rename={"names": "from", "codes": "map"}):
    """Where a declared column comes from, and how its cells become values: missing, then mapped, then of its type.

    Attributes
    ----------
    names
        Name of a column of the table or of a lookup, or of a field of a pattern; of a list, the first that exists.
        Left out: the column's own name.
    type
        Type of the values. An integer may be written as 3 or 3.0; ``nan`` in a number is a missing value.
    codes
        Value of each code, which is a text in quotes: ``{"01": neutral, else: null}``. ``else`` is for all other codes.
    missing
        Cells that mean a missing value, as an empty one always does.
    values
        Documented values. Other values are kept, and the report counts them.
    unit
        Unit of a number, such as Hz.
    description
        What the column means, in a sentence.
    """

    names: Annotated[tuple[str, ...], Rule(_names, is_whole=True)] = ()  # the first that is there; none: our own
    type: Literal["text", "integer", "number"] = "text"
    codes: Annotated[dict[str, Cell], Rule(_codes, is_whole=True)] | None = None
    missing: tuple[str, ...] = ()
    values: tuple[Value, ...] = ()
    unit: Text | None = None
    description: Text | None = None

    def __post_init__(self) -> None:
        fit = {"text": str, "integer": int, "number": int | float}[self.type]
        mapped = [value for value in (self.codes or {}).values() if value is not None]
        for key, values in (("map", mapped), ("values", self.values)):
            unfit = [value for value in values if isinstance(value, bool) or not isinstance(value, fit)]
            if unfit:
                raise ValueError(f"{key}: {unfit[0]!r} is not of the type {self.type}")

    @classmethod
    def in_full(cls, values: Any) -> Any:
        """Return what a name, a list of names or nothing is short for."""
        return values if isinstance(values, dict) else {"from": values}


class Lookup(Settings, frozen=True):
    """A second table, such as one of speakers or patients, with more columns for each row.

    Attributes
    ----------
    on
        A column of that table → its value in a row, such as ``{patient: "{subject}"}``.
    tables
        Path pattern of the table in the archive, or a list of patterns.
    tables_file
        A file of this repository instead of `tables`.
    dialect
        How the table is written; csv if left out.
    columns
        Further declared columns. Without any, the table serves ``seconds`` or ``columns``, and may be absent.
    """

    on: Annotated[dict[Text, str], Meta(min_length=1)]
    tables: Patterns | None = None
    tables_file: Text | None = None
    dialect: Dialect = Dialect()
    columns: dict[str, ColumnSource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.tables is None) == (self.tables_file is None):
            raise ValueError("should have either tables or tables_file")
        for template in self.on.values():
            Template(template)


class Seconds(Settings, frozen=True, rename={"names": "from"}):
    """Durations that are known beforehand.

    Attributes
    ----------
    names
        Name of the column; of a list, the first that exists.
    unit
        Unit of the column: seconds or milliseconds.
    """

    names: Annotated[tuple[str, ...], Rule(_names, is_whole=True)]
    unit: Literal["s", "ms"] = "s"
