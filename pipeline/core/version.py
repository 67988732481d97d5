"""The version of the code that runs, out of the package's metadata."""

from __future__ import annotations

import tomllib
from pathlib import Path

DISTRIBUTION = "audio-subsample"
_CHECKOUT = Path(__file__).resolve().parents[2]


def version(root: Path = _CHECKOUT) -> str:
    """Return the version of this project, such as ``0.2.0``, for the package in the folder `root`.

    A checkout comes first: it runs from its root (dvc.yaml: ``python -m pipeline``), and the environment may hold an
    installed copy of another version. Seals contain the version, so both ways have to give the same string.
    """
    pyproject = root / "pyproject.toml"
    if pyproject.is_file():
        project = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == DISTRIBUTION:
            return str(project["version"])
    from importlib import metadata  # noqa: PLC0415  takes longer than all of the above

    return metadata.version(DISTRIBUTION)
