"""Which outputs of the pipeline lie in a folder, whoever put them there and whatever is missing beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.clips.writer import ClipsSeal
from pipeline.core import schema
from pipeline.core.errors import ParameterError, ShardError
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard


class Problem(NamedTuple):
    """Something that is not as it should be: a line of what is printed."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.path}: {self.what}"

    @classmethod
    def of(cls, path: Path, error: Exception) -> Problem:
        """Make one of an error, on one line, that does not name the path twice."""
        said = " ".join(str(error).split()) or type(error).__name__
        return cls(path, said.removeprefix(f"{path}: "))


@dataclass(frozen=True)
class Outputs:
    """Where the outputs lie; None for those that are not there."""

    snapshot: Path | None = None
    ranking: Path | None = None
    clips: Path | None = None
    rejected: Path | None = None
    sample: Path | None = None
    waveforms: Path | None = None
    features: Path | None = None
    transcripts: Path | None = None
    reports: Path | None = None

    @classmethod
    def found(cls, folder: Path) -> Self:
        """Find the outputs in a checkout of the project, in its ``data``, in one of the outputs, or in a copy of any.

        Raises
        ------
        ParameterError
            `folder` is no folder.
        """
        if not folder.is_dir():
            raise ParameterError("the command line", [f"{folder}: is no folder"])
        if any(folder.glob("part-*.parquet")):
            return cls(**{_kind(folder): folder})
        if (folder / schema.RECEIPT.name).exists() or (folder / schema.MEMBERS_FILE.name).exists():
            return cls(snapshot=folder)
        if (folder / schema.CARD.name).exists() or (folder / schema.METRICS.name).exists():
            return cls(reports=folder)
        places = {**dict.fromkeys(_FILES, folder), "reports": folder}
        if any((folder / schema.DATA.name / name).exists() for name in _FILES.values()):
            places |= dict.fromkeys(_FILES, folder / schema.DATA.name)
        paths = {name: place / _NAMES[name] for name, place in places.items()}
        return cls(
            **{
                name: path
                for name, path in paths.items()
                if path.exists() and not (name in _SHARDS and _is_foreign(path))
            }
        )

    def folders(self) -> list[tuple[str, Path]]:
        """Return the folders of shards that are there, by the names of the outputs."""
        named = ((name, getattr(self, name)) for name in _SHARDS)
        return [(name, folder) for name, folder in named if folder is not None]

    def shards(self, output: str) -> list[Path]:
        """Return all shards of an output that is there, whether or not one is missing among them."""
        return sorted(getattr(self, output).glob("part-*.parquet"))

    def tables(self) -> list[Path]:
        """Return the outputs that are there and are no folders of shards."""
        folders = {folder for _, folder in self.folders()}
        return [path for path in self.paths() if path not in folders]

    def paths(self) -> Iterator[Path]:
        """Yield those that are there."""
        yield from (path for path in (getattr(self, field.name) for field in fields(self)) if path is not None)

    def files(self) -> list[Path]:
        """Return all files of them."""
        return sorted({file for path in self.paths() for file in files_of(path)})


_FILES = {
    path.stem: path.name
    for path in (
        *(schema.SNAPSHOT, schema.RANKING, schema.CLIPS, schema.REJECTED, schema.SAMPLE),
        *(schema.WAVEFORMS, schema.FEATURES, schema.TRANSCRIPTS),
    )
}
_SHARDS = (schema.CLIPS.name, schema.WAVEFORMS.name, schema.FEATURES.name, schema.TRANSCRIPTS.name)
_NAMES = {**_FILES, "reports": schema.REPORTS.name}


def files_of(path: Path) -> list[Path]:
    """Return all files of an output: itself, or those in it, except what a run that is under way writes."""
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))


def _is_foreign(path: Path) -> bool:
    """Tell whether a folder has Parquet files and none of them is a shard: of the same name, made for another place."""
    return path.is_dir() and any(path.glob("*.parquet")) and not any(path.glob("part-*.parquet"))


def _kind(folder: Path) -> str:
    """Return which output a folder of shards is, by what their seals say; by its name where none can be read."""
    for path in sorted(folder.glob("part-*.parquet")):
        try:
            recipe = Shard(path, DerivedSeal).seal.recipe
        except ShardError:
            pass
        else:
            return recipe if recipe in _FILES else schema.WAVEFORMS.name
        try:
            Shard(path, ClipsSeal)
        except ShardError:
            continue
        return schema.CLIPS.name
    return folder.name if folder.name in _FILES else schema.WAVEFORMS.name
