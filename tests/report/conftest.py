"""One project with a report, for all tests of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.project import Once, Project


@pytest.fixture(scope="session")
def reported_once(staged_once: Project, once: Once) -> Project:
    """Return the project after all its stages, without dvc: look, don't touch."""

    def make(to: Path) -> Project:
        project = staged_once.copy(to)
        project.stage("report")
        return project

    return once(f"reported-{staged_once.root.parent.name}", make)


@pytest.fixture(scope="session")
def metrics(reported_once: Project) -> dict[str, Any]:
    """Return the metrics of that report."""
    return dict(json.loads((reported_once.root / "reports/metrics.json").read_text()))


@pytest.fixture
def reported(reported_once: Project, tmp_path: Path) -> Project:
    """Return a project of its own after all its stages."""
    return reported_once.copy(tmp_path / "reported")
