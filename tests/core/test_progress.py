"""Progress: plain lines where no terminal is, and silence over what is done at once."""

from __future__ import annotations

import io
import signal

import pytest

from pipeline.core.progress import Progress, progress


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


def test_a_line_every_ten_seconds_with_rate_traffic_and_time_left(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("clips", 100, "clips", stream=stream)
    for _ in range(20):
        clock[0] += 2
        shown.update(1, 100_000)
    lines = stream.getvalue().splitlines()
    assert [line.partition(",")[0] for line in lines] == [f"clips: {done}/100" for done in (5, 10, 15, 20)]
    assert lines[0] == "clips: 5/100,  2.00s/ clips, 0.5 MB, 0.1 MB/s, 03:10 left"


def test_time_in_which_nothing_gets_done_counts_for_the_rate(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("clips", 100, "clips", stream=stream)
    for second in range(1, 61):
        clock[0] += 1
        shown.reach(second // 20 * 20)
    assert stream.getvalue().splitlines()[-1] == "clips: 60/100,  1.00 clips/s, 00:40 left"


def test_the_last_line_is_written_once(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("clips", 100, "clips", stream=stream)
    clock[0] += 20
    shown.reach(100)
    shown.close()
    assert stream.getvalue() == "clips: 100/100,  5.00 clips/s, 00:00 left\n"


def test_bytes_are_told_in_megabytes(clock: list[float]) -> None:
    stream = io.StringIO()
    shown = Progress("archive", None, "B", stream=stream)
    shown.expect(4e6)
    clock[0] += 10
    shown.update(1e6)
    assert stream.getvalue() == "archive: 1.00M/4.00M, 100kB/s, 00:30 left\n"


def test_what_is_done_at_once_is_not_spoken_of() -> None:
    stream = io.StringIO()
    shown = Progress("clips", 2, "clips", stream=stream)
    shown.update(1, 10)
    shown.reach(2)
    shown.close()
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_that_goes_at_the_end(clock: list[float]) -> None:
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


def test_it_is_closed_whatever_happens() -> None:
    with progress("clips", 1, "clips") as shown:
        shown.update(1)


def test_a_ctrl_c_leaves_no_bar_half_made(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(**_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        made.append(True)

    monkeypatch.setattr("tqdm.tqdm", make)
    shown = Progress("clips", 100, "clips", stream=io.StringIO())
    clock[0] += 20
    with pytest.raises(KeyboardInterrupt):
        shown.update(1)
    assert made
