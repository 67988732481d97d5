"""Whether a file is there to be read: one line for whatever else lies in its place."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.core.errors import GET_AGAIN, MAKE_OR_GET, PipelineError


def require_file(path: Path, error: type[PipelineError]) -> None:
    """Raise `error` unless `path` is a regular file, or a link to one. To open a pipe would block for ever."""
    if path.is_file():
        return
    if not os.path.lexists(path):
        raise error(f"{path}: no such file; {MAKE_OR_GET}")
    if path.is_symlink() and not path.exists():
        remedy = "if DVC's cache is gone, python -m pipeline doctor says what helps"
        raise error(f"{path}: a link to a missing file; {remedy}")
    raise error(f"{path}: no regular file; {GET_AGAIN}")
