"""Projects to try things on: the files of this repository in a folder of their own."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import pipeline.__main__
from tests.support import warm

STAGES = tuple(pipeline.__main__.STAGES)
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data/demo/common-voice-demo.zip"
# Real data, where this checkout has some beside it; a test that reads it is skipped elsewhere.
REAL_CLIPS = ROOT.parent / "shared/real/common-voice-mini.zip"
REAL_TABLES = ROOT.parent / "shared/real/csv"

# What the stages need at run time, and nothing that a test run leaves about.
_FILES = ["pipeline", "configs", "data/demo/common-voice-demo.zip", "dvc.yaml", "dvc.lock", "params.yaml"]
_FILES += [".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", ".gitattributes", "reports/metrics.json"]
_FILES += ["pyproject.toml"]  # which has the version


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which `python` and `dvc` are those that run the tests, and git knows an author."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_", "PIPELINE_"))}
    author = {f"GIT_{role}_{what}": "tests" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **author, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull, **more}


def warm_environment(**more: str) -> dict[str, str]:
    """Return the same environment, in which `dvc` and `python -m pipeline` have imported their libraries already."""
    variables = environment(**more)
    commands = warm.folder()
    return {**variables, "PATH": f"{commands}{os.pathsep}{variables['PATH']}"} if commands else variables


def stage_module(name: str) -> str:
    """Return the module that runs a stage."""
    return pipeline.__main__.STAGES[name].module


@dataclass(frozen=True)
class Project:
    """A copy of this project in a folder of its own."""

    root: Path

    def try_run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command there."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=warm_environment(**variables),
            text=True,
            capture_output=True,
            check=False,
            timeout=300,
        )

    def run(self, *command: str, **variables: str) -> str:
        """Run a command there that has to end well; return what it said."""
        done = self.try_run(*command, **variables)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def stage(self, *names: str) -> None:
        """Run stages in this process, without dvc, and without worker processes unless a test has set a number."""
        with contextlib.chdir(self.root), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIPELINE_WORKERS", os.environ.get("PIPELINE_WORKERS", "1"))
            for name in names:
                importlib.import_module(stage_module(name)).run()

    def set(self, **values: object) -> None:
        """Set parameters, ``subsample__clips=60`` for subsample.clips, with comments and order kept."""
        self.edit("params.yaml", **values)

    def edit(self, file: str, **values: object) -> None:
        """Set keys of a YAML file."""
        yaml = YAML()
        path = self.root / file
        document = yaml.load(path)
        for name, value in values.items():
            *sections, key = name.split("__")
            section = document
            for part in sections:
                section = section[part]
            section[key] = value
        yaml.dump(document, path)

    def outputs(self) -> dict[str, bytes]:
        """Return every file that the stages made, by its path."""
        made = [path for folder in ("data", "reports") for path in sorted((self.root / folder).rglob("*"))]
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in made
            if path.is_file() and "demo" not in path.parts
        }

    def copy(self, to: Path) -> Project:
        """Copy everything, DVC's cache with it; link what is read-only: the objects of git and of DVC."""
        shutil.copytree(self.root, to, symlinks=True, dirs_exist_ok=True, copy_function=_link_or_copy)
        return Project(to)


def _link_or_copy(source: str, target: str) -> None:
    if Path(source).stat().st_mode & stat.S_IWUSR:
        shutil.copy2(source, target)
    else:
        os.link(source, target)


Once = Callable[[str, Callable[[Path], Project]], Project]  # makes what has that name, unless it was made


def copy_of_this_project(to: Path) -> Project:
    """Copy the files that the stages need."""
    for name in _FILES:
        source, target = ROOT / name, to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return Project(to)
