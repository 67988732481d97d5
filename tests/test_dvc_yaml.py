"""dvc.yaml names just the modules and parameters that each stage uses."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project
from ruamel.yaml import YAML

from pipeline.params import Params, Settings, load_params

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


class Recorder:
    """Parameters that note what is read of them."""

    def __init__(self, section: Settings, path: str, seen: set[str]) -> None:
        self._section, self._path, self._seen = section, path, seen

    def __getattr__(self, name: str) -> object:
        value = getattr(self._section, name)
        if name == "model_dump":
            self._seen.update(self._path + field for field in type(self._section).model_fields)
        elif isinstance(value, Settings):
            return Recorder(value, f"{self._path}{name}.", self._seen)
        else:
            self._seen.add(self._path + name)
        return value


@pytest.mark.parametrize("stage", STAGES)
def test_params_are_those_that_are_read(stage: str, staged: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(f"pipeline.stages.{stage}")
    seen: set[str] = set()
    params = Recorder(load_params(staged.root / "params.yaml"), "", seen)
    monkeypatch.setattr(module, "load_params", lambda: params)
    staged.stage(stage)
    listed = [param for param in STAGES[stage]["params"] if isinstance(param, str)]
    read = {path.partition(".")[0] for path in seen}
    assert {param.partition(".")[0] for param in listed} == read
    for path in seen:
        assert any(f"{path}.".startswith(f"{param}.") for param in listed), path


def test_no_parameter_has_a_name_that_the_run_cache_overlooks() -> None:
    for section in Params.model_fields.values():
        fields = getattr(section.annotation, "model_fields", {})
        assert not {"size", "nfiles"} & set(fields)  # iterative/dvc#10296


def test_what_a_failing_run_must_not_touch_persists() -> None:
    for stage in ("download", "stratify", "subsample", "waveforms"):
        for out in STAGES[stage]["outs"]:
            assert all(options.get("persist") for options in out.values()), stage
