"""A draft of a description as text: what is sure as keys, what is not as comments, each guess with its reason. Pure."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.commands.describe.guesses import Guess, Known, Roles
from pipeline.core.columns import RESERVED
from pipeline.core.terminal import listed, printable
from pipeline.snapshot.layout import Dialect

_PLAIN = re.compile(r"[A-Za-z][\w ./+-]*[\w)]|[A-Za-z]")
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})  # that YAML reads as no text
_SPLITS = 3  # of params.yaml
_MOST_CODES = 40
_LONGEST = 30  # characters of a value that is named in a comment
_WIDTH = 110
OWN = ("path", "table")  # where columns are from that are not those of a lookup


@dataclass(frozen=True)
class Layout:
    """How rows and clips belong together: keys of a description, and the columns that it makes known.

    Attributes
    ----------
    keys
        ``audio``, ``tables``, ``dialect``, ``clip``, ``id``.
    lookups
        ``tables``, ``dialect``, ``on``; and the columns that each has.
    notes
        Comments on it.
    """

    keys: dict[str, Any]
    known: list[Known]
    lookups: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def renamed(self, names: Mapping[str, str]) -> Layout:
        """Return it with other names of the fields of its pattern."""

        def rename(text: str) -> str:
            return re.sub(r"\{(\w+)(?=[:}])", lambda found: "{" + names.get(found[1], found[1]), text)

        audio = self.keys["audio"]
        audio = rename(audio) if isinstance(audio, str) else list(map(rename, audio))
        lookups = [{**lookup, "on": {key: rename(on) for key, on in lookup["on"].items()}} for lookup in self.lookups]
        known = [
            replace(column, name=names.get(column.name, column.name), source=names.get(column.source, column.source))
            if column.origin == "path" and column.name in names
            else column
            for column in self.known
        ]
        return replace(self, keys={**self.keys, "audio": audio}, known=known, lookups=lookups)


@dataclass(frozen=True)
class Draft:
    """A draft: a layout, its roles, and which of its columns are worth declaring."""

    name: str
    source: Mapping[str, Any]
    layout: Layout
    roles: Roles
    clips: int

    @property
    def declared(self) -> list[Known]:
        """The columns with a role, and those of few values."""
        roles = self.roles
        with_role = {id(guess.column) for guess in (*roles.labels, *roles.groups, *roles.texts)}
        return [
            column
            for column in self.layout.known
            if id(column) in with_role or (1 < len(column.counts) <= 100 and column.clips >= 2)
        ]

    @property
    def apart(self) -> list[str]:
        """The columns to keep apart: the group, and a text that has many values."""
        group, text = self.roles.group, self.roles.text
        names = [text.column.name] if text and len(text.column.counts) >= len(text.column.values) / 4 else []
        return names + ([group.column.name] if group else [])

    def values(self) -> dict[str, Any]:
        """Return what the text says, for `Description`."""
        label, text = self.roles.label, self.roles.text
        values: dict[str, Any] = {
            "title": self.name,
            "license": "unknown",
            "citation": "unknown",
            "source": dict(self.source),
            **self.layout.keys,
            "columns": {each.name: _from(each) for each in self.declared if each.origin in OWN},
        }
        lookups = [
            {
                **lookup,
                "columns": {each.name: _from(each) for each in self.declared if each.origin == str(lookup["tables"])},
            }
            for lookup in self.layout.lookups
        ]
        values["lookups"] = [lookup for lookup in lookups if lookup["columns"]]
        values |= {"label": label.column.name if label else None, "text": text.column.name if text else None}
        values["apart"] = self.apart
        return {key: value for key, value in values.items() if value not in (None, [], {})}

    def text(self) -> str:
        """Return the draft as YAML."""
        return "\n".join(self._lines()) + "\n"

    @property
    def settings(self) -> list[str]:
        """The parameters with which it can be tried, as `dvc exp run -S` takes them."""
        label, group = self.roles.label, self.roles.group
        strata = f"[{label.column.name}]" if label else "[]"
        settings = [f"snapshot={self.name}", "stratify.tables=[]", f"stratify.strata={strata}", "stratify.require=[]"]
        if group and len(group.column.counts) < _SPLITS:
            settings += ["~stratify.splits.dev", "stratify.splits.test=0.2"]
        return [*settings, f"subsample.clips={max(1, min(120, self.clips // 2))}", "subsample.seconds=[0.1,null]"]

    def command(self) -> str:
        """Return the lines with which it can be tried."""
        options = " ".join(f"-S\1{shlex.quote(each)}" for each in self.settings)
        lines = textwrap.wrap(f"dvc exp run {options}", _WIDTH, break_long_words=False, break_on_hyphens=False)
        return " \\\n  ".join(lines).replace("\1", " ")

    def _lines(self) -> Iterator[str]:
        values = self.values()
        yield f"# A draft of configs/snapshots/{self.name}.yaml by: python -m pipeline describe"
        yield "# Read the comments: what is sure is a key, what is not is a comment. Fill in the first three lines."
        yield f"# Try it:  git add configs/snapshots/{self.name}.yaml"
        yield from (f"#   {line}" for line in self.command().split("\n"))
        for key in ("title", "license", "citation", "source", "audio", "tables", "dialect", "clip"):
            if key in values:
                yield f"{key}: {flow(values[key])}"
        yield from (f"# {_one_line(note)}" for note in self.layout.notes)
        if "columns" in values:
            yield "columns:"
            yield from self._columns("  ", OWN)
        left = [each.source for each in self.layout.known if each not in self.declared and each.origin == "table"]
        if left:
            yield f"# also in the table: {_one_line(listed(left, most=20))}"
        if "lookups" in values:
            yield "lookups:"
            for lookup in values["lookups"]:
                rest = {key: value for key, value in lookup.items() if key not in ("tables", "columns")}
                yield f"  - tables: {flow(lookup['tables'])}"
                yield from (f"    {key}: {flow(value)}" for key, value in rest.items())
                yield "    columns:"
                yield from self._columns("      ", (str(lookup["tables"]),))
        yield from self._role("label", self.roles.label, self.roles.labels)
        yield from self._role("text", self.roles.text, self.roles.texts)
        yield from self._groups()

    def _columns(self, indent: str, origins: tuple[str, ...]) -> Iterator[str]:
        for column in self.declared:
            if column.origin not in origins:
                continue
            counts = column.counts
            is_short = len(counts) <= _MOST_CODES and max(map(len, counts)) <= _LONGEST
            values = listed(sorted(counts)) if is_short else f"{len(counts):,} values"
            yield f"{indent}{column.name}: {flow(_from(column))}  # {_one_line(values)}"
            is_label = self.roles.label is not None and column is self.roles.label.column
            if is_label and len(counts) <= _MOST_CODES and max(map(len, counts)) <= 2:
                codes = ", ".join(f"{json.dumps(code)}: ?" for code in sorted(counts))
                yield f"{indent}# give its codes names: {{from: {flow(column.source)}, map: {{{codes}}}}}"

    def _role(self, key: str, sure: Guess | None, guesses: list[Guess]) -> Iterator[str]:
        if sure:
            yield f"{key}: {flow(sure.column.name)}  # {_one_line(sure.why)}"
        others = [guess for guess in guesses if guess is not sure and guess.column.name not in self.apart]
        for guess in others[:3]:
            yield f"# {key}: {guess.column.name}  # {'or' if sure else 'perhaps'}: {_one_line(guess.why)}"

    def _groups(self) -> Iterator[str]:
        group = self.roles.group
        why = [f"{group.column.name}: {_one_line(group.why)}"] if group else []
        if len(self.apart) > len(why):
            why = ["no sentence in two splits", *why]
        if self.apart:
            yield f"apart: {flow(self.apart)}  # {'; '.join(why)}"
        if not group:
            yield "# No sure group. Name here what must not be in two splits (a speaker, a patient, a recording that"
            yield "# clips were cut from): otherwise, what a model learns of it leaks into the test."
        others = [guess for guess in self.roles.groups if guess is not group and (guess.is_sure or not group)]
        for guess in others[:4]:
            yield f"# apart: [{guess.column.name}]  # {'or' if group else 'perhaps'}: {_one_line(guess.why)}"


def our_name(theirs: str, taken: set[str]) -> str:
    """Return a name of a column that a description may declare: an identifier, which no stage writes."""
    name = re.sub(r"\W+", "_", theirs).strip("_") or "column"
    name = f"column_{name}" if not name[0].isalpha() else name
    while name in RESERVED or name in taken:
        name = f"{name}_"
    taken.add(name)
    return name


def dialect_of(dialect: Dialect) -> Any:
    """Return what a description says of a dialect: nothing where it is CSV."""
    default = Dialect()
    if dialect == Dialect(separator="\t", quote=None):
        return "tsv"
    said = {key: getattr(dialect, key) for key in Dialect.__struct_fields__}
    said["header"] = list(dialect.header) if dialect.header else None
    return {key: value for key, value in said.items() if value != getattr(default, key)} or None


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        quoted = json.dumps(value, ensure_ascii=False)
        return "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in quoted)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _from(column: Known) -> str | None:
    return None if column.source == column.name else column.source


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
