"""Every command and every line of Python in the README does what it says; the page on descriptions has every key."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline import open_waveforms
from pipeline.core.settings import validated
from pipeline.snapshot.description import Description
from pipeline.snapshot.layout import ColumnSource, Dialect, Lookup, Seconds
from pipeline.snapshot.origin import ArchiveSource, CompetitionSource, DirectorySource, KaggleSource
from pipeline.snapshot.segments import Segment
from tests.support.labelled import labelled_files
from tests.support.project import ROOT, Project
from tests.support.tarballs import pack

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def repository(fresh: Project) -> Project:
    """Return a repository without outputs, with the environment of this test run where make would put one."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, fresh.root / name)
    os.utime(fresh.root / "requirements.lock", (0, 0))
    (fresh.root / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        (fresh.root / ".venv" / path.name).symlink_to(path)
    (fresh.root / ".venv/ready").unlink(missing_ok=True)
    (fresh.root / ".venv/ready").touch()
    fresh.run("git", "init", "--quiet", "--initial-branch=main")
    fresh.run("git", "add", "--all")
    fresh.run("git", "commit", "--quiet", "--message=The project")
    return fresh


@pytest.mark.more
def test_readme_commands_run_one_after_the_other_and_print_what_it_says(repository: Project, tmp_path: Path) -> None:
    commands = "\n".join(blocks("bash"))
    origin = tmp_path / "origin"
    repository.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(origin))
    repository.run("git", "remote", "add", "origin", str(origin))
    repository.run("git", "push", "--quiet", "--set-upstream", "origin", "main")
    pack(labelled_files(with_faults=False), tmp_path)
    [table] = [block for block in blocks("text") if block.startswith("file,")]
    assert (tmp_path / "street/sounds.csv").read_text().startswith(table.splitlines()[0])
    for written, meant in {
        "make test": "make --dry-run test",  # it is what runs this
        "https://example.org/our/sample.git": str(origin),
        "git clone": "cd ..; git clone",
        "make env\nsource .venv/bin/activate": "make --dry-run env",
        "/mnt/share": str(tmp_path / "share"),
        "../five-clips": str(tmp_path / "five-clips"),
        "/data/street": str(tmp_path / "street"),
    }.items():
        assert written in commands
        commands = commands.replace(written, meant)
    stdout = repository.run("bash", "-euo", "pipefail", "-c", commands)
    for line in filter(None, blocks("text")[0].splitlines()):
        assert line in stdout
    assert "160 waveforms in 1 shard; 40 decoded now" in stdout
    assert "Data and pipelines are up to date." in stdout.rsplit("fetched", 1)[-1]


def run_python() -> None:
    """Run every block, and look at what those that take another Parquet reader have read."""
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    (clip,) = open_waveforms().head(1)
    assert names["waveform"].dtype == np.float32
    assert np.array_equal(names["waveform"], clip.waveform)
    assert len(names["audio"]) == (clip.num_samples if isinstance(names["audio"], list) else 2)


def test_readme_python_runs(made_once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made_once.root)
    run_python()


@pytest.mark.more
@pytest.mark.parametrize("encoding", ["float32", "flac"])
def test_readme_python_runs_in_another_encoding(
    encoding: str, staged: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged.set(waveforms__encoding=encoding)
    staged.stage("waveforms", "features")
    monkeypatch.chdir(staged.root)
    run_python()


def test_readme_links_files_that_are_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_descriptions_page_is_valid_and_has_every_key() -> None:
    page = (ROOT / "docs/descriptions.md").read_text(encoding="utf-8")
    texts = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    examples = [YAML(typ="safe").load(text) for text in texts]
    about = {"title": "t", "license": "CC0-1.0", "citation": "c", "source": {"kind": "directory", "path": "x"}}
    for example in examples:
        own = {"audio": "{name}.*"}
        if "format" in example:
            own = YAML(typ="safe").load(ROOT / f"configs/formats/{example['format']}.yaml")
        validated(Description, {**about, **own, **example}, "docs/descriptions.md")
    sources = (ArchiveSource, KaggleSource, CompetitionSource, DirectorySource)
    sections = (Description, ColumnSource, Dialect, Lookup, Seconds, Segment, *sources)
    keys = {field.encode_name for section in sections for field in msgspec.structs.fields(section)}
    assert keys <= set(all_keys(examples))


def all_keys(value: Any) -> Iterator[str]:
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from all_keys(each)
    yield from value if isinstance(value, dict) else ()
