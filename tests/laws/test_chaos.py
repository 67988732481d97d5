"""Nothing gets through: a small dose of the fault bench, always the same. ``make chaos`` gives more."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.chaos.bench import Result, as_table
from tests.support.project import ROOT, environment

TRIALS = 60  # each kind twice as often as one round of the bench draws it


@pytest.mark.more
def test_chaos_lets_nothing_through_in_60_trials() -> None:
    command = [sys.executable, "-m", "tests.support.chaos.bench", "--trials", str(TRIALS), "--seed", "2017"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), text=True, capture_output=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    everything = re.search(r"^\| all \| (\d+) \|", done.stdout, re.MULTILINE)
    assert everything is not None
    assert int(everything[1]) == TRIALS


def test_chaos_table_counts_how_each_kind_ended() -> None:
    kind = "odd settings"
    results = [Result(0, kind, "", "same bytes"), Result(1, kind, "", "same bytes"), Result(2, kind, "", "got through")]
    _, _, row, everything = as_table(results).splitlines()
    assert row == f"| {kind} | 3 | 2 | – | – | – | 1 |"
    assert everything == "| all | 3 | 2 | – | – | – | 1 |"
