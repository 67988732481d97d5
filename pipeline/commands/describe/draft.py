"""A draft of a description as text: what is sure as keys, what is not as comments, each guess with its reason. Pure."""

from __future__ import annotations

import io
import shlex
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from pipeline.commands.describe.contents import values_shown
from pipeline.commands.describe.layouts import Layout
from pipeline.commands.describe.roles import Column, Roles
from pipeline.core.terminal import printable

_SPLITS = 3  # of params.yaml
_MOST_VALUES = 100  # of a column whose values are named in a comment
_LONGEST = 30  # characters of them
_WIDTH = 110
_OWN = ("path", "table")  # where columns are from that are not those of a lookup
_NO_GROUP = """\
# No sure group. Name here what must not be in two splits (a speaker, a patient, a recording that
# clips were cut from): otherwise, what a model learns of it leaks into the test."""


@dataclass(frozen=True)
class Draft:
    """A draft: a layout, its roles, and which of its columns are worth declaring."""

    name: str
    source: Mapping[str, Any]
    layout: Layout
    roles: Roles
    clips: int

    @property
    def declared(self) -> list[Column]:
        """The columns that may have a role, and those of few values."""
        with_role = {guess.column.name for candidates in self.roles for guess in candidates}
        return [
            column
            for column in self.layout.columns
            if column.name in with_role or (1 < len(column.counts) <= 100 and column.clips >= 2)
        ]

    def values(self) -> dict[str, Any]:
        """Return what the text says, for `Description`."""
        label, text, group = (candidates.sure for candidates in self.roles)
        is_apart = text is not None and len(text.counts) >= len(text.values) / 4  # a text that has many values
        lookups = [{**lookup, "columns": self._columns(lookup["tables"][0])} for lookup in self.layout.lookups]
        values = {
            "title": self.name,
            "license": "unknown",
            "citation": "unknown",
            "source": dict(self.source),
            **self.layout.keys,
            "columns": self._columns(*_OWN),
            "lookups": [lookup for lookup in lookups if lookup["columns"]],
            "label": label and label.name,
            "text": text and text.name,
            "apart": [column.name for column in (text if is_apart else None, group) if column],
        }
        return {key: value for key, value in values.items() if value not in (None, [], {})}

    def _columns(self, *origins: str) -> dict[str, str | None]:
        columns = [column for column in self.declared if column.origin in origins]
        return {column.name: None if column.source == column.name else column.source for column in columns}

    @property
    def command(self) -> str:
        """The lines with which it can be tried."""
        label, group = self.roles.label.sure, self.roles.group.sure
        settings = [f"snapshot={self.name}", "stratify.tables=[]", "stratify.require=[]"]
        settings += [f"stratify.strata=[{label.name if label else ''}]"]
        if group and len(group.counts) < _SPLITS:
            settings += ["~stratify.splits.dev", "stratify.splits.test=0.2"]
        settings += [f"subsample.clips={max(1, min(120, self.clips // 2))}", "subsample.seconds=[0.1,null]"]
        options = " ".join(f"-S\1{shlex.quote(each)}" for each in settings)
        lines = textwrap.wrap(f"dvc exp run {options}", _WIDTH, break_long_words=False, break_on_hyphens=False)
        return " \\\n  ".join(lines).replace("\1", " ")

    def text(self) -> str:
        """Return the draft as YAML."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"# A draft of configs/snapshots/{self.name}.yaml by: python -m pipeline describe"
        yield "# Read the comments: what is sure is a key, what is not is a comment. Fill in the first three lines."
        yield "# Try it:"
        yield from (f"#   {line}" for line in self.command.split("\n"))
        reasons = {key: candidates[0].why for key, candidates in self.roles._asdict().items() if candidates.sure}
        values = self.values()
        for key, value in values.items():
            if key == "columns":
                yield f"{key}:"
                for name, theirs in value.items():
                    yield f"  {flow(name)}: {flow(theirs)}  # {self._shown(name)}"
            elif key == "lookups":
                yield f"{key}:"
                yield from (f"  - {flow(lookup)}" for lookup in value)
            else:
                why = reasons.get("group" if key == "apart" else key)
                yield f"{key}: {flow(value)}" + (f"  # {_one_line(why)}" if why else "")
        left = [each.source for each in self.layout.columns if each not in self.declared and each.origin == "table"]
        splits = [column.name for column in self.declared if column.is_split]
        notes = [
            *self.layout.notes,
            *([f"the publisher's split, to keep, and no label or group: {', '.join(splits)}"] if splits else []),
            *([f"also in the table: {values_shown(left)}"] if left else []),
        ]
        yield from (f"# {_one_line(note)}" for note in notes)
        for role, candidates in self.roles._asdict().items():
            if role == "group" and not candidates.sure:
                yield _NO_GROUP
            others = candidates[1:] if candidates.sure else candidates
            for guess in others[:3]:
                role_key = f"apart: [{guess.column.name}]" if role == "group" else f"{role}: {guess.column.name}"
                yield f"# {role_key}  # {'or' if candidates.sure else 'perhaps'}: {_one_line(guess.why)}"

    def _shown(self, name: str) -> str:
        counts = next(column.counts for column in self.declared if column.name == name)
        is_short = len(counts) <= _MOST_VALUES and max(map(len, counts)) <= _LONGEST
        return _one_line(values_shown(sorted(counts))) if is_short else f"{len(counts):,} values"


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    yaml, text = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = True, 1 << 20, False  # type: ignore[assignment]
    yaml.dump({"": value}, text)  # within braces, all is quoted that has to be anywhere
    return text.getvalue().strip().removeprefix("{'': ").removesuffix("}")


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
