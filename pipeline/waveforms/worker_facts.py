"""What decides about bytes in a process: its code, its libraries, its kind of machine."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import pyarrow as pa

from pipeline.audio import decode
from pipeline.core import schema
from pipeline.shards.recipe import machine

_PACKAGE = Path(__file__).resolve().parents[1]


@cache
def worker_facts() -> dict[str, str]:
    """Return what remote workers have to agree on with the run, as it is at the first call.

    The code is that which this process began with: a worker that was started before an edit keeps the old code.
    """
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    versions = {**decode.decoder_versions(), "pyarrow": pa.__version__, "machine": machine()}
    return {"pipeline": schema.VERSION, "code": digest.hexdigest()[:12], **versions}
