"""What the site says of the code, made from the code: settings, the command line, and notebooks with their pictures.

Each function returns Markdown, and `setup` teaches Sphinx to put it into a page.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import json
import os
import re
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import msgspec
from docutils import nodes
from ruamel.yaml import YAML
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pipeline.__main__ import main
from pipeline.core.settings import Settings
from pipeline.registry import COMMANDS, STAGES

ROOT = Path(__file__).resolve().parents[1]
_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_PICTURES = ("image/png", "image/jpeg")


def settings(model: type[Settings], comments: dict[str, str]) -> str:
    """Describe each key of a section: its type, its default, and its meaning as a comment or the docstring has it.

    Raises
    ------
    KeyError
        A key has no meaning.
    """
    meanings = attributes(model) | comments
    entries = []
    for field in msgspec.structs.fields(model):
        needed = "required" if field.required else f"default `{_as_yaml(_default(field))}`"
        meaning = meanings.get(field.name) or _first_line(field.type)
        if not meaning:
            raise KeyError(f"{model.__name__}.{field.name} has no meaning")
        entries.append(f"`{field.encode_name}`\n: *{_type(field.type)}; {needed}.* {meaning}\n")
    return "\n".join(entries)


def attributes(model: type[Settings]) -> dict[str, str]:
    """Return what the section "Attributes" of a docstring, laid out as by numpydoc, says of each."""
    section = (inspect.getdoc(model) or "").partition("Attributes\n----------\n")[2]
    entries = re.findall(r"^(\w[^\n]*)\n((?:    [^\n]*\n?|\n)+)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}


def comments_of(file: Path, section: str = "") -> dict[str, str]:
    """Return what the comments of a YAML file, above a key or behind its value, say of each key of a section."""
    found: dict[str, str] = {}
    above: list[str] = []
    now = ""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            above.append(line.strip("# "))
        elif key := re.match(r"( *)(\w+):[^#]*#?(.*)", line):
            now = now if key[1] else key[2]
            if bool(key[1]) == bool(section) and section in {"", now}:
                found[key[2]] = " ".join([*above, key[3].strip()]).strip()
            above = []
        else:
            above = []
    return found


def _sections(kind: Any) -> list[type[Settings]]:
    """Return the sections that a value of this type is, or that it is a mapping or a list of."""
    return [each for each in (kind, *get_args(kind)) if isinstance(each, type) and issubclass(each, Settings)]


def _first_line(kind: Any) -> str:
    return next((str(each.__doc__).partition("\n")[0] for each in _sections(kind)), "")


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _as_yaml(value: Any) -> str:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.dump(msgspec.to_builtins(value), stream)
    return stream.getvalue().removesuffix("\n").removesuffix("\n...")


def _type(kind: Any) -> str:
    """Return a type in words; a section, or a mapping or list of them, by the name of its class."""
    sections = _sections(kind)
    if sections:
        return " or ".join(f"[{each.__name__}](#{each.__name__.lower()})" for each in sections)
    return _schema_in_words(msgspec.json.schema(kind))


def _schema_in_words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_schema_in_words, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {', '.join(map(_schema_in_words, schema['prefixItems']))}"
    if schema.get("type") == "array":
        return f"list of {_schema_in_words(schema['items'])}"
    if "$ref" in schema or schema.get("type") == "object":
        return "mapping"
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    limits = " and ".join(f"{words} {schema[key]:,.15g}" for key, words in bounds.items() if key in schema)
    return _TYPES[schema["type"]] + (f" ({limits})" if limits else "")


def command_line() -> str:
    """Return the help of each stage and command, as its parser prints it."""
    return "\n\n".join(f"## {name}\n\n{_fenced('text', _help(name))}" for name in STAGES | COMMANDS)


def _help(name: str) -> str:
    plain = mock.patch.dict(os.environ, COLUMNS="90", NO_COLOR="1")
    with plain, contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main([name, "--help"])
    return printed.getvalue()


def notebook(text: str) -> str:
    """Return a notebook as Markdown: its text, its code, and what that printed and drew."""
    return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _cell(cell))


def _cell(cell: dict[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    return [_fenced("python", source), *map(_output, cell["outputs"])]


def _output(output: dict[str, Any]) -> str:
    data = {kind: "".join(lines) for kind, lines in output.get("data", {"text/plain": output.get("text", [])}).items()}
    for kind in _PICTURES:
        if kind in data:
            return f"![What the code above draws](data:{kind};base64,{''.join(data[kind].split())})"
    return _fenced("{raw} html", data["text/html"]) if "text/html" in data else _fenced("text", data["text/plain"])


def _fenced(language: str, text: str) -> str:
    return f"`````{language}\n{text.rstrip()}\n`````"


class SettingsKeys(SphinxDirective):
    """The keys of a class of settings; and the file, and its section, whose comments say what they mean."""

    required_arguments = 1
    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        """Return a list of definitions."""
        name, *commented = self.arguments
        module, _, model = name.rpartition(".")
        comments = comments_of(ROOT / commented[0], *commented[1:]) if commented else {}
        return self.parse_text_to_nodes(settings(getattr(importlib.import_module(module), model), comments))


class CommandLine(SphinxDirective):
    """The help of all stages and commands."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each."""
        return self.parse_text_to_nodes(command_line(), allow_section_headings=True)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Take a notebook as Markdown."""
    if app.env.doc2path(docname).suffix == ".ipynb":
        source[0] = notebook(source[0])


def setup(app: Sphinx) -> None:
    """Register all of it."""
    app.add_directive("settings", SettingsKeys)
    app.add_directive("command-line", CommandLine)
    app.connect("source-read", read)
