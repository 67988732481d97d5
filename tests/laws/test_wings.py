"""The wings import in one direction, and dvc.yaml names just the wings and parameters that each stage uses."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ruamel.yaml import YAML

import pipeline
from pipeline.core.params import Params, load_params
from pipeline.core.settings import Settings
from tests.support.project import ROOT, STAGES, Project, environment, stage_module

DVC: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
PACKAGE = ROOT / "pipeline"

# Each wing may import those before it; of those in one line, only the ones that ALSO names.
ORDER = (
    ("core",),
    ("audio", "shards", "engines"),
    ("snapshot", "sampling"),
    ("clips",),
    ("waveforms",),
    ("views",),
    ("report",),
    ("commands",),
)
ALSO = {
    "sampling": {"snapshot"},  # whose tables are what is put into an order
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
CHANGES_NO_BYTE = "engines"


def wing_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def allowed(wing: str) -> set[str]:
    before = ORDER[: next(place for place, line in enumerate(ORDER) if wing in line)]
    return {wing, "registry", *ALSO.get(wing, ()), *(name for line in before for name in line)}


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Return all nodes of a module, itself first."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imported(path: Path, *, late: bool = True) -> set[str]:
    """Return the modules of this package that a module imports; without `late`, only what it imports on loading."""
    nodes = nodes_of(path) if late else list(ast.iter_child_nodes(nodes_of(path)[0]))
    named = {
        name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pipeline"
        for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    }
    return {name for name in named if source_of(name)}


def source_of(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def used(stage: str) -> set[str]:
    """Return the wings that a stage needs, at first and second hand, with what starting the package needs."""
    todo = [stage_module(stage)]
    todo += [name for file in ("__init__.py", "__main__.py") for name in imported(PACKAGE / file, late=False)]
    seen: set[str] = set()
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            path = source_of(module)
            assert path is not None
            todo += imported(path)
    return {module.split(".")[1] for module in seen if "." in module}


def test_wings_are_all_that_is_in_the_package() -> None:
    there = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    wings = {name for line in ORDER for name in line}
    assert wings <= there
    assert len(there - wings - {"__init__.py", "__main__.py"}) <= 2


def test_wings_import_one_way_and_only_the_remote_part_talks_to_a_network() -> None:
    for path in MODULES:
        wing = wing_of(path)
        for module in imported(path):
            parts = module.split(".")
            assert len(parts) < 2 or parts[1] in allowed(wing), f"{path} imports {module}"
            assert parts[-1] != "stage" or parts[1] == wing, f"{path} imports the stage of another wing"
        nodes = nodes_of(path)
        names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        network = {"requests", "urllib3", "kaggle", "kagglesdk"} & {name.split(".")[0] for name in names}
        assert not network or path.parent == PACKAGE / "snapshot/remote", f"{path} imports {network}"


def test_modules_do_not_import_each_other() -> None:
    graph = {".".join(path.relative_to(ROOT).with_suffix("").parts): imported(path) for path in MODULES}
    graph = {module: {name for name in names if name in graph} for module, names in graph.items()}
    done: set[str] = set()
    while ready := {module for module, names in graph.items() if names <= done} - done:
        done |= ready
    assert done == set(graph)


def test_modules_are_short() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: count for path, count in lines.items() if count > 350} == {}


def test_package_names_no_column_of_common_voice() -> None:
    """Behind the descriptions, columns are asked for by role; `text` is the name of a role, and of no column."""
    named = re.compile(r"(?<!--)\b(ages?|genders?|accents?|(up_|down_|net_)?votes|client_id)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.*"))
        if path.suffix in (".py", ".j2")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if named.search(line)
    ]
    for path in MODULES:
        for node in nodes_of(path):
            if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Constant):
                continue
            if node.slice.value == "text" and not {"transcripts", "transcribe.py"} & set(path.parts):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: text as a fixed name")
    assert not found, "\n".join(found)


def test_wings_say_what_they_are_in_a_sentence() -> None:
    for wing in (name for line in ORDER for name in line):
        first = (ast.get_docstring(ast.parse((PACKAGE / wing / "__init__.py").read_text())) or "").split("\n\n")[0]
        assert first.endswith("."), wing
        assert wing in (pipeline.__doc__ or "")


@pytest.mark.parametrize("stage", DVC)
def test_dvc_yaml_names_the_wings_that_a_stage_imports_in_their_order(stage: str) -> None:
    named = [dep.removeprefix("pipeline/") for dep in DVC[stage]["deps"] if dep.startswith("pipeline/")]
    assert named == [name for line in ORDER for name in line if name in used(stage) - {CHANGES_NO_BYTE}]
    assert DVC[stage]["desc"].endswith(".")
    assert DVC[stage]["cmd"] == f"python -m pipeline {stage}"


def test_dvc_yaml_is_short_and_has_the_stages_of_the_command_line() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 120
    assert tuple(DVC) == STAGES


HELP = "import contextlib, pipeline.__main__\nwith contextlib.suppress(SystemExit): pipeline.__main__.main(['--help'])"
LOCAL = "import pipeline.waveforms.stage as stage, pipeline.core.params as p\nstage.engine_for(p.Runtime(), dict)"


@pytest.mark.parametrize(
    ("code", "others"),
    [
        (HELP, "numpy pandas pyarrow msgspec soundfile"),
        ("import pipeline", "librosa soundfile soxr kaggle dvc requests pandas matplotlib msgspec"),
        ("import pipeline.snapshot.stage, pipeline.clips.stage", "kaggle requests urllib3"),
        (LOCAL, "dask distributed s3fs fsspec"),
    ],
    ids=["help", "the reader", "a snapshot on disk", "local processes"],
)
def test_imports_are_only_what_is_needed(code: str, others: str) -> None:
    code = f"{code}\nimport sys\nprint(sorted({set(others.split())} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(), text=True, capture_output=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


class Recorder:
    """Parameters that note what is read of them."""

    def __init__(self, section: Settings, path: str, seen: set[str]) -> None:
        self._section, self._path, self._seen = section, path, seen

    def __getattr__(self, name: str) -> object:
        value = getattr(self._section, name)
        if name == "as_dict":
            self._seen.update(self._path + field for field in self._section.__struct_fields__)
        elif isinstance(value, Settings):
            return Recorder(value, f"{self._path}{name}.", self._seen)
        else:
            self._seen.add(self._path + name)
        return value


@pytest.mark.parametrize("stage", DVC)
def test_params_are_those_that_are_read(stage: str, staged: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(stage_module(stage))
    seen: set[str] = set()
    params = Recorder(load_params(staged.root / "params.yaml"), "", seen)
    monkeypatch.setattr(module, "load_params", lambda: params)
    staged.stage(stage)
    listed = [param for param in DVC[stage]["params"] if isinstance(param, str)]
    read = {path.partition(".")[0] for path in seen}
    assert {param.partition(".")[0] for param in listed} == read
    for path in seen:
        assert any(f"{path}.".startswith(f"{param}.") for param in listed), path


def test_params_have_no_name_that_the_run_cache_overlooks() -> None:
    for section in msgspec.structs.fields(Params):
        fields = getattr(section.type, "__struct_fields__", ())
        assert not {"size", "nfiles"} & set(fields)  # iterative/dvc#10296


def test_dvc_yaml_has_outputs_persist_that_a_failing_run_must_not_touch() -> None:
    for stage in ("download", "stratify", "subsample", "waveforms", "features"):
        for out in DVC[stage]["outs"]:
            assert all(options.get("persist") for options in out.values()), stage
