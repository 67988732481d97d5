"""How far shards are is known while they are made: in this process, and in others."""

from __future__ import annotations

import io
import os
import select
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from pipeline.core.errors import ShardError
from pipeline.core.progress import Progress
from pipeline.engines.local import LocalProcesses
from pipeline.shards import tally
from pipeline.shards.derive import derive
from tests.shards.test_derive import Times, write_source

LIMIT_SECONDS = 30.0


class Bar(Progress):
    """A bar that says when it reaches a number."""

    def __init__(self) -> None:
        super().__init__("rows", None, "rows", stream=io.StringIO())
        self.reached: list[float] = []
        self._changed = threading.Condition()

    def reach(self, done: float) -> None:
        with self._changed:
            self.reached.append(done)
            self._changed.notify_all()

    def wait_for(self, done: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: done in self.reached, LIMIT_SECONDS)


@pytest.mark.more
def test_the_bar_moves_while_shards_are_made(tmp_path: Path) -> None:
    bar = Bar()
    one, other = tmp_path / "one", tmp_path / "other"
    with tally.watching([one, other], bar):
        with tally.counting(one) as count_one, tally.counting(other) as count_other:
            count_one(4)
            assert bar.wait_for(4)
            count_other(3)
            assert bar.wait_for(7)
        assert bar.wait_for(7)
    assert bar.reached[-1] == 7


def test_rows_of_a_shard_that_failed_are_not_done(tmp_path: Path) -> None:
    bar = Bar()

    def fail() -> None:
        with tally.counting(tmp_path / "one") as count:
            count(4)
            raise ShardError("in the middle")

    with pytest.raises(ShardError, match="in the middle"), tally.watching([tmp_path / "one"], bar):
        fail()
    assert bar.reached[-1] == 0
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Waits(Times):
    """Makes the last rows of a shard when its pipe has something to read."""

    pipes: str = ""
    ROW_GROUP_ROWS: ClassVar[int] = 4

    def rows(self, source: pa.Table) -> pa.Table:
        if source.num_rows < self.ROW_GROUP_ROWS:
            shard = source["value"][0].as_py() // 10
            pipe = os.open(f"{self.pipes}/{shard}", os.O_RDONLY | os.O_NONBLOCK)
            assert select.select([pipe], [], [], LIMIT_SECONDS)[0], "the bar did not move"
            os.close(pipe)
        return super().rows(source)


@pytest.mark.more
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("processes", [1, 2])
def test_the_rows_of_a_shard_are_counted_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    pipes = [tmp_path / str(number) for number in range(processes)]
    for pipe in pipes:
        os.mkfifo(pipe)
    reached: list[float] = []

    def reach(_: Progress, done: float) -> None:
        if done == 4 * processes and done not in reached:
            for pipe in pipes:
                pipe.write_bytes(b"go")
        reached.append(done)

    monkeypatch.setattr(Progress, "reach", reach)
    source = write_source(tmp_path / "source", [range(10 * number, 10 * number + 6) for number in range(processes)])
    derive(Waits(pipes=str(tmp_path)), source, tmp_path / "target", LocalProcesses(processes))
    assert reached[-1] == 6 * processes
    assert not list(tmp_path.glob(".*"))
