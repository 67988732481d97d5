"""The outputs of the pipeline in a folder, which may be a copy that lacks some of them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipeline.clips.writer import ClipsSeal
from pipeline.core import schema
from pipeline.core.errors import ParameterError, ShardError
from pipeline.registry import DERIVED
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard

FOLDERS_OF_SHARDS = (schema.CLIPS.name, *DERIVED)
FOLDERS = (*FOLDERS_OF_SHARDS, schema.SNAPSHOT.name, schema.REPORTS.name)
FILES = {path.stem: path.name for path in (schema.RANKING, schema.SAMPLE, schema.REJECTED)}
NAMES = {name: name for name in FOLDERS} | FILES


class Problem(NamedTuple):
    """Something that is not as it should be: a line of what is printed."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"

    @classmethod
    def of(cls, path: Path, error: Exception) -> Problem:
        """Make one of an error, on one line, that does not name the path twice."""
        message = " ".join(str(error).split()) or type(error).__name__
        return cls(path, message.removeprefix(f"{path}: ").removeprefix(f"{path.name}: "))


def find_outputs(folder: Path) -> dict[str, Path]:
    """Find the outputs in a checkout of the project, in its ``data``, in one of the outputs, or in a copy of any.

    The place of each that is there is returned by its name, a key of `NAMES`; what lies there may be of any kind.
    Raises ParameterError if `folder` is no folder.
    """
    if not folder.is_dir():
        raise ParameterError("the command line", [f"{folder}: is no folder"])
    if any(folder.glob("part-*.parquet")):
        return {_kind(folder): folder}
    for output, files in (
        ("snapshot", (schema.RECEIPT, schema.CLIP_TABLE)),
        ("reports", (schema.CARD, schema.METRICS)),
    ):
        if any((folder / file.name).exists() for file in files):
            return {output: folder}
    data = folder / schema.DATA.name
    in_data = {name: data / file for name, file in NAMES.items() if name != "reports"}
    here = {name: folder / file for name, file in NAMES.items()}
    places = here | in_data if any(map(os.path.lexists, in_data.values())) else here
    outputs = {name: path for name, path in places.items() if os.path.lexists(path)}
    for name in FOLDERS_OF_SHARDS:
        shards = [file.name for file in outputs[name].glob("*.parquet")] if name in outputs else []
        if shards and not any(each.startswith("part-") for each in shards):
            del outputs[name]  # a folder of the same name with another purpose
    return outputs


def files_of(path: Path) -> list[Path]:
    """Return an output that is no folder, or all that lies in it, except what a run under way or `show` writes.

    Dangling links and pipes are among them, as they lie in the place of a file.
    """
    if not path.is_dir():
        return [path]
    drawn = path / schema.DRAWN.name
    files = (file for file in path.rglob("*") if not file.is_dir() and not file.name.startswith("."))
    return sorted(file for file in files if not file.is_relative_to(drawn))


def shards_of(folder: Path) -> list[Path]:
    """Return all shards of a folder, whether or not one is missing among them."""
    return sorted(folder.glob("part-*.parquet"))


def _kind(folder: Path) -> str:
    """Return which output a folder of shards is, by what their seals say; by its name where none can be read."""
    for path in shards_of(folder):
        with suppress(ShardError):
            recipe = Shard(path, DerivedSeal).seal.recipe
            return recipe if recipe in NAMES else "waveforms"
        with suppress(ShardError):
            Shard(path, ClipsSeal)
            return "clips"
    return folder.name if folder.name in NAMES else "waveforms"
