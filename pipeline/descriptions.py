"""configs/snapshots/NAME.yaml → what a snapshot is, under which licence, and where it lies.

Comes in: the name of a snapshot. Goes out: its description, frozen and validated. Never opens the snapshot.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline import schema
from pipeline.errors import ParameterError
from pipeline.params import Settings, read_yaml, validated

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ArchiveSource(Settings):
    """A zip archive on disk."""

    kind: Literal["archive"]
    path: str
    sha256: Sha256 | None = None

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine: not where it lies."""
        return {"kind": self.kind, "file": PurePath(self.path).name}


class DirectorySource(Settings):
    """The same tree, unpacked."""

    kind: Literal["directory"]
    path: str

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine: not where it lies."""
        return {"kind": self.kind}


class Description(Settings):
    """A snapshot's description: what it is, who says so, under which licence, and where it lies."""

    title: str
    license: str
    citation: str
    format: Literal["kaggle-v1"]
    source: Annotated[ArchiveSource | DirectorySource, Field(discriminator="kind")]


def describe(name: str, folder: Path = schema.SNAPSHOTS) -> Description:
    """Read the description of the snapshot called `name`.

    Raises
    ------
    ParameterError
        It is not known (the message lists those that are), or its description is not valid.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ParameterError(str(schema.PARAMS), [f"snapshot: {name!r} is not known; there are: {known} ({folder}/)"])
    return validated(Description, read_yaml(path), str(path))
