"""Pages of the site that are generated from the code: settings, the command line, and notebooks with their pictures.

Each function returns Markdown, and `setup` registers it with Sphinx.
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
from typing import Annotated, Any, Literal, get_args, get_origin
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


def settings(model: type[Settings], file: Path | None = None) -> str:
    """Describe the keys of a file of settings, then those of each section in it: type, default, and meaning.

    The meaning of a key is a comment of `file`, or the section "Attributes" of the class, or the first line of the
    section's own class.

    Raises
    ------
    KeyError
        A key has no meaning.
    """
    parts = [f"## Keys\n\n{_keys(model, comments_of(file) if file else {})}"]  # without a heading, they come last
    for section, name in _sections_in(model).items():
        comments = comments_of(file, name) if file else {}
        parts.append(f"## {section.__name__}\n\n{_first_line(section)}\n\n{_keys(section, comments)}")
    return "\n".join(parts)


def _sections_in(model: type[Settings]) -> dict[type[Settings], str]:
    """Return the classes of all sections, and the key of each."""
    found: dict[type[Settings], str] = {}
    for field in msgspec.structs.fields(model):
        for section in _sections(field.type):
            found |= {section: field.encode_name} | _sections_in(section) | found
    return found


def _keys(model: type[Settings], comments: dict[str, str]) -> str:
    meanings = attributes(model) | comments
    return "\n".join(_key(field, meanings, model) for field in msgspec.structs.fields(model))


def _key(field: msgspec.structs.FieldInfo, meanings: dict[str, str], model: type[Settings]) -> str:
    sections = _sections(field.type)
    meaning = meanings.get(field.name) or " ".join(map(_first_line, sections[:1]))
    if not meaning and get_origin(field.type) is not Literal:
        raise KeyError(f"{model.__name__}.{field.name} has no meaning: add it to the class, under Attributes")
    needed = "required" if field.required else f"default `{_as_yaml(_default(field))}`"
    return f"`{field.encode_name}`\n: *{_type(field.type)}; {needed}.* {meaning}\n"


def attributes(model: type[Settings]) -> dict[str, str]:
    """Return the text for each attribute in the numpydoc sections "Attributes" of a class and its bases."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        section = inspect.cleandoc(each.__doc__ or "").partition("Attributes\n----------\n")[2]
        entries = re.findall(r"^(\w[^\n]*)\n((?:    [^\n]*\n?|\n)+)", section, re.MULTILINE)
        found |= {name: " ".join(text.split()) for names, text in entries for name in names.split(", ")}
    return found


def comments_of(file: Path, section: str = "") -> dict[str, str]:
    """Return for each key of a section in a YAML file its comment, above the key or behind the value."""
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
    """Return the section classes in a type."""
    if isinstance(kind, type) and issubclass(kind, Settings):
        return [kind]
    return [section for each in get_args(kind) for section in _sections(each)]


def _first_line(section: type[Settings]) -> str:
    return (inspect.getdoc(section) or "").partition("\n\n")[0]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def _as_yaml(value: Any) -> str:
    stream = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.width = True, 1000
    yaml.dump(msgspec.to_builtins(value), stream)
    return stream.getvalue().removesuffix("\n").removesuffix("\n...")


def _type(kind: Any) -> str:
    """Return a type in words, with links to sections."""
    sections, parts = _sections(kind), get_args(kind)
    if [kind] == sections:
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if not sections:
        return _schema_in_words(msgspec.json.schema(kind))
    if get_origin(kind) is Annotated:
        return _type(parts[0])
    if get_origin(kind) is dict:
        return f"mapping to {_type(parts[1])}"
    return f"list of {_type(parts[0])}" if get_origin(kind) is tuple else " or ".join(map(_type, parts))


def _schema_in_words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_schema_in_words, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])}: {', '.join(map(_schema_in_words, schema['prefixItems']))}"
    if schema.get("type") == "array":
        return f"list of {_schema_in_words(schema['items'])}"
    if schema.get("type") == "object":
        return "mapping"
    low = f"from {schema['minimum']:,}" if "minimum" in schema else "above 0" if "exclusiveMinimum" in schema else ""
    high = f"to {int(schema['maximum']):,}" if "maximum" in schema else ""
    bounds = " ".join(filter(None, [low, high]))
    return _TYPES[schema["type"]] + (f" ({bounds})" if bounds else "")


def command_line() -> str:
    """Return the help of each stage and command, as its parser prints it."""
    return "\n\n".join(f"## {name}\n\n{_fenced('text', _help(name))}" for name in STAGES | COMMANDS)


def _help(name: str) -> str:
    plain = mock.patch.dict(os.environ, COLUMNS="90", NO_COLOR="1")
    with plain, contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.suppress(SystemExit):
        main([name, "--help"])
    return printed.getvalue()


def notebook(text: str) -> str:
    """Return a notebook as Markdown: its text, its code, and the outputs with their pictures."""
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
    """Directive: the keys of a settings class, optionally with the file whose comments explain them."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a definition list for each section."""
        module, _, name = self.arguments[0].rpartition(".")
        file = ROOT / self.arguments[1] if self.arguments[1:] else None
        text = settings(getattr(importlib.import_module(module), name), file)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class CommandLine(SphinxDirective):
    """Directive: the help of all stages and commands."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each."""
        return self.parse_text_to_nodes(command_line(), allow_section_headings=True)


def read(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn a notebook into Markdown."""
    if app.env.doc2path(docname).suffix == ".ipynb":
        source[0] = notebook(source[0])


def setup(app: Sphinx) -> None:
    """Register the directives, and the conversion of notebooks."""
    app.add_directive("settings", SettingsKeys)
    app.add_directive("command-line", CommandLine)
    app.connect("source-read", read)
