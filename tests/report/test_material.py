"""The input of a report: one error that names a damaged file, or one of another sample."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.clips.rejected import rejected_csv
from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.report import material
from pipeline.snapshot.receipt import read_receipt
from pipeline.waveforms.reader import open_waveforms
from tests.support.project import Project


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip(path: Path) -> None:
    """Turn bits in the middle of the data."""
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 3, len(data) // 3 + 40):
        data[place] ^= 0xFF
    path.write_bytes(data)


def swap_letters(path: Path) -> None:
    """Change what a reader of text takes as it is."""
    data = path.read_bytes()
    at = max(data.rfind(letter) for letter in b"aeiou")
    path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: list[Callable[[Path], object]] = [cut, lambda path: path.write_bytes(b""), Path.unlink, swap_letters, pipe]
FILES = [
    *("data/rejected.csv", "data/sample.parquet", "data/ranking.parquet", "data/snapshot/receipt.json"),
    *("data/clips/part-00000.parquet", "data/waveforms/part-00000.parquet", "data/waveforms/part-00003.parquet"),
    *("data/features/part-00000.parquet", "data/features/part-00003.parquet"),
    "data/snapshot/clips.parquet",
]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        pytest.param(name, damage, marks=[] if (file - kind) % 5 == 0 else pytest.mark.more)
        for file, name in enumerate(FILES)
        for kind, damage in enumerate(DAMAGES)
    ],
)
def test_material_that_is_damaged_ends_in_one_message_and_leaves_the_report_unchanged(
    name: str,
    damage: Callable[[Path], object],
    reported: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(reported.root)
    damage(reported.root / name)
    before = reported.outputs()
    if (status := main(["report"])) == 0:
        pytest.fail(f"{name} was taken as it is")
    assert status in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith("report: ")
    assert Path(name).name in said or str(Path(name).parent) in said
    assert "Traceback" not in said
    assert reported.outputs() == before


@pytest.mark.parametrize("name", [f"data/{name}/part-00000.parquet" for name in ("waveforms", "clips", "features")])
def test_material_with_flipped_bits_ends_in_one_message_or_does_not_read_them(
    name: str, reported: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(reported.root)
    flip(reported.root / name)
    before = reported.outputs()
    if main(["report"]):
        assert name in capsys.readouterr().err
    assert reported.outputs() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: max(schema.WAVEFORMS.glob("*.parquet")).unlink(), r"waveforms: .*sample\.parquet"),
        (lambda: shutil.copy(schema.RANKING, schema.SAMPLE), r"sample\.parquet"),
        (lambda: schema.REJECTED.write_text(rejected_csv([])), r"rejected\.csv: .*clips"),
    ],
)
def test_material_of_another_sample_is_an_error(
    change: Callable[[], object], message: str, reported: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported.root)
    change()
    with pytest.raises(ShardError, match=message):
        material.load(open_waveforms(), read_receipt(), ["valid-train"])
