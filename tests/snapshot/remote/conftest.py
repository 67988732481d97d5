"""Tests of the network run on loopback; those of the real one run when they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kaggle_work import archive, certificate, fake, home, local, opened, pauses, work

__all__ = ["archive", "certificate", "fake", "home", "local", "opened", "pauses", "work"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out test_live.py unless that mark is asked for."""
    return True if collection_path.name == "test_live.py" and config.getoption("markexpr") != "live" else None
