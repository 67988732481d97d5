"""Sections of settings files: values become frozen objects of exact types, or one message lists all problems.

A section is a class of annotated fields. Types and bounds are msgspec's; a `Rule` adds what these cannot express.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from pipeline.core.errors import ParameterError
from pipeline.core.suggestions import did_you_mean

_MAY_BE_SECRET = re.compile(r"://|@|https?:")  # a URL may hold a password or a token: such a value is not shown
_IN_WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "array": "a list", "object": "a mapping"}


class Settings(msgspec.Struct, frozen=True):
    """A section of a settings file. ``__post_init__`` checks several fields together: ValueError."""

    def as_dict(self) -> dict[str, Any]:
        """Return it, with its own sections, as dictionaries."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    @classmethod
    def in_full(cls, values: Any) -> Any:
        """Return the section for which `values`, the value of a key, is short."""
        return values

    @classmethod
    def unknown_key(cls, key: str, value: Any) -> str | None:  # noqa: ARG003  for subclasses
        """Return what to say of a key that is not known; None where there is nothing special to say."""
        return None


Section = TypeVar("Section", bound=Settings)


class Rule(NamedTuple):
    """A check of a value, not null, beside its type: ``Annotated[type, Rule(check)]``."""

    check: Callable[[Any], Any]  # returns the value, perhaps in another form, or raises ValueError: what it should be
    is_whole: bool = False  # whether it replaces the check of the type


def validated(model: type[Section], values: Any, source: str) -> Section:
    """Return a `model` of `values`, the content of a file.

    Raises ParameterError with every problem: the path of its key, what is allowed, and the value unless it may hold a
    secret.
    """
    problems: list[str] = []
    section = _section(model, values, "", problems)
    if problems:
        raise ParameterError(source, problems)
    assert isinstance(section, model)
    return section


def _section(model: type[Settings], values: Any, path: str, problems: list[str]) -> Settings | None:
    """Return a section of `values`; where that is not possible, add to `problems`, and return None."""
    values = model.in_full(values)
    if not isinstance(values, dict):
        problems.append(_problem(path, "should be a section, with keys of its own", values))
        return None
    before = len(problems)
    fields = {field.encode_name: field for field in msgspec.structs.fields(model)}
    for key in values:
        if key not in fields:
            unknown = f"unknown key{did_you_mean(key, fields)}; known here: {', '.join(sorted(fields))}"
            problems.append(f"{path}{key}: {model.unknown_key(str(key), values[key]) or unknown}")
    problems += [f"{path}{name}: missing" for name, field in fields.items() if field.required and name not in values]
    checked = {
        field.name: _value(field.type, values[name], path + name, problems)
        for name, field in fields.items()
        if name in values
    }
    if len(problems) > before:
        return None
    try:
        return model(**checked)
    except ValueError as error:
        problems.append(f"{path.rstrip('.') or '(the whole file)'}: {error}")
        return None


def _value(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    """Return the value of a field of the type `kind`; where that is not possible, add to `problems`."""
    if value is None and type(None) in get_args(kind):
        return None
    sections = [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, Settings)]
    if sections and get_origin(kind) in (dict, tuple):
        return _several(sections[0], get_origin(kind), value, path, problems)
    if len(sections) > 1:  # the first field of each is a literal, its kind
        by_kind = {get_args(msgspec.structs.fields(each)[0].type)[0]: each for each in sections}
        chosen = value.get("kind") if isinstance(value, dict) else None
        if chosen not in tuple(by_kind):
            problems.append(_problem(path, f"its kind should be one of {', '.join(map(repr, by_kind))}", chosen))
            return None
        sections = [by_kind[chosen]]
    if sections:
        return _section(sections[0], value, f"{path}.", problems)
    try:
        return _leaf(kind, value)
    except msgspec.ValidationError as error:
        for number in re.findall(r"\[(\d+)\]", str(error).rpartition(" - at ")[2]):
            path, value = f"{path}.{number}", value[int(number)]
        problems.append(_problem(path, _sentence(error), value))
    except ValueError as error:
        problems.append(_problem(path, str(error), value))
    return None


def _several(model: type[Settings], kind: type, value: Any, path: str, problems: list[str]) -> Any:
    """Return a section of each value of a mapping or a list."""
    if not isinstance(value, dict if kind is dict else list):
        problems.append(_problem(path, f"should be a {'mapping' if kind is dict else 'list'}", value))
        return None
    items = value.items() if isinstance(value, dict) else enumerate(value)
    sections = {key: _section(model, each, f"{path}.{key}.", problems) for key, each in items}
    return sections if kind is dict else tuple(sections.values())


def _leaf(kind: Any, value: Any) -> Any:
    """Return a value that is no section; or raise ValueError, msgspec's or a rule's."""
    if get_origin(kind) is Literal and value not in get_args(kind):
        *most, last = map(repr, get_args(kind))
        raise ValueError(f"should be {', '.join(most)} or {last}")
    rules = [
        each for part in (kind, *get_args(kind)) for each in getattr(part, "__metadata__", ()) if type(each) is Rule
    ]
    if not any(rule.is_whole for rule in rules):
        value = msgspec.convert(value, kind)
    for rule in rules:
        value = rule.check(value)
    return value


def _sentence(error: msgspec.ValidationError) -> str:
    """Return msgspec's message, such as: Expected `int | null`, got `str`, in the words of YAML."""
    message = str(error).partition(" - at ")[0].partition(", got ")[0]
    match = re.fullmatch(r"Expected `([\w |]+)`(.*)", message, re.DOTALL)
    if not match:
        return message
    types, bound = match.groups()
    return f"should be {' or '.join(_IN_WORDS.get(each, each) for each in types.split(' | '))}{bound}"


def _problem(path: str, message: str, value: Any) -> str:
    shown = "" if _MAY_BE_SECRET.search(repr(value)) else f"; got {'null' if value is None else repr(value)}"
    return f"{path.rstrip('.') or '(the whole file)'}: {message}{shown}"
