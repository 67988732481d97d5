"""What the paths of clips say: patterns with fields, guessed from which parts of a name change. Pure.

A part of a path is cut at blanks, dots, - and _, and where letters meet digits if they do so in all names. What is the
same in all names is literal text, what is equal everywhere is one field, and neighbours that change together are one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.snapshot.patterns import AUDIO_EXTENSIONS, Pattern, without_extension

_SEPARATOR = re.compile(r"([-_. ]+)")
_TOKEN = r"[^-_. /]+"
_MOST_SHAPES = 3
_FEW = 0.2  # a share of clips that may lie in other folders, under other names, and be something else
_ALIKE = 0.5  # of the values of two fields, in names of two shapes, that are one field


@dataclass(frozen=True)
class Field:
    """A field of a pattern that is not named yet; `before` is the literal text in front of it."""

    name: str
    kind: str = ""
    before: str = ""

    def __str__(self) -> str:
        return f"{{{self.name}{self.kind and ':'}{self.kind}}}"


Part = list[str | Field]  # of a path: literal texts and fields


@dataclass(frozen=True)
class Shape:
    """How a group of clips is named.

    Attributes
    ----------
    parts
        From the topmost folder that says something to the file, without its extension.
    extension
        With a dot; ``.*`` where there are several.
    """

    parts: list[Part]
    extension: str

    @property
    def text(self) -> str:
        """The pattern."""
        return "/".join("".join(map(str, part)) for part in self.parts) + self.extension

    @property
    def fields(self) -> list[Field]:
        """Its fields, each once, from the left: the place that has the most letters in front."""
        fields: dict[str, Field] = {}
        for field in (token for part in self.parts for token in part if isinstance(token, Field)):
            if field.name not in fields or _letters(field.before) > _letters(fields[field.name].before):
                fields[field.name] = field
        return list(fields.values())

    def renamed(self, names: dict[str, str]) -> Shape:
        """Return it with other names of fields."""
        return Shape(
            [
                [
                    Field(names.get(each.name, each.name), each.kind, each.before) if isinstance(each, Field) else each
                    for each in part
                ]
                for part in self.parts
            ],
            self.extension,
        )


def shapes_of(paths: pa.StringArray) -> tuple[list[Shape], pa.BooleanArray]:
    """Return how clips are named, at most three ways, and which clips are left out: few, in folders of their own."""
    if pc.any(pc.match_substring_regex(paths, r"^/|//|[{}*]")).as_py():  # which no pattern has
        return [Shape([[Field("name")]], extension_of(paths))], pa.repeat(pa.scalar(False), len(paths))
    return _shapes(paths)


def _shapes(paths: pa.StringArray) -> tuple[list[Shape], pa.BooleanArray]:
    marks = pc.replace_substring_regex(stem_of(paths), _TOKEN, "x")
    keys = pc.binary_join_element_wise(marks, pc.count_substring(paths, "/").cast(pa.string()), "\n")
    counts = sorted(keys.value_counts().to_pylist(), key=lambda each: (-each["counts"], each["values"]))
    folders = pc.replace_substring_regex(paths, "[^/]*$", "")
    main = pc.equal(keys, counts[0]["values"])
    left_out = pc.invert(pc.is_in(folders, folders.filter(main).unique()))
    if 0 < pc.mean(left_out).as_py() < _FEW:
        return _shapes(paths.filter(pc.invert(left_out)))[0], left_out
    left_out = pa.repeat(pa.scalar(False), len(paths))
    # A pattern with fewer separators would match names with more of them.
    values = sorted((each["values"] for each in counts), key=lambda each: -len(each))
    groups = [paths.filter(pc.equal(keys, value)) for value in values[: _MOST_SHAPES + 1]]
    shapes = [_shape(group) for group in groups] if len(groups) <= _MOST_SHAPES else []
    if not shapes or not all(shape.fields for shape in shapes):
        return [_whole(paths)], left_out
    return _with_common_names(shapes, groups) if len(shapes) > 1 else shapes, left_out


def _letters(text: str) -> int:
    return sum(map(str.isalpha, text))


def level(paths: pa.StringArray, number: int) -> pa.StringArray:
    """Return the file's name (0), the name of its folder (1), of that one's folder (2) …; null where there is none."""
    parts = pc.split_pattern(paths, "/")
    ends = parts.offsets.to_numpy()[1:] - 1 - number
    is_there = pa.array(ends >= parts.offsets.to_numpy()[:-1])
    return pc.if_else(is_there, parts.values.take(pa.array(np.maximum(ends, 0))), None)


def stem_of(paths: pa.StringArray) -> pa.StringArray:
    """Return names without folders and without an extension that names audio."""
    return without_extension(pc.replace_substring_regex(paths, r"^(?s:.*)[/\\]", ""))


def extension_of(paths: pa.StringArray) -> str:
    """Return the one extension of all paths, in lower case; else ``.*``."""
    ends = pc.utf8_lower(pc.extract_regex(paths, r"(?P<end>\.[^./]+)$").field("end")).unique().to_pylist()
    return str(ends[0]) if len(ends) == 1 and ends[0] and ends[0][1:] in AUDIO_EXTENSIONS else ".*"


def _levels(paths: pa.StringArray) -> list[pa.StringArray]:
    """Return the names of the folders that say something, from above: all clips have them, and the topmost changes."""
    levels: list[pa.StringArray] = []
    while True:
        names = level(paths, len(levels) + 1)
        if names.null_count:
            break
        levels.append(names)
    while len(levels) > 1 and len(levels[-1].unique()) == 1:
        levels.pop()
    return levels[::-1]


def _whole(paths: pa.StringArray) -> Shape:
    """Return the shape whose parts are whole names."""
    levels = _levels(paths)
    parts: list[Part] = []
    for number, names in enumerate(levels):
        one = names.unique()
        parts.append([one[0].as_py()] if len(one) == 1 else [Field(f"folder_{number + 1}")])
    return Shape([*parts, [Field("name")]], extension_of(paths))


def _shape(paths: pa.StringArray) -> Shape:
    """Return the shape of clips whose file names have the same separators."""
    levels = [*_levels(paths), without_extension(level(paths, 0))]
    parts: list[Part] = []
    columns: dict[str, pa.StringArray] = {}
    for names in levels:
        part, cells = _cut(names, len(columns))
        parts.append(part)
        columns |= cells
    return Shape(parts, extension_of(paths)).renamed(_equal(columns))


def _cut(names: pa.StringArray, number: int) -> tuple[Part, dict[str, pa.StringArray]]:
    """Cut the names of one level into literal texts and fields, and return the values of these, too."""
    encoded = names.dictionary_encode()
    distinct, codes = encoded.dictionary, encoded.indices
    marks = pc.replace_substring_regex(distinct, _TOKEN, "x").unique()
    pieces = _SEPARATOR.split(marks[0].as_py()) if len(marks) == 1 else ["x"]
    raw: list[str | Field] = [piece if at % 2 else Field(f"t{at}") for at, piece in enumerate(pieces) if piece]
    raw = raw if any(isinstance(token, Field) for token in raw) else [Field("t0")]
    values = Pattern("".join(map(str, raw))).read(distinct).fields
    if any(column.null_count for column in values.values()):
        raw, values = [Field("t0")], {"t0": distinct}
    part: Part = []
    cells: dict[str, pa.StringArray] = {}
    for token in raw:
        for kind, column in _runs(values[token.name]) if isinstance(token, Field) else []:
            if len(one := column.unique()) == 1:
                _append(part, one[0].as_py())
                continue
            name = f"f{number + len(cells) + 1}"
            part.append(Field(name, kind, str(part[-1]) if part and isinstance(part[-1], str) else ""))
            cells[name] = column
        if isinstance(token, str):
            _append(part, token)
    part, cells = _merged(part, cells)
    return part, {name: column.take(codes) for name, column in cells.items()}


def _append(part: Part, text: str) -> None:
    if part and isinstance(part[-1], str):
        part[-1] += text
    else:
        part.append(text)


def _runs(values: pa.StringArray) -> list[tuple[str, pa.StringArray]]:
    """Cut values where letters meet digits, if all have the same runs of them; return the kind and the values of each.

    Of values that end with one capital and one small letter these are two.
    """
    marks = pc.replace_substring_regex(pc.replace_substring_regex(values, r"\p{L}+", "a"), "[0-9]+", "d").unique()
    mark = marks[0].as_py()
    if len(marks) > 1 or not re.fullmatch("[ad]+", mark):
        return [("", values)]
    kinds = list(mark)
    if pc.all(pc.match_substring_regex(values, r"[0-9]\p{Lu}\p{Ll}$")).as_py():
        kinds[-1:] = ["1", "1"]
    regexes = {"a": r"\p{L}+", "d": "[0-9]+", "1": r"\p{L}"}
    groups = "".join(f"(?P<r{at}>{regexes[kind]})" for at, kind in enumerate(kinds))
    return list(zip(kinds, pc.extract_regex(values, f"^{groups}$").flatten(), strict=True))


def _merged(part: Part, cells: dict[str, pa.StringArray]) -> tuple[Part, dict[str, pa.StringArray]]:
    """Make one field of two whose values go together one to one, with the text between them."""
    for one, other in pairwise(at for at, token in enumerate(part) if isinstance(token, Field)):
        first, second = part[one], part[other]
        assert isinstance(first, Field)
        assert isinstance(second, Field)
        between = "".join(map(str, part[one + 1 : other]))
        both = pc.binary_join_element_wise(cells[first.name], cells[second.name], between)
        counts = {len(each.unique()) for each in (both, cells[first.name], cells[second.name])}
        if len(counts) == 1 and not (first.kind == "1" or second.kind == "1"):
            field = Field(first.name, "", first.before)
            kept = {name: column for name, column in cells.items() if name != second.name} | {first.name: both}
            return _merged([*part[:one], field, *part[other + 1 :]], kept)
    return part, cells


def _equal(columns: dict[str, pa.StringArray]) -> dict[str, str]:
    """Return for each field the first one that has the same values in all clips."""
    names: dict[str, str] = {}
    for name, column in columns.items():
        same = (other for other in columns if other == name or columns[other].equals(column))
        names[name] = next(same)
    return names


def _with_common_names(shapes: list[Shape], paths: list[pa.StringArray]) -> list[Shape]:
    """Name the fields of several shapes alike where they have the same values; unlike where not."""
    known: dict[str, set[str]] = {}
    named = []
    for shape, clips in zip(shapes, paths, strict=True):
        fields = Pattern(shape.text).read(clips).fields
        values = {name: set(column.unique().to_pylist()) for name, column in fields.items()}
        names: dict[str, str] = {}
        for field in shape.fields:
            likeness = {
                name: len(values[field.name] & other) / len(values[field.name] | other)
                for name, other in known.items()
                if name not in names.values()
            }
            best = max(likeness, key=lambda each: likeness[each], default=None)
            is_alike = best is not None and likeness[best] >= _ALIKE
            names[field.name] = best if best is not None and is_alike else f"f{len(known) + len(names) + 1}"
        known |= {names[name]: found | known.get(names[name], set()) for name, found in values.items()}
        named.append(shape.renamed(names))
    return named
