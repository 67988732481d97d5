"""The command line: one message for what a user can cause, no traceback, and what was there stays there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.core.progress import Progress
from tests.support.project import STAGES, Project, environment


def failing(project: Project, stage: str, status: int, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a stage; assert that it fails and changes nothing, and return its message."""
    before = project.outputs()
    assert project.main(stage) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    after = project.outputs()
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if name.endswith(".tmp")]
    return said.err


@pytest.mark.parametrize(
    ("values", "stage", "status", "said"),
    [
        ({"snapshot": "dem"}, "download", 2, "'dem' is not known; there are: .*demo"),
        ({"stratify__tables": ["valid-tset"]}, "stratify", 2, "has no valid-tset; there are: invalid, valid-dev"),
        ({"stratify__strata": ["sex"]}, "stratify", 2, "declares no column sex; there are table, text, age"),
        ({"stratify__min_up_votes": 99}, "stratify", 2, "min_up_votes.*up_votes: {min: 99}"),
        ({"stratify__where": {"up_votes": {"min": 99}}}, "stratify", 1, "no clip of valid-train.*up_votes"),
        ({"subsample__clips": 214}, "subsample", 1, "only 213 clips are eligible"),
        (
            {"subsample__clips": 207},
            "subsample",
            1,
            "of which 206 are good, 0.10 hours; rejected: checksum 1, damaged 1.*All strata together",
        ),
        ({"subsample__clips": None, "subsample__hours": 1}, "subsample", 1, "1 hours .* 206 are good, 0.10 hours; "),
        ({"subsample__max_rejected": 0.0}, "subsample", 1, "max_rejected = 0 allows"),
        ({"subsample__seconds": [2, 20]}, "subsample", 1, "too_short [0-9]+.*The last one was valid-"),
        ({"waveforms__encoding": "ogg"}, "waveforms", 2, "should be one of pcm16, float32, flac"),
        ({"waveforms__encoding": "ogg", "shards__clips": -1}, "waveforms", 2, "shards.clips: .*-1"),
    ],
)
def test_main_explains_an_impossible_request_in_one_message(
    staged: Project,
    values: dict[str, object],
    stage: str,
    status: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    staged.set(**values)
    assert re.search(said, failing(staged, stage, status, capsys), flags=re.DOTALL)


def test_main_of_a_stage_without_inputs_names_what_makes_them(
    fresh: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in STAGES[1:]:
        assert "data/" in failing(fresh, stage, 1, capsys)


def test_main_exits_with_2_on_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["dowload"], ["download", "--fast"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    assert "download" in capsys.readouterr().err


def test_main_says_how_many_shards_an_interrupted_stage_keeps(
    staged: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 120 clips in shards of 32, interrupted at the start and after two shards."""
    staged.set(waveforms__encoding="float32")
    for method, calls, said in (("__init__", 1, "no new shard was whole yet"), ("update", 2, "2 new shards are whole")):
        left = iter(range(calls)[::-1])

        def interrupted(*_: object, left: Iterator[int] = left) -> None:
            if next(left) == 0:
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(Progress, method, interrupted)
            assert staged.main("waveforms") == 130
        assert f"waveforms: interrupted; {said}" in capsys.readouterr().err
    assert staged.main("waveforms") == 0
    assert "4 shards; 56 decoded now" in capsys.readouterr().out


def test_main_outside_of_the_project_says_where_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (["waveforms"], ["estimate"], ["verify"], ["show", "a"], ["export", "--clips=1", "--to=b"]):
        assert main(arguments) in {1, 2}
        said = capsys.readouterr()
        assert "in the project's folder" in said.out + said.err, arguments


def test_main_says_where_nothing_was_rejected(staged: Project, capsys: pytest.CaptureFixture[str]) -> None:
    staged.set(subsample__clips=3)
    assert staged.main("subsample") == 0
    assert capsys.readouterr().out == "subsample: 3 clips, 0.00 hours; none rejected\n"


@pytest.mark.more
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_main_does_not_fail_where_its_reader_stops_early(staged: Project, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pipeline", "estimate"]
    variables = environment(PYTHONUNBUFFERED=unbuffered)
    done = subprocess.run(command, cwd=staged.root, env=variables, stdout=writing, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    os.close(writing)


def test_main_verbose_shows_the_traceback(fresh: Project, capsys: pytest.CaptureFixture[str]) -> None:
    fresh.set(snapshot="nothing")
    assert fresh.main("download", "--verbose") == 2
    assert "ParameterError" in capsys.readouterr().err
