"""dvc.yaml names just the modules and parameters that each stage uses."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from pipeline.params import Params

DOCUMENT = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES: dict[str, Any] = DOCUMENT["stages"]


def imported(path: Path) -> set[Path]:
    """Return the files of this package, and the templates beside them, that a module names."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pipeline":
            for alias in node.names:
                candidates = [f"{node.module}.{alias.name}", node.module]
                files = [Path(name.replace(".", "/") + ".py") for name in candidates]
                found.update(file for file in files[:1] if (ROOT / file).exists())
                if not (ROOT / files[0]).exists() and (ROOT / files[1]).exists():
                    found.add(files[1])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".j2"):
            found.add(path.relative_to(ROOT).parent / node.value)
    return found


def used(stage: str) -> set[str]:
    """Return everything of this package that a stage needs, at first and second hand."""
    todo, seen = [Path(f"pipeline/stages/{stage}.py")], set[Path]()
    while todo:
        path = todo.pop()
        if path not in seen:
            seen.add(path)
            todo += imported(ROOT / path) if path.suffix == ".py" else []
    return {path.as_posix() for path in seen}


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_imports(stage: str) -> None:
    listed = {dep for dep in STAGES[stage]["deps"] if dep.startswith("pipeline/")}
    assert listed == used(stage)


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_says_what_it_does_and_calls_the_command_line(stage: str) -> None:
    assert STAGES[stage]["desc"].endswith(".")
    assert STAGES[stage]["cmd"] == f"python -m pipeline {stage}"


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_those_that_are_read(stage: str) -> None:
    source = (ROOT / f"pipeline/stages/{stage}.py").read_text()
    listed = {param for param in STAGES[stage].get("params", []) if isinstance(param, str)}
    sections = {param.split(".")[0] for param in listed}
    aliased = "load_params().stratify" in source
    for section in Params.model_fields:
        reads = f"params.{section}" in source or f"load_params().{section}" in source
        assert reads == (section in sections), section
    for param in listed:
        section, _, key = param.partition(".")
        assert not key or f"params.{key}" in source or not aliased, param


def test_no_parameter_has_a_name_that_the_run_cache_overlooks() -> None:
    for section in Params.model_fields.values():
        fields = getattr(section.annotation, "model_fields", {})
        assert not {"size", "nfiles"} & set(fields)  # iterative/dvc#10296


def test_what_a_failing_run_must_not_touch_persists() -> None:
    for stage in ("download", "stratify", "subsample", "waveforms"):
        for out in STAGES[stage]["outs"]:
            assert all(options.get("persist") for options in out.values()), stage
