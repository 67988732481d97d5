"""Progress: plain lines where no terminal is, and silence over what is done at once."""

from __future__ import annotations

import io

from pipeline.core.progress import Progress, progress


def test_a_line_every_ten_seconds_with_rate_and_time_left() -> None:
    stream, now = io.StringIO(), 0.0
    shown = Progress("clips", 100, "clips", stream=stream, clock=lambda: now)
    for _ in range(20):
        now += 2
        shown.update(1, 100_000)
    assert stream.getvalue().splitlines() == [
        "clips: 5 of 100 clips, 0.5 clips/s, 0.5 MB, 0.1 MB/s, 3:10 left",
        "clips: 10 of 100 clips, 0.5 clips/s, 1.0 MB, 0.1 MB/s, 3:00 left",
        "clips: 15 of 100 clips, 0.5 clips/s, 1.5 MB, 0.1 MB/s, 2:50 left",
        "clips: 20 of 100 clips, 0.5 clips/s, 2.0 MB, 0.1 MB/s, 2:40 left",
    ]


def test_bytes_are_told_in_megabytes() -> None:
    stream, clock = io.StringIO(), iter([0.0, 10.0, 10.0, 10.0])
    Progress("archive", 4e6, "B", stream=stream, clock=lambda: next(clock)).update(1e6)
    assert stream.getvalue() == "archive: 1.0 of 4.0 MB, 0.1 MB/s, 0:30 left\n"


def test_what_is_done_at_once_is_not_spoken_of() -> None:
    stream = io.StringIO()
    shown = Progress("clips", 2, "clips", stream=stream)
    shown.update(1, 10)
    shown.reach(2)
    shown.close()
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    shown = Progress("clips", 2, "clips", stream=stream)
    assert shown._bar is not None
    shown.update(1, 1_500_000)
    shown.reach(2)
    assert shown._bar.n == 2
    assert str(shown._bar.postfix).startswith("1.5 MB")
    shown.close()


def test_it_is_closed_whatever_happens() -> None:
    with progress("clips", 1, "clips") as shown:
        shown.update(1)
