"""The stage imports only what it uses, and names a damaged receipt."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.core import schema
from pipeline.core.errors import SnapshotError
from pipeline.report import stage
from tests.support.project import Project, environment

UNUSED = ("matplotlib", "requests", "kaggle", "soundfile", "soxr", "librosa", "dvc")


@pytest.mark.more
def test_report_imports_nothing_that_draws_decodes_or_talks_to_a_network(reported: Project) -> None:
    code = (
        "import sys, pipeline.__main__\n"
        "status = pipeline.__main__.main(['report'])\n"
        f"sys.exit(status or ' '.join(set({UNUSED!r}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=reported.root, env=environment(), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"format": "kaggle-v1", "source": 1, "validators": {}}'])
def test_report_names_a_damaged_receipt(reported: Project, monkeypatch: pytest.MonkeyPatch, damaged: str) -> None:
    monkeypatch.chdir(reported.root)
    schema.RECEIPT.write_text(damaged)
    with pytest.raises(SnapshotError, match=r"receipt.json: is damaged"):
        stage.run()
