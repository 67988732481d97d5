"""The stage imports only what it uses, and reports on a data set without text."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from pipeline.core import schema
from tests.support.project import Project, environment

UNUSED = ("matplotlib", "requests", "kaggle", "soxr", "librosa", "dvc")


@pytest.mark.more
def test_report_imports_nothing_that_draws_resamples_or_talks_to_a_network(reported: Project) -> None:
    code = (
        "import sys, pipeline.__main__\n"
        "status = pipeline.__main__.main(['report'])\n"
        f"sys.exit(status or ' '.join(set({UNUSED!r}) & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=reported.root, env=environment(), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("staged_once", ["labelled"], indirect=True)
def test_report_of_a_labelled_data_set_is_by_label_and_has_no_word_of_words(reported_once: Project) -> None:
    made = [(reported_once.root / path).read_text(encoding="utf-8") for path in (schema.REPORT, schema.CARD)]
    for text in (*made, (reported_once.root / schema.METRICS).read_text(encoding="utf-8")):
        assert not re.search(r"(?i)sentence|words|\bMP3\b|common.voice|gender", text)
    for text in made:
        assert "1 row that cannot be read" in text
        assert "1 clip of 160 that no row names" in text
        assert "WAV/PCM_24" in text
    headings = re.findall(r"<h3>(\w+)</h3>", made[0])
    assert headings[1:6] == ["kind", "fold", "salience", "gain", "device"]
    assert "By kind" in made[0]
    assert "No value of <code>recording</code> may be in two splits" in made[0]
    assert "No value of recording is in two splits" in made[1]
    assert set(re.findall(r"src=\"data:(audio/\w+)", made[0])) == {"audio/wav", "audio/flac"}
