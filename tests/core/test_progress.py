"""Progress: plain lines where there is no terminal, and nothing of what is done at once."""

from __future__ import annotations

import io

import pytest

from pipeline.core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that goes only when it is set: its one number."""
    now = [1000.0]
    for place in ("pipeline.core.progress.time", "tqdm.std.time"):
        monkeypatch.setattr(place, lambda: now[0])
    return now


def test_progress_is_a_line_every_ten_seconds_with_rate_traffic_and_time_left(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("clips", 100, "clips", stream=stream)
    for _ in range(20):
        clock[0] += 2
        shown.update(1, 100_000)
    shown.close()
    lines = stream.getvalue().splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"clips: {done}/100" for done in (5, 10, 15, 20)]
    assert lines[0] == "clips: 5/100,  2.00s/ clips, 0.5 MB, 0.1 MB/s, 03:10 left"


def test_progress_of_bytes_goes_on_from_those_that_were_there(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("archive", None, "B", 1e6, stream=stream)
    shown.expect(4e6)
    clock[0] += 10
    shown.update(1e6)
    shown.close()
    assert stream.getvalue() == "archive: 2.00M/4.00M, 100kB/s, 00:20 left\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_of_a_short_job_is_not_shown(stream: io.StringIO) -> None:
    shown = Progress("clips", 2, "clips", stream=stream)
    shown.update(1, 10)
    shown.reach(2)
    shown.close()
    assert stream.getvalue() == ""


def test_progress_on_a_terminal_is_a_bar_that_is_removed(clock: list[float]) -> None:
    stream = Terminal()
    shown = Progress("clips", 2, "clips", stream=stream)
    clock[0] += 2
    shown.update(1, 1_500_000)
    clock[0] += 2
    shown.reach(2)
    assert "100%" in stream.getvalue()
    assert "1.5 MB" in stream.getvalue()
    shown.close()
    assert stream.getvalue().endswith("\r")
