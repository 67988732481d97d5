"""Projects to try things on: the files of this repository in a folder of their own."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from unittest import mock

import pytest
from ruamel.yaml import YAML

import pipeline.__main__
import pipeline.registry

STAGES = tuple(pipeline.registry.STAGES)
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


def stage_module(name: str) -> str:
    """Return the module that runs a stage."""
    return pipeline.registry.STAGES[name].module


@dataclass(frozen=True)
class Project:
    """A copy of this project in a folder of its own."""

    root: Path

    def try_run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command there: `dvc` by its `main` in this process, anything else in a process of its own."""
        if command[0] == "dvc":
            with self._entered(variables):
                return _run_dvc(command[1:])
        return subprocess.run(
            command,
            cwd=self.root,
            env=environment(**variables),
            text=True,
            capture_output=True,
            check=False,
            timeout=600,
        )

    def run(self, *command: str, **variables: str) -> str:
        """Run a command there that has to succeed; return its stdout."""
        done = self.try_run(*command, **variables)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def stage(self, *names: str) -> None:
        """Run stages in this process, without dvc, and without worker processes unless a test has set a number."""
        with contextlib.chdir(self.root), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PIPELINE_WORKERS", os.environ.get("PIPELINE_WORKERS", "1"))
            for name in names:
                importlib.import_module(stage_module(name)).run()

    def main(self, *arguments: str, **variables: str) -> int:
        """Run `python -m pipeline` there, by its `main` in this process; return its exit status."""
        with self._entered({"PIPELINE_WORKERS": os.environ.get("PIPELINE_WORKERS", "1"), **variables}):
            return pipeline.__main__.main(arguments)

    @contextlib.contextmanager
    def _entered(self, variables: dict[str, str]) -> Iterator[None]:
        """Have this process work there, in the environment of a command."""
        with contextlib.chdir(self.root), mock.patch.dict(os.environ, environment(**variables), clear=True):
            yield

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


def _run_dvc(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Call DVC's own `main`; what it and its stages write to stdout and stderr is returned."""
    with (
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
        _redirected(1, stdout),
        _redirected(2, stderr),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        warnings.catch_warnings(action="ignore"),  # as it is where DVC is started
    ):
        cli, logger = importlib.import_module("dvc.cli"), importlib.import_module("dvc.logger")
        for name in ("dvc", "dvc_objects", "dvc_data"):
            logging.getLogger(name).handlers.clear()  # which write to the files of an earlier call
        logger.setup()
        status = cli.main(list(arguments))
        gc.collect()  # what DVC and dulwich leave open warns here, and not in whichever test comes next
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(["dvc", *arguments], status, stdout.read(), stderr.read())


@contextlib.contextmanager
def _redirected(descriptor: int, file: IO[str]) -> Iterator[None]:
    """Have what this process and its children write to a descriptor go to a file."""
    before = os.dup(descriptor)
    os.dup2(file.fileno(), descriptor)
    try:
        yield
    finally:
        os.dup2(before, descriptor)
        os.close(before)


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
