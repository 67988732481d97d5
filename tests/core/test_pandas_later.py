"""pyarrow imports pandas where it has to, and no sooner; a stage imports nothing that it has no use for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.project import ROOT, Project, environment

CODE = """
import sys
import pyarrow as pa
from pipeline.core import pandas_later

pandas_later.put_off()
table = pa.table({"name": ["a", None], "number": [1, 2]})
print("pandas" in sys.modules)
frame = table.to_pandas()
print(type(frame) is sys.modules["pandas"].DataFrame)
print(pa.Table.from_pandas(frame).to_pydict() == table.to_pydict())
print(pa.array(frame["name"]).null_count)
"""


def said(code: str, *arguments: str, project: Project | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=project.root if project else ROOT,
        env=environment(PIPELINE_WORKERS="1"),
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout.splitlines()


def test_it_is_imported_when_a_table_becomes_a_frame() -> None:
    assert said(CODE) == ["False", "True", "True", "1"]


def test_nothing_is_put_off_that_is_there_already() -> None:
    assert said(f"import pandas\n{CODE}") == ["True", "True", "True", "1"]


@pytest.mark.more
def test_stages_never_import_what_they_have_no_use_for(fresh: Project) -> None:
    run = "import sys\nfrom pipeline.__main__ import main\nfor stage in sys.argv[1:]: assert main([stage]) == 0\n"
    run += "print([name for name in ('multiprocessing', 'pandas', 'tqdm') if name in sys.modules])"
    assert said(run, "download", project=fresh)[-1] == "[]"
    fresh.stage("stratify")
    assert said(run, "subsample", "waveforms", "features", "report", project=fresh)[-1] == "[]"
