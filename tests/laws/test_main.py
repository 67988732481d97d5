"""The command line: one message for what a user can cause, no traceback, and what was there stays there."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests.support.project import STAGES, Project, environment

SOURCE = "configs/snapshots/demo.yaml"


def failing(project: Project, *stages: str, status: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Run stages; assert that the last one fails and changes nothing, and return its message."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        for stage in stages[:-1]:
            assert main([stage]) == 0, capsys.readouterr().err
        before = project.outputs()
        capsys.readouterr()
        assert main([stages[-1]]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    after = project.outputs()
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.endswith(".tmp")]
    return said.err


@pytest.mark.parametrize(
    ("values", "stages", "status", "said"),
    [
        ({"snapshot": "dem"}, ["download"], 2, "'dem' is not known; there are: demo"),
        ({"stratify__tables": ["valid-tset"]}, ["stratify"], 2, "has no valid-tset; there are: invalid, valid-dev"),
        ({"stratify__strata": ["sex"]}, ["stratify"], 2, "declares no column sex; there are table, text, age"),
        ({"waveforms__encoding": "ogg", "shards__clips": -1}, ["waveforms"], 2, "shards.clips: .*-1"),
        ({"subsample__clips": 214}, ["subsample"], 1, "only 213 clips are eligible"),
        (
            {"subsample__clips": 207},
            ["subsample"],
            1,
            "213 clips are eligible, of which 206 are good; rejected: checksum 1, damaged 1.*All strata together",
        ),
        ({"subsample__max_rejected": 0.0}, ["subsample"], 1, "max_rejected = 0 allows"),
        ({"subsample__seconds": [2, 20]}, ["subsample"], 1, "too_short [0-9]+.*The last one was valid-"),
        ({"waveforms__encoding": "ogg"}, ["waveforms"], 2, "should be one of pcm16, float32, flac"),
        ({"stratify__min_up_votes": 99}, ["stratify"], 2, "min_up_votes.*up_votes: {min: 99}"),
        ({"stratify__where": {"up_votes": {"min": 99}}}, ["stratify"], 1, "no clip of valid-train.*up_votes"),
    ],
)
def test_main_explains_an_impossible_request_in_one_message(
    staged: Project,
    values: dict[str, object],
    stages: list[str],
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    staged.set(**values)
    assert re.search(said, failing(staged, *stages, status=status, capsys=capsys), flags=re.DOTALL)


def test_main_of_a_stage_without_inputs_names_what_makes_them(
    fresh: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in STAGES[1:]:
        assert "data/" in failing(fresh, stage, status=1, capsys=capsys)


def rezip(project: Project, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    """Write the demo archive again, with every member changed, renamed or left out."""
    path = project.root / "data/demo/common-voice-demo.zip"
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            data = old.open(info).read() if info.file_size and info.filename.endswith(".csv") else b"x"
            changed = change(info.filename, data)
            if changed is not None:
                new.writestr(zipfile.ZipInfo(changed[0]), changed[1])
    path.write_bytes(buffer.getvalue())


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "No such file"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(cut(path.read_bytes())), "is no whole zip archive"),
        (lambda path: path.write_bytes(b"<!doctype html>" * 9), "is no whole zip archive"),
    ],
)
def test_main_names_a_bad_archive_and_loses_nothing(
    staged: Project, spoil: Callable[[Path], object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(staged.root / "data/demo/common-voice-demo.zip")
    for stage in ("download", "subsample"):
        message = failing(staged, stage, status=1, capsys=capsys)
        assert "common-voice-demo.zip" in message
    assert said in failing(staged, "download", status=1, capsys=capsys)


def test_main_refuses_a_name_that_leads_out_of_the_archive(fresh: Project, capsys: pytest.CaptureFixture[str]) -> None:
    rezip(fresh, lambda name, data: (f"../{name}" if name.endswith("000001.mp3") else name, data))
    assert "leads out of the archive" in failing(fresh, "download", status=1, capsys=capsys)


def test_main_names_a_damaged_table_and_the_columns_that_it_has(
    fresh: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    rezip(fresh, lambda name, data: (name, data.replace(b",", b";", 30) if "valid-dev.csv" in name else data))
    assert "cv-valid-dev.csv: has no column filename" in failing(fresh, "download", "stratify", status=1, capsys=capsys)


def test_main_never_mixes_an_archive_with_one_that_it_opened_before(
    staged: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    rezip(staged, lambda name, data: (name, data + b" "))
    staged.set(subsample__clips=130)
    message = failing(staged, "subsample", status=1, capsys=capsys)
    assert "changed since it was opened" in message
    assert "dvc repro" in message


def test_main_compares_an_archive_with_its_pinned_checksum(fresh: Project, capsys: pytest.CaptureFixture[str]) -> None:
    document = (fresh.root / SOURCE).read_text().replace("kind: archive", f"kind: archive\n  sha256: {'f' * 64}")
    (fresh.root / SOURCE).write_text(document)
    assert "SHA-256" in failing(fresh, "download", status=1, capsys=capsys)


def test_main_exits_with_2_on_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["dowload"], ["download", "--fast"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "download" in capsys.readouterr().err


@pytest.mark.more
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_main_does_not_fail_where_its_reader_stops_early(staged: Project, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for command in ("estimate", "verify"):
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", command],
            cwd=staged.root, env=environment(PYTHONUNBUFFERED=unbuffered), stdout=writing, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")
    os.close(writing)


def test_main_verbose_shows_the_traceback(fresh: Project, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(fresh.root)
        fresh.set(snapshot="nothing")
        assert main(["download", "--verbose"]) == 2
    assert "ParameterError" in capsys.readouterr().err
