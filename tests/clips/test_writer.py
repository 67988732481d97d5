"""Down the ranking until the goal is reached, and into shards: candidates, their examination, their shards."""

from __future__ import annotations

import io
import shutil
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clips.candidates import Candidate, Candidates, Goal
from pipeline.clips.check import Check, Verdict
from pipeline.clips.examine import Examiner
from pipeline.clips.rejected import Rejection
from pipeline.clips.writer import ClipShardWriter, ClipsSeal, Tally
from pipeline.core import schema
from pipeline.core.errors import Rejected, SampleError
from pipeline.core.schema import Reason
from pipeline.snapshot import formats
from pipeline.snapshot.archive import Member
from tests.support import seals

CHECK = Check((0.5, 20.0))
SOURCE = {"directory_sha256": "of the archive"}


def mp3(seconds: float) -> bytes:
    buffer = io.BytesIO()
    samples = np.random.default_rng(round(seconds * 1000)).normal(0, 0.1, round(seconds * 16000))
    soundfile.write(buffer, samples, 16000, format="MP3", subtype="MPEG_LAYER_III")
    return buffer.getvalue()


GOOD = [mp3(0.8 + number / 10) for number in range(5)]
BAD = {Reason.TOO_SHORT: mp3(0.2), Reason.TRUNCATED: GOOD[0][:-50], Reason.NOT_MP3: b"<html>", Reason.EMPTY: b""}


def member_name(clip_id: str) -> str:
    return f"cv-valid-test/cv-{clip_id}.mp3"


class Archive:
    """Clips by their ids, an index of them, and a list of those that were fetched."""

    def __init__(self, clips: list[bytes | None], *, checksums: bool = True) -> None:
        self.checksums = checksums
        self.clips = {f"valid-test/sample-{number:06}": data for number, data in enumerate(clips)}
        self.fetched: list[str] = []
        self.damaged: set[str] = set()

    def candidates(self, exclude: tuple[str, ...] = ()) -> Candidates:
        rows = []
        for rank, clip_id in enumerate(self.clips):
            row: dict[str, Any] = dict.fromkeys(schema.RANKING_SCHEMA.names, None)
            rows.append({**row, "rank": rank, "clip_id": clip_id, "stratum": "all"})
        members = []
        for clip_id, data in reversed(self.clips.items()):  # an archive has an order of its own
            if data is not None:
                facts = {
                    "name": member_name(clip_id),
                    "size_bytes": len(data),
                    "crc32": zlib.crc32(data) if self.checksums else None,
                }
                members.append({**dict.fromkeys(schema.MEMBERS.names, 0), **facts})
        index = formats.index_clips(pa.Table.from_pylist(members, schema=schema.MEMBERS))
        return Candidates(pa.Table.from_pylist(rows, schema=schema.RANKING_SCHEMA), index, exclude)

    def fetch(self, member: Member) -> bytes:
        clip_id = member.name.removeprefix("cv-valid-test/cv-").removesuffix(".mp3")
        self.fetched.append(clip_id)
        if clip_id in self.damaged:
            raise Rejected(Reason.CHECKSUM, clip_id)
        data = self.clips[clip_id]
        assert data is not None
        return data


class Here(ThreadPoolExecutor):
    """A pool that does at once, right here, what it is given."""

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Rejected as rejected:
            future.set_exception(rejected)
        return future


def examine(archive: Archive, goal: Goal, most: int, exclude: tuple[str, ...] = ()) -> list[Verdict]:
    examination = Examiner(CHECK, lambda _: None, archive.fetch, Here())
    return list(examination.run(archive.candidates(exclude).since(0), goal, most))


def good_ranks(verdicts: list[Verdict]) -> list[int]:
    return [verdict.candidate.rank for verdict in verdicts if verdict.rejected is None]


# Candidates


def test_each_place_of_the_ranking_finds_its_member() -> None:
    archive = Archive([GOOD[0], None, *GOOD[1:]])
    candidates = archive.candidates(exclude=("valid-test/sample-000003",))
    rows = candidates.between(0, len(candidates))
    assert [row.rank for row in rows] == list(range(6))
    names = [member_name(clip_id) if data is not None else None for clip_id, data in archive.clips.items()]
    assert [row.member.name if row.member else None for row in rows] == names
    assert [row.excluded for row in rows] == [False, False, False, True, False, False]
    assert [row.rank for row in candidates.since(4)] == [4, 5]
    assert [row.rank for row in candidates.between(2, 4)] == [2, 3]


def test_a_candidate_s_facts_are_all_that_its_row_depends_on() -> None:
    one = Archive([GOOD[0]]).candidates().between(0, 1)[0].facts()
    others = [
        Archive([GOOD[1]]).candidates().between(0, 1)[0].facts(),
        Archive([None]).candidates().between(0, 1)[0].facts(),
        Archive([GOOD[0]]).candidates(("valid-test/sample-000000",)).between(0, 1)[0].facts(),
    ]
    assert one not in others
    assert Archive([GOOD[0]]).candidates().between(0, 1)[0].facts() == one


# Checks


@pytest.mark.parametrize("reason", list(BAD))
def test_a_bad_clip_is_refused_with_its_reason(reason: Reason) -> None:
    (verdict,) = examine(Archive([BAD[reason]]), Goal(1, None), 9)
    assert verdict.rejected is not None
    assert verdict.rejected.reason == reason
    assert verdict.data == b""


def test_what_needs_no_fetching_is_not_fetched() -> None:
    archive = Archive([None, b"", GOOD[0], bytes(40_000_000)])
    verdicts = examine(archive, Goal(9, None), 9, exclude=("valid-test/sample-000002",))
    reasons = [verdict.rejected.reason for verdict in verdicts if verdict.rejected]
    assert reasons == [Reason.MISSING, Reason.EMPTY, Reason.EXCLUDED, Reason.TOO_LONG]
    assert archive.fetched == []


def test_a_duration_is_the_decoded_one() -> None:
    (verdict,) = examine(Archive([GOOD[2]]), Goal(1, None), 9)
    samples = len(soundfile.read(io.BytesIO(GOOD[2]))[0])
    assert verdict.nanoseconds == samples * 1_000_000_000 // 16000


def test_an_error_other_than_a_refusal_is_not_swallowed() -> None:
    def broken(member: Member) -> bytes:
        raise OSError(f"no line to {member.name}")

    with ThreadPoolExecutor(2) as pool, pytest.raises(OSError, match="no line to"):
        list(
            Examiner(CHECK, lambda _: None, broken, pool).run(Archive([*GOOD]).candidates().since(0), Goal(2, None), 9)
        )


# Examiner


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_the_first_good_ones_are_taken_and_nothing_is_fetched_in_vain(
    goods: list[bool], wanted: int, most: int, threads: bool
) -> None:
    archive = Archive([GOOD[number % 5] if good else BAD[Reason.NOT_MP3] for number, good in enumerate(goods)])
    with ThreadPoolExecutor(4) if threads else Here() as pool:
        examination = Examiner(CHECK, lambda _: None, archive.fetch, pool)
        verdicts = list(examination.run(archive.candidates().since(0), Goal(wanted, None), most))
    expected = [rank for rank, good in enumerate(goods) if good][: min(wanted, most)]
    assert good_ranks(verdicts) == expected
    assert [verdict.candidate.rank for verdict in verdicts] == list(range(len(verdicts)))
    assert len(archive.fetched) == len(verdicts)
    if len(expected) == min(wanted, most):
        assert verdicts[-1].candidate.rank == expected[-1]
    else:
        assert len(verdicts) == len(goods)


@given(st.lists(st.integers(0, 5), max_size=30), st.floats(0.1, 30))
def test_hours_are_reached_with_the_fewest_clips(numbers: list[int], seconds: float) -> None:
    clips = [[*GOOD, BAD[Reason.NOT_MP3]][number] for number in numbers]
    verdicts = examine(Archive([*clips]), Goal(None, round(seconds * 1e9)), 1000)
    durations = [verdict.nanoseconds for verdict in verdicts]
    assert sum(durations[:-1]) < round(seconds * 1e9)
    assert sum(durations) >= round(seconds * 1e9) or len(verdicts) == len(clips)


def test_what_is_in_flight_counts_towards_the_hours_so_that_nothing_is_fetched_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate = min(len(data) / (0.8 + number / 10) for number, data in enumerate(GOOD))
    monkeypatch.setattr("pipeline.clips.examine.BYTES_PER_SECOND", int(rate))  # no clip lasts longer than estimated
    archive = Archive([*GOOD] * 6)
    verdicts = examine(archive, Goal(None, 6_000_000_000), 1000)
    assert len(archive.fetched) == len(verdicts) == 7


def test_what_is_known_is_not_fetched() -> None:
    archive = Archive([*GOOD])

    def recall(candidate: Candidate) -> Verdict | None:
        return Verdict(candidate, GOOD[0], 1) if candidate.rank % 2 else None

    verdicts = list(Examiner(CHECK, recall, archive.fetch, Here()).run(archive.candidates().since(0), Goal(9, None), 9))
    assert good_ranks(verdicts) == [0, 1, 2, 3, 4]
    assert archive.fetched == [f"valid-test/sample-{number:06}" for number in (0, 2, 4)]


# Shards


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / schema.CLIPS


def fill(
    archive: Archive,
    clips: int,
    shard_clips: int,
    *,
    max_rejected: float = 1.0,
    seconds: tuple[float, float] = (0.5, 20),
    local: bool = False,
    nanoseconds: int | None = None,
    exclude: tuple[str, ...] = (),
) -> Tally:
    """Do what `subsample` does; the goal is `nanoseconds` where they are given."""
    seal = ClipsSeal(**asdict(seals.seal()), revision=Check.REVISION, source=SOURCE, seconds=seconds)
    shards = ClipShardWriter(archive.candidates(exclude), Check(seconds), shard_clips, seal, local=local)
    tally = Tally(max_rejected)
    archive.fetched.clear()
    list(shards.fill(Goal(None if nanoseconds else clips, nanoseconds), tally, archive.fetch, Here()))
    shards.publish()
    return tally


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def ranks(folder: Path) -> list[list[int]]:
    return [pq.read_table(path)["rank"].to_pylist() for path in sorted(folder.iterdir())]


MIXED = [GOOD[0], BAD[Reason.EMPTY], GOOD[1], GOOD[2], None, BAD[Reason.TRUNCATED], GOOD[3], GOOD[4], GOOD[0], GOOD[1]]


def test_shards_are_full_but_for_the_last_and_nothing_vanishes(folder: Path) -> None:
    tally = fill(Archive([*MIXED]), 7, 3)
    assert ranks(folder) == [[0, 2, 3], [6, 7, 8], [9]]
    assert tally.accepted == [0, 2, 3, 6, 7, 8, 9]
    assert [(rank, reason) for rank, _, reason, _ in tally.rejected] == [(1, "empty"), (4, "missing"), (5, "truncated")]
    assert tally.reasons() == "empty 1, missing 1, truncated 1"


def test_the_mp3s_are_untouched(folder: Path) -> None:
    fill(Archive([*MIXED]), 7, 3)
    stored = [data for path in sorted(folder.iterdir()) for data in pq.read_table(path)["mp3"].to_pylist()]
    assert stored == [MIXED[rank] for rank in (0, 2, 3, 6, 7, 8, 9)]


@pytest.mark.more
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 5)), max_size=3), st.integers(1, 7), st.integers(1, 5))
def test_whatever_was_asked_for_before_the_bytes_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, before: list[tuple[int, int]], clips: int, shard_clips: int
) -> None:
    """Laws 1 and 6, and what was fetched once is not fetched again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("fresh"))
        expected = fill(Archive([*MIXED]), clips, shard_clips)
        bytes_expected = contents(schema.CLIPS)
        patch.chdir(tmp_path_factory.mktemp("used"))
        for earlier in before:
            fill(Archive([*MIXED]), *earlier)
        archive = Archive([*MIXED])
        tally = fill(archive, clips, shard_clips)
        assert contents(schema.CLIPS) == bytes_expected
        assert (tally.accepted, tally.rejected) == (expected.accepted, expected.rejected)
        if before:
            assert "valid-test/sample-000000" not in archive.fetched


def test_a_full_shard_stays_the_same_file_when_the_sample_grows(folder: Path) -> None:
    fill(Archive([*MIXED]), 4, 3)
    first = (folder / "part-00000.parquet").stat().st_ino
    archive = Archive([*MIXED])
    fill(archive, 7, 3)
    assert (folder / "part-00000.parquet").stat().st_ino == first
    assert archive.fetched == [f"valid-test/sample-{rank:06}" for rank in (7, 8, 9)]


@pytest.mark.parametrize(("clips", "nanoseconds"), [(7, None), (99, None), (0, 6_000_000_000)])
def test_a_last_shard_that_is_right_stays_the_same_file(folder: Path, clips: int, nanoseconds: int | None) -> None:
    """It ends at the goal, of clips or of hours, or at the end of the ranking."""
    fill(Archive([*MIXED]), clips, 4, nanoseconds=nanoseconds)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert len(before) == 2
    fill(Archive([*MIXED]), clips, 4, nanoseconds=nanoseconds)
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before


def test_other_durations_are_judged_anew_without_fetching(folder: Path) -> None:
    archive = Archive([*MIXED])
    fill(archive, 7, 3)
    tally = fill(archive, 5, 3, seconds=(0.85, 20))
    assert tally.accepted == [2, 3, 6, 7, 9]
    assert not set(archive.fetched) & {f"valid-test/sample-{rank:06}" for rank in (0, 2, 3, 6, 7, 8, 9)}
    assert ranks(folder) == [[2, 3, 6], [7, 9]]


def test_what_was_refused_for_its_duration_is_judged_anew(folder: Path) -> None:
    fill(Archive([*MIXED]), 5, 3, seconds=(0.85, 20))
    assert fill(Archive([*MIXED]), 7, 3).accepted == [0, 2, 3, 6, 7, 8, 9]
    assert ranks(folder) == [[0, 2, 3], [6, 7, 8], [9]]


def test_a_clip_that_the_archive_has_anew_is_fetched_anew(folder: Path) -> None:
    fill(Archive([*GOOD]), 5, 3)
    archive = Archive([GOOD[4], *GOOD[1:]])
    fill(archive, 5, 3)
    assert archive.fetched == ["valid-test/sample-000000"]
    assert pq.read_table(folder / "part-00000.parquet")["mp3"][0].as_py() == GOOD[4]


def test_what_waits_may_be_replaced_before_all_of_it_is_recalled(folder: Path) -> None:
    """A run was killed, and the next one makes smaller shards, in the places of those that it takes clips from."""
    fill(Archive([*MIXED]), 7, 1)
    expected = contents(folder)
    shutil.rmtree(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.clips.writer._ROW_GROUP_CLIPS", 1)
        patch.setattr(ClipShardWriter, "publish", lambda _: None)
        fill(Archive([*MIXED]), 7, 4)
    fill(Archive([*MIXED]), 7, 1)
    assert contents(folder) == expected


def test_too_many_bad_ones_are_an_error_and_change_nothing(folder: Path) -> None:
    fill(Archive([*GOOD]), 5, 3)
    before = contents(folder)
    with pytest.raises(SampleError, match=r"at least 2 of 9 clips are rejected.*max_rejected = 0\.2") as caught:
        fill(Archive([*MIXED]), 7, 3, max_rejected=0.2)
    assert "valid-test/sample-000004 at rank 4: missing" in str(caught.value)
    assert contents(folder) == before


def test_excluded_ones_do_not_count_as_bad() -> None:
    tally = Tally(0.0, accepted=[0], rejected=[Rejection(1, "valid-test/sample-000001", "excluded", "")])
    tally.verify(1)
    tally.rejected.append(Rejection(2, "valid-test/sample-000002", "empty", ""))
    with pytest.raises(SampleError, match="1 of 2"):
        tally.verify(1)


@pytest.mark.parametrize("shard_clips", [2, 3, 9])
def test_a_clip_that_was_damaged_on_this_disk_and_is_whole_again_is_drawn(folder: Path, shard_clips: int) -> None:
    whole = Archive([*GOOD])
    fill(whole, 4, shard_clips, local=True)
    expected = contents(folder)
    shutil.rmtree(folder)
    damaged = Archive([*GOOD])
    damaged.damaged = {"valid-test/sample-000001"}
    assert [each.rank for each in fill(damaged, 4, shard_clips, local=True).rejected] == [1]
    assert damaged.fetched.count("valid-test/sample-000001") == 1
    assert [each.rank for each in fill(damaged, 4, shard_clips, local=True).rejected] == [1]
    assert damaged.fetched == ["valid-test/sample-000001"]
    assert fill(whole, 4, shard_clips, local=True).rejected == []
    assert contents(folder) == expected


def test_what_is_left_out_of_a_folder_is_not_read(folder: Path) -> None:
    """A folder has no checksums, so that what was rejected is read again; but not to leave it out."""
    archive = Archive([*GOOD], checksums=False)
    for _ in range(2):
        tally = fill(archive, 4, 9, local=True, exclude=("valid-test/sample-000001",))
        assert [each.reason for each in tally.rejected] == ["excluded"]
        assert "valid-test/sample-000001" not in archive.fetched
    assert folder.exists()


def test_what_two_connections_agreed_on_is_not_asked_for_again(folder: Path) -> None:
    damaged = Archive([*GOOD])
    damaged.damaged = {"valid-test/sample-000001"}
    fill(damaged, 4, 9)
    assert folder.exists()
    fill(damaged, 4, 9)
    assert damaged.fetched == []
