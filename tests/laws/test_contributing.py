"""CONTRIBUTING.md: what it says of adding an encoding and a view is done, in a copy of this project."""

from __future__ import annotations

import re
import shutil
import sys

import pytest

from tests.support.project import ROOT, Project

BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+?)(?:, before (\S+))?\n(.*?)^```", re.MULTILINE | re.DOTALL)
LOOK = """
import numpy as np, pyarrow.parquet as pq
from pipeline import open_waveforms
clips = open_waveforms("data/waveforms")
peaks = pq.read_table("data/peaks/part-00000.parquet")
assert clips.metadata()["clip_id"].tolist() == peaks["clip_id"].to_pylist()
for clip, peak in zip(clips, peaks["peak"].to_pylist()):
    assert np.abs(clip.waveform).max() == peak
    assert (clip.waveform * 128 % 1 == 0).all() and 0 < peak <= 1
"""


@pytest.mark.more
def test_contributing_adds_an_encoding_and_a_view_that_is_a_stage(fresh: Project) -> None:
    blocks = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(blocks) == 5
    for name, before, text in blocks:
        path = fresh.root / name
        if before:
            old = path.read_text()
            place = re.search(rf"^ *{re.escape(before)}", old, re.MULTILINE)
            assert place, before
            path.write_text(
                old[: place.start()] + text + "\n" * 2 * name.endswith("encodings.py") + old[place.start() :]
            )
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    encodings = fresh.root / "pipeline/waveforms/encodings.py"
    encodings.write_text(encodings.read_text().replace('"flac": Flac()}', '"flac": Flac(), "pcm8": Pcm8()}'))
    shutil.copy(ROOT / "data/demo/make.py", fresh.root / "data/demo")
    shutil.copytree(ROOT / "tests", fresh.root / "tests", ignore=shutil.ignore_patterns("__pycache__"))

    fresh.run(sys.executable, "-m", "ruff", "check", "pipeline")
    tests = ("tests/laws/test_wings.py", "-k", "import or dvc_yaml or short or sentence")
    fresh.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    fresh.set(waveforms__encoding="pcm8", subsample__clips=8, subsample__max_rejected=0.5)
    fresh.run("git", "init", "--quiet")
    assert "8 clips; 8 measured now" in fresh.run("dvc", "repro", "peaks")
    fresh.run(sys.executable, "-c", LOOK, PYTHONPATH=".")
    assert "1 file" in fresh.run(sys.executable, "-m", "pipeline", "verify", "data/peaks")
    fresh.run(sys.executable, "-m", "pipeline", "estimate")
