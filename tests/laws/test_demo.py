"""The demo snapshot is what its script makes and its README says."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.data_sets import demo_script
from tests.support.project import DEMO

SHA256 = "5165ac09e975af16421ddaf96ea1e3427b6e10d0d91def7173af3dd1eaa3a287"


make = demo_script()
MEMBER = {row.clip_id: row.member for row in make.all_rows()}


def test_demo_archive_is_the_one_that_the_script_made() -> None:
    assert hashlib.sha256(DEMO.read_bytes()).hexdigest() == SHA256


@pytest.mark.more
def test_demo_script_makes_the_same_bytes_again(tmp_path: Path) -> None:
    try:
        here = make.instruments()
    except FileNotFoundError:
        pytest.skip("espeak-ng is not installed")
    if here != make.MADE_WITH:
        pytest.skip(f"made with {make.MADE_WITH}, here is {here}")
    again = tmp_path / "again.zip"
    subprocess.run([sys.executable, DEMO.parent / "make.py", "--to", again], stdout=subprocess.DEVNULL, check=True)
    assert hashlib.sha256(again.read_bytes()).hexdigest() == SHA256
    assert list(tmp_path.iterdir()) == [again]


def test_demo_script_puts_the_same_clips_and_tables_together_to_the_same_bytes() -> None:
    (wrong,) = [MEMBER[clip_id] for clip_id, fault in make.FAULTS.items() if fault == "checksum"]
    corrupted = DEMO.read_bytes()
    whole = make.corrupt(corrupted, wrong)  # flips the same bit back
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for table in ("valid-train", "valid-dev", "valid-test", "invalid"):
        assert members[f"cv-{table}.csv"] == make.table_of(row for row in make.all_rows() if row.table == table)
    assert make.zip_of(members) == whole
    assert make.corrupt(whole, wrong) == corrupted


@pytest.mark.parametrize("wrong", ["valid-train/sample-999999", "invalid/sample-000000", "unusual"])
def test_demo_script_refuses_a_fault_that_is_not_eligible(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = next(iter(make.UNUSUAL)) if wrong == "unusual" else wrong
    monkeypatch.setitem(make.FAULTS, wrong, "empty")
    with pytest.raises(ValueError, match=wrong):
        make.snapshot()


def test_demo_readme_lists_the_faults_and_the_unusual_clips() -> None:
    readme = (DEMO.parent / "README.md").read_text(encoding="utf-8")
    faults = re.findall(r"^\| `(cv-\S+\.mp3)` \| [^|]+ \| `(\w+)` \|$", readme, re.MULTILINE)
    unusual = re.findall(r"^\| `(cv-\S+\.mp3)` \| [^|]+ \|$", readme, re.MULTILINE)
    assert faults == [(MEMBER[clip_id], fault) for clip_id, fault in make.FAULTS.items()]
    assert unusual == [MEMBER[clip_id] for clip_id in make.UNUSUAL]
