"""Digests that are begun early: they are those of the bytes that lie there, are used once, and hold nobody up."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

import pytest

from pipeline.__main__ import STAGES
from pipeline.core import schema
from pipeline.core.errors import ShardError
from pipeline.shards import digests
from pipeline.shards.folder import shard_name
from pipeline.shards.footer import Footer
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.verification import verifying
from tests.support.seals import write_numbers

LIMIT_SECONDS = 30.0
SHARDS = 3


@pytest.fixture
def shards(tmp_path: Path) -> list[Shard[Seal]]:
    return [Shard(write_numbers(tmp_path / shard_name(number), [number, 2, 3]), Seal) for number in range(SHARDS)]


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> SimpleQueue[threading.Thread]:
    """Return what gets the thread that hashes a file, each time."""
    threads: SimpleQueue[threading.Thread] = SimpleQueue()
    real = Footer.content_sha256

    def content_sha256(footer: Footer, file: BinaryIO) -> str:
        threads.put(threading.current_thread())
        return real(footer, file)

    monkeypatch.setattr(Footer, "content_sha256", content_sha256)
    return threads


def test_a_digest_that_was_begun_early_is_used_once(
    tmp_path: Path, shards: list[Shard[Seal]], hashing: SimpleQueue[threading.Thread]
) -> None:
    with digests.begun((str(tmp_path),)):
        threads = {hashing.get(timeout=LIMIT_SECONDS) for _ in shards}
        for shard in shards:
            shard.verify()
        assert hashing.empty()
        assert threading.main_thread() not in threads
        shards[0].verify()  # another one may be in its place by now
        assert hashing.get_nowait() == threading.main_thread()
    assert not threads & set(threading.enumerate())


def test_one_whose_turn_has_not_come_is_hashed_by_who_needs_it(
    tmp_path: Path, shards: list[Shard[Seal]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    hashed = []
    real = digests._content_sha256

    def content_sha256(path: Path) -> str:
        hashed.append(path)
        begun.set()
        assert go_on.wait(LIMIT_SECONDS)
        return real(path)

    monkeypatch.setattr(digests, "_content_sha256", content_sha256)
    with digests.begun((str(tmp_path),)):
        assert begun.wait(LIMIT_SECONDS)
        shards[2].verify()
        with verifying({}):  # the others are of no use, or it verifies them itself
            go_on.set()
        shards[0].verify()
    assert hashed == [shards[0].path]


def test_who_is_interrupted_waits_for_no_more_than_one(
    tmp_path: Path, shards: list[Shard[Seal]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    hashed = []

    def content_sha256(path: Path) -> str:
        hashed.append(path)
        begun.set()
        assert go_on.wait(LIMIT_SECONDS)
        return ""

    def shutdown(pool: ThreadPoolExecutor, **options: bool) -> None:
        real(pool, **{**options, "wait": False})
        go_on.set()
        real(pool)

    def interrupted() -> None:
        with digests.begun((str(tmp_path), str(tmp_path / "absent"))):
            assert begun.wait(LIMIT_SECONDS)
            raise KeyboardInterrupt

    real = ThreadPoolExecutor.shutdown
    monkeypatch.setattr(digests, "_content_sha256", content_sha256)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert hashed == [shards[0].path]
    shards[1].verify()


def test_a_damaged_one_is_found(tmp_path: Path, shards: list[Shard[Seal]]) -> None:
    path = Path(shards[0].path)
    data = bytearray(path.read_bytes())
    data[10] ^= 1
    path.write_bytes(data)
    with digests.begun((str(tmp_path),)):
        with pytest.raises(ShardError, match="not byte for byte"):
            shards[0].verify()
        shards[1].verify()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_what_is_no_shard_is_said_and_no_pipe_is_waited_for(tmp_path: Path, shards: list[Shard[Seal]]) -> None:
    by_path = {Path(shard.path): shard for shard in shards}
    pipe, truncated, whole = by_path
    pipe.unlink()
    os.mkfifo(pipe)
    truncated.write_bytes(b"PAR1")
    with digests.begun((str(tmp_path),)):
        for path in (pipe, truncated):
            with pytest.raises(ShardError, match="cannot be read"):
                by_path[path].verify()
        by_path[whole].verify()


def test_the_command_line_knows_the_folders_whose_shards_stages_keep() -> None:
    kept = {name: stage.shards for name, stage in STAGES.items() if stage.shards}
    folders = {"subsample": schema.CLIPS, "waveforms": schema.WAVEFORMS, "features": schema.FEATURES}
    assert kept == {name: (folder.as_posix(),) for name, folder in folders.items()}
