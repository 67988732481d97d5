"""Sections of settings files: values become frozen objects of exact types, or all that is wrong with them is said.

A section is a class of annotated fields. Types and bounds are msgspec's; a `Rule` says what these cannot.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from pipeline.core.errors import ParameterError


class Settings(msgspec.Struct, frozen=True):
    """A section of a settings file. What concerns several of its fields is for ``__post_init__``: ValueError."""

    def as_dict(self) -> dict[str, Any]:
        """Return it, with the sections in it, as dictionaries."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


Section = TypeVar("Section", bound=Settings)


class Rule(NamedTuple):
    """What holds for a value, not null, beside its type: for ``Annotated[type, Rule(check)]``.

    Attributes
    ----------
    check
        Returns the value, perhaps in another form; or raises ValueError, which says what it should be.
    is_whole
        Whether that is all, and the type says nothing more.
    """

    check: Callable[[Any], Any]
    is_whole: bool = False


class NotShown(ValueError):
    """A rule is broken by a value that may hold a secret, and is not to be shown."""


def validated(model: type[Section], values: Any, source: str) -> Section:
    """Make a `model` of `values`, the content of a file.

    Raises
    ------
    ParameterError
        With every problem: the path of its key, what is allowed, and what was found.
    """
    problems: list[str] = []
    made = _section(model, values, "", problems)
    if problems:
        raise ParameterError(source, problems)
    assert isinstance(made, model)
    return made


def _section(model: type[Settings], values: Any, path: str, problems: list[str]) -> Settings | None:
    """Make a section of `values`; where that is not possible, add to `problems`, and return None."""
    if not isinstance(values, dict):
        problems.append(_problem(path, "should be a section, with keys of its own", values))
        return None
    before = len(problems)
    fields = {field.name: field for field in msgspec.structs.fields(model)}
    problems += [_unknown(path, key, sorted(fields)) for key in values if key not in fields]
    problems += [f"{path}{name}: missing" for name, field in fields.items() if field.required and name not in values]
    made = {name: _value(fields[name].type, values[name], path + name, problems) for name in fields if name in values}
    if len(problems) > before:
        return None
    try:
        return model(**made)
    except ValueError as error:
        problems.append(_problem(path, str(error), values))
        return None


def _value(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    """Make what a field holds, of the type `kind`; where that is not possible, add to `problems`."""
    sections = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, Settings)]
    if len(sections) > 1:
        return _one_of(sections, value, path, problems)
    if sections:
        return _section(sections[0], value, f"{path}.", problems)
    try:
        return _leaf(kind, value)
    except msgspec.ValidationError as error:
        for number in re.findall(r"\[(\d+)\]", str(error).rpartition(" - at ")[2]):
            path, value = f"{path}.{number}", value[int(number)]
        problems.append(_problem(path, _sentence(error), value))
    except ValueError as error:
        problems.append(_problem(path, str(error), *(() if isinstance(error, NotShown) else (value,))))
    return None


def _one_of(sections: list[type[Settings]], value: Any, path: str, problems: list[str]) -> Settings | None:
    """Make that section whose `kind`, a literal and its first field, the value has."""
    kinds = {get_args(msgspec.structs.fields(each)[0].type)[0]: each for each in sections}
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind in tuple(kinds):
        return _section(kinds[kind], value, f"{path}.", problems)
    problems.append(_problem(path, f"its kind should be one of {', '.join(map(repr, kinds))}", kind))
    return None


def _leaf(kind: Any, value: Any) -> Any:
    """Return a value that is no section, of the type `kind`; or raise ValueError, msgspec's or a rule's."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        *most, last = map(repr, get_args(kind))
        raise ValueError(f"should be {', '.join(most)} or {last}")
    if isinstance(value, set):  # msgspec would take it, in an order that changes from run to run
        raise ValueError("should be a list, and is a set")
    rules = [
        each for part in (kind, *get_args(kind)) for each in getattr(part, "__metadata__", ()) if type(each) is Rule
    ]
    if not any(rule.is_whole for rule in rules):
        value = msgspec.convert(value, kind)
    for rule in rules:
        value = value if value is None else rule.check(value)
    return value


_IN_WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "array": "a list", "object": "a mapping"}


def _sentence(error: msgspec.ValidationError) -> str:
    """Say what should be, in the words of YAML, where msgspec says: Expected `int | null`, got `str`."""
    said = str(error).partition(" - at ")[0].partition(", got ")[0]
    found = re.fullmatch(r"Expected `([\w |]+)`(.*)", said, re.DOTALL)
    if not found:
        return said
    types, bound = found.groups()
    return f"should be {' or '.join(_IN_WORDS.get(each, each) for each in types.split(' | '))}{bound}"


def _unknown(path: str, key: Any, known: list[str]) -> str:
    close = difflib.get_close_matches(str(key), known, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return f"{_shown(f'{path}{key}')}: unknown key{hint}; known here: {', '.join(known)}"


def _problem(path: str, said: str, *got: Any) -> str:
    """Say what is wrong with the value of a key, and show it unless it may hold a secret."""
    shown = [f"; got {'null' if each is None else repr(each)}" for each in got if not _may_be_secret(repr(each))]
    return f"{_shown(path.rstrip('.')) or '(the whole file)'}: {said}{''.join(shown)}"


def _shown(path: str) -> str:
    return "a key" if _may_be_secret(path) else path


def _may_be_secret(text: str) -> bool:
    """Tell whether a text may hold a URL, which may hold a secret."""
    return "://" in text or "@" in text
