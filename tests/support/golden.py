"""What a fresh run gives, as one digest: a change of code that changes a byte has to raise a REVISION."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import re
from pathlib import Path

import pytest

from tests.support.project import ROOT

_DECODE = ("soundfile", "soxr", "numpy", "scipy", "pyarrow")


def is_locked(*packages: str) -> bool:
    """Tell whether all of these packages are here, in the versions of requirements.lock."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    try:
        return {name: importlib.metadata.version(name) for name in packages}.items() <= locked.items()
    except importlib.metadata.PackageNotFoundError:
        return False


def of_the_locked_machine() -> bool:
    """Tell whether this is the kind of machine, and these are the versions, that golden digests were made with."""
    return (platform.system(), platform.machine()) == ("Linux", "x86_64") and is_locked(*_DECODE)


golden = pytest.mark.skipif(not of_the_locked_machine(), reason="other versions, or another kind of machine")


def digest(folder: Path) -> str:
    """Return the SHA-256 of the shards of a folder, without their footers: versions stand there."""
    hasher = hashlib.sha256()
    for path in sorted(folder.glob("part-*.parquet")):
        data = path.read_bytes()
        hasher.update(data[: len(data) - 8 - int.from_bytes(data[-8:-4], "little")])
    return hasher.hexdigest()


def assert_golden(folder: Path, name: str, revision: int, known: dict[int, str]) -> None:
    """Compare with the digest that stands in a test beside the revision it belongs to."""
    made = digest(folder)
    assert known.get(revision) == made, (
        f"{name} gives other bytes than revision {revision} did. If that is meant, raise REVISION, write "
        f"{revision + 1}: {made!r} beside it in this test, and say so in CHANGELOG.md: users' shards are made again."
    )
