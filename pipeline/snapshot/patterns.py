"""Path patterns, which read fields in paths, and templates, which make texts of columns and fields.

Both are literal text with ``{field}``. A pattern is compiled to RE2, which is linear in the length of a path, or to
Python's `re` where a field stands twice; no regular expression of a user is ever run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

UNDECODED_EXTENSIONS = ("m4a", "mp4", "aac", "webm", "wma", "amr", "3gp")  # libsndfile decodes none of them
AUDIO_EXTENSIONS = (
    *("wav", "mp3", "flac", "ogg", "oga", "opus", "aif", "aiff", "aifc", "au", "snd", "sph", "nist", "caf", "w64"),
    *("rf64", *UNDECODED_EXTENSIONS),
)
DATA_EXTENSIONS = tuple(f".{each}" for each in (*AUDIO_EXTENSIONS, "csv", "tsv"))  # a link of such a name is needed
_EXTENSION = rf"\.(?i:{'|'.join(AUDIO_EXTENSIONS)})"
_ANY_EXTENSION = ".*"
_END = re.compile(rf"(?:{_EXTENSION}|\.\*)$")
_NO_FIELD = "_"
_KINDS = {"": "[^/]+?", "a": r"\p{L}+?", "d": "[0-9]+?"}
_INNER = re.compile(r"([^:/|]+)(?::(a|d|[1-9][0-9]{0,2}))?")  # RE2 counts to 1000
_FILTER = re.compile(r"stem|pad:[1-9][0-9]?")


@dataclass(frozen=True)
class Reading:
    """What patterns read in paths."""

    matched: pa.StringArray  # the part of each path that a pattern matched; else null
    fields: dict[str, pa.StringArray]  # the value of each field, null where there is none

    def filter(self, mask: pa.BooleanArray) -> Reading:
        """Return what was read in the paths of a mask."""
        return Reading(self.matched.filter(mask), {name: values.filter(mask) for name, values in self.fields.items()})

    def filled(self, mask: pa.BooleanArray, other: Reading) -> Reading:
        """Return it with what `other` read in the paths of a mask."""
        nothing, none = pa.nulls(len(self.matched), pa.string()), pa.nulls(len(other.matched), pa.string())
        fields = {
            name: pc.replace_with_mask(self.fields.get(name, nothing), mask, other.fields.get(name, none))
            for name in dict.fromkeys([*self.fields, *other.fields])
        }
        return Reading(pc.replace_with_mask(self.matched, mask, other.matched), fields)


@dataclass(frozen=True)
class _Field:
    name: str
    kind: str  # "", "a", "d", or how many characters

    @property
    def regex(self) -> str:
        return _KINDS.get(self.kind, f"[^/]{{{self.kind}}}")

    def ends_before(self, other: _Field) -> bool:
        """Tell whether it is plain where this field ends if `other` follows it at once."""
        return {self.kind, other.kind} == {"a", "d"} or not {self.kind, other.kind} <= set(_KINDS)


@dataclass(frozen=True)
class Pattern:
    """A pattern of m parts, which is compared with the last m parts of a path; with / in front, with all of it.

    ``{f}`` is one or more characters but /, ``{f:d}`` digits, ``{f:a}`` letters, ``{f:3}`` three characters, ``{_}`` no
    field; each as short as possible, from the left. A field that stands twice reads the same in both places. ``.*`` at
    the end is any extension that names audio; one that does so matches in any case.

    Raises ValueError for braces that do not close, a field of an unknown kind, and two with nothing between them.
    """

    text: str

    def __post_init__(self) -> None:
        for part in self._parts:
            for one, other in pairwise(part):
                if isinstance(one, _Field) and isinstance(other, _Field) and not one.ends_before(other):
                    both = f"{{{one.name}}} and {{{other.name}}}"
                    raise ValueError(f"{self.text!r}: nothing tells where {both} meet; give one a length, as {{f:3}}")

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of its fields."""
        names = [token.name for part in self._parts for token in part if isinstance(token, _Field)]
        return tuple(name for name in dict.fromkeys(names) if name != _NO_FIELD)

    def read(self, paths: pa.StringArray, last: int | None = None) -> Reading:
        """Read the fields in `paths`.

        With `last`, only that many last parts of the pattern count, and ``.*`` in a path is any extension as well.
        """
        end = _END.search(self.text)
        extension = _EXTENSION if end and end[0] == _ANY_EXTENSION else f"(?i:{re.escape(end[0])})" if end else ""
        if last is not None:
            return self._read(paths, self._parts[-last:], "(?:^|/)", rf"(?:{extension}|\.\*)")
        return self._read(paths, self._parts, "^/?" if self.text[0] in "/\\" else "(?:^|/)", extension)

    @cached_property
    def _parts(self) -> list[list[str | _Field]]:
        text = _END.sub("", unicodedata.normalize("NFC", self.text).replace("\\", "/"))
        if "*" in text:
            raise ValueError(f"{self.text!r}: * stands at the end only, as .*; any characters are {{_}}")
        parts: list[list[str | _Field]] = [[] for _ in text.removeprefix("/").split("/")]
        at = 0
        for literal, inner in _tokens(text.removeprefix("/"), self.text):
            if inner:
                field = _INNER.fullmatch(inner)
                if field is None:
                    raise ValueError(f"{self.text!r}: {{{inner}}} is none of {{f}}, {{f:d}}, {{f:a}} and {{f:3}}")
                parts[at].append(_Field(field[1], field[2] or ""))
            for number, piece in enumerate(literal.split("/")):
                at += number > 0
                parts[at] += [piece] if piece else []
        if not all(parts):
            raise ValueError(f"{self.text!r}: has an empty part")
        return parts

    def _read(self, paths: pa.StringArray, parts: list[list[str | _Field]], start: str, end: str) -> Reading:
        groups: dict[str, str] = {}
        written = []
        read = pc.extract_regex
        for part in parts:
            written.append("/")
            for token in part:
                if isinstance(token, str):
                    written.append(re.escape(token))
                elif token.name == _NO_FIELD:
                    written.append(token.regex)
                elif token.name in groups:
                    written.append(f"(?P={groups[token.name]})")
                    read = _extract_with_repeats
                else:
                    groups[token.name] = f"f{len(groups) + 1}"
                    written.append(f"(?P<{groups[token.name]}>{token.regex})")
        matched, *captured = read(paths, f"{start}(?P<f0>{''.join(written[1:])}{end})$").flatten()
        return Reading(matched, dict(zip(groups, captured, strict=True)))


@dataclass(frozen=True)
class Template:
    """A text with ``{name}``, filled for each row; ``{name|stem}`` and ``{name|pad:6}`` change the value first.

    ``|stem`` takes a name without its folders and without an extension that names audio, ``|pad:6`` fills up with zeros
    in front.

    Raises ValueError for braces that do not close, a filter that there is not, and no ``{name}`` at all.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError(f"{self.text!r} is the same for all rows: it has no {{name}}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what it is made of."""
        return tuple(dict.fromkeys(name for _, name, _ in self._tokens if name))

    def fill(self, values: Mapping[str, pa.StringArray]) -> pa.StringArray:
        """Return the text of each row, null where one of its values is.

        Raises KeyError if `values` has no such name.
        """
        pieces = [
            _filtered(values[name], filters) if name else pa.scalar(literal) for literal, name, filters in self._tokens
        ]
        return pc.binary_join_element_wise(*pieces, "")

    @cached_property
    def _tokens(self) -> list[tuple[str, str, list[str]]]:
        tokens = []
        for literal, inner in _tokens(self.text, self.text):
            name, *filters = inner.split("|")
            unknown = [each for each in filters if not _FILTER.fullmatch(each)]
            if unknown or (filters and not name):
                raise ValueError(f"{self.text!r}: {{{inner}}} is none of {{name}}, {{name|stem}} and {{name|pad:6}}")
            tokens.append((literal, name, filters))
        return tokens


def _extract_with_repeats(paths: pa.StringArray, regex: str) -> pa.StructArray:
    """Return what `pc.extract_regex` does, by Python, where a group stands twice: RE2 knows no back-references."""
    compiled = re.compile(regex.replace(r"\p{L}", r"[^\W\d_]"))
    found = [None if path is None else compiled.search(path) for path in paths.to_pylist()]
    fields = [None if match is None else match.groupdict() for match in found]
    return pa.array(fields, pa.struct([(name, pa.string()) for name in compiled.groupindex]))


def _tokens(text: str, whole: str) -> list[tuple[str, str]]:
    """Cut a text into what stands in braces (second), and what does not (first)."""
    tokens = re.findall(r"([^{}]+)|\{([^{}]+)\}", text)
    if sum(len(literal) + (len(inner) + 2 if inner else 0) for literal, inner in tokens) != len(text):
        raise ValueError(f"{whole!r}: braces should close, and hold a name")
    return tokens


def _filtered(values: pa.StringArray, filters: list[str]) -> pa.StringArray:
    for each in filters:
        if each == "stem":
            values = without_extension(pc.replace_substring_regex(values, r"^(?s:.*)[/\\]", ""))
        else:
            values = pc.utf8_lpad(values, width=int(each.partition(":")[2]), padding="0")
    return values


def with_lower_extension(paths: pa.StringArray) -> pa.StringArray:
    """Return `paths` with an extension that names audio in lower case."""
    if not pc.any(pc.match_substring_regex(paths, r"\.[^./]*[A-Z][^./]*$")).as_py():
        return paths  # nearly always; the rest takes ten times as long
    end = pc.utf8_lower(pc.extract_regex(paths, f"(?P<end>{_EXTENSION})$").field("end"))
    return pc.coalesce(pc.binary_join_element_wise(without_extension(paths), end, ""), paths)


def without_extension(paths: pa.StringArray) -> pa.StringArray:
    """Return `paths` without an extension that names audio."""
    return pc.replace_substring_regex(paths, f"{_EXTENSION}$", "")
