"""What the paths of clips say: a pattern with fields, guessed from which parts of a name change. Pure.

A name is cut at blanks, dots, - and _ (a UUID is one piece), and where letters meet digits if they do so in all names.
What is the same in all names is literal text, what is equal everywhere is one field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.commands.describe.roles import Column, our_name
from pipeline.snapshot.patterns import AUDIO_EXTENSIONS, without_extension

_SEPARATED = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[^-_. ]+"
_RUNS = {"a": r"\p{L}+", "d": "[0-9]+"}  # by the kind of the field that reads one
_ALIKE = 0.95  # of the clips have names of one shape; the others may be something else, such as background noise

Pieces = list[tuple[str, pa.StringArray]]  # of names: the kind of each piece as a field, and its values


def level(paths: pa.StringArray, number: int) -> pa.StringArray:
    """Return the file's name (0), the name of its folder (1), of that one's folder (2) …; null where there is none."""
    return pc.extract_regex(paths, f"(?:^|/)(?P<part>[^/]*){'/[^/]*' * number}$").flatten()[0]


def stem_of(paths: pa.StringArray) -> pa.StringArray:
    """Return names without folders and without an extension that names audio."""
    return without_extension(pc.replace_substring_regex(paths, r"^(?s:.*)[/\\]", ""))


def endings_of(paths: pa.StringArray) -> pa.StringArray:
    """Return the extensions in lower case, without a dot."""
    return pc.utf8_lower(pc.replace_substring_regex(paths, r".*[./]", ""))


def extension_of(paths: pa.StringArray) -> str:
    """Return the one extension of all paths, in lower case; else ``.*``."""
    endings = endings_of(paths).unique().to_pylist()
    return f".{endings[0]}" if len(endings) == 1 and endings[0] in AUDIO_EXTENSIONS else ".*"


def pieces_of(name: str) -> list[str]:
    """Cut a part of a pattern at its separators, which are pieces as well; each piece is a template."""
    return re.findall(r"(?:\{[^}]*\}|[^-_. {}])+|[-_. ]", re.sub(r":[ad]\}", "}", name))


def templates_in(pattern: str) -> list[str]:
    """Return what a table may name: each field, then each with the constant text around it, then names of folders."""
    *folders, name = (pieces_of(part) for part in pattern.split("/"))
    pieces = [piece for part in (*folders, name) for piece in part]
    fields = re.findall(r"\{[^}]*\}", "".join(pieces))
    return [each for each in dict.fromkeys([*fields, *pieces, *map("".join, folders)]) if "{" in each]


def fields_of(paths: pa.StringArray) -> tuple[str, list[Column], pa.StringArray] | None:
    """Return a pattern, its fields, and the few paths that it is not for; None where names are not that much alike."""
    marks = pc.replace_substring_regex(stem_of(paths), _SEPARATED, "x")
    shapes = pc.binary_join_element_wise(marks, pc.count_substring(paths, "/").cast(pa.string()), "/")
    commonest = max(shapes.value_counts().to_pylist(), key=lambda each: (each["counts"], each["values"]))
    if commonest["counts"] < _ALIKE * len(paths) or pc.any(pc.match_substring_regex(paths, r"^/|//|[{}*]")).as_py():
        return None
    is_other = pc.not_equal(shapes, commonest["values"])
    others, paths = paths.filter(is_other), paths.filter(pc.invert(is_other))
    depth = paths[0].as_py().count("/")
    levels = [level(paths, number) for number in range(depth, 0, -1)] + [without_extension(level(paths, 0))]
    while len(levels) > 2 and len(levels[0].unique()) == 1:
        del levels[0]
    columns: list[Column] = []
    texts = [_fields_of_level(names, columns, is_file=names is levels[-1]) for names in levels]
    return "/".join(texts) + extension_of(paths), columns, others


def _fields_of_level(names: pa.StringArray, columns: list[Column], *, is_file: bool) -> str:
    """Return the part of the pattern that reads the names of one level; add its fields to `columns`."""
    text = before = ""
    pieces = _cut(names)
    for at, (kind, values) in enumerate(pieces):
        if len(values.unique()) == 1:
            text += values[0].as_py()
            before += values[0].as_py()
            continue
        column = next((each for each in columns if each.values.equals(values)), None)
        if column is None:
            words = re.findall(r"[^\W\d_]{3,}", before)
            name = our_name(words[-1].lower() if words else f"part_{len(columns) + 1}", columns)
            is_last = is_file and at == len(pieces) - 1
            is_folder = not is_file and len(pieces) == 1
            column = Column(name, name, before, "path", values, is_folder=is_folder, is_last=is_last)
            columns.append(column)
        text += f"{{{column.name}:{kind}}}" if kind else f"{{{column.name}}}"
        before = ""
    return text


def _cut(names: pa.StringArray) -> Pieces:
    """Cut names at separators, and between letters and digits, where they all have the same."""
    marks = pc.replace_substring_regex(names.unique(), _SEPARATED, "x").unique()
    if len(marks) > 1:
        return [("", names)]
    tokens = re.findall("x|[^x]+", marks[0].as_py())
    pieces: Pieces = []
    for values in _groups(names, [_SEPARATED if token == "x" else re.escape(token) for token in tokens]):
        runs = values.unique()
        for kind, regex in _RUNS.items():
            runs = pc.replace_substring_regex(runs, regex, kind)
        runs = runs.unique()
        if len(runs) == 1 and re.fullmatch("[ad]+", kinds := runs[0].as_py()):
            pieces += zip(kinds, _groups(values, [_RUNS[kind] for kind in kinds]), strict=True)
        else:
            pieces.append(("", values))
    return pieces


def _groups(names: pa.StringArray, regexes: Sequence[str]) -> list[pa.StringArray]:
    groups = "".join(f"(?P<g{at}>{regex})" for at, regex in enumerate(regexes))
    return list(pc.extract_regex(names, f"^{groups}$").flatten())
