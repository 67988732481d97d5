"""Down the ranking until the goal is reached, and into shards: candidates, their examination, their shards."""

from __future__ import annotations

import io
import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clips.examine import Check, Examiner, File, Verdict
from pipeline.clips.plan import Candidate, Candidates, Goal, Seconds
from pipeline.clips.rejected import Counts, Rejection
from pipeline.clips.writer import ClipShardWriter, ClipsSeal
from pipeline.core import columns, schema
from pipeline.core.columns import Column
from pipeline.core.errors import Rejected, SampleError, SnapshotError
from pipeline.core.schema import Reason
from pipeline.engines.local import _ThisProcess as Here
from pipeline.shards import sealed
from pipeline.snapshot.archive import Member, Snapshot
from pipeline.snapshot.clips import PLACE
from tests.support import seals
from tests.support.miniatures.making import encoded
from tests.support.tarballs import contents

CHECK = Check((0.5, 20.0))
SOURCE = {"directory_sha256": "of the archive"}
CLIPS = pa.schema([("clip_id", pa.string()), *PLACE])
BIRD = Column("bird", roles=("label",), description="who sings")


def audio(kind: str, seconds: float, channels: int = 1) -> bytes:
    samples = np.random.default_rng(round(seconds * 1000)).normal(0, 0.1, (round(seconds * 16000), channels))
    return encoded(samples, 16_000, kind)


GOOD = [audio(kind, 0.8 + number / 10) for number, kind in enumerate(["MP3", "WAV", "FLAC", "OGG", "AIFF"])]
BAD = {
    Reason.TOO_SHORT: audio("WAV", 0.2),
    Reason.TRUNCATED: GOOD[0][:-50],
    Reason.NOT_AUDIO: b"<html>",
    Reason.EMPTY: b"",
}


class Archive(Snapshot):
    """Clips by their ids, a table of them, and a snapshot that lists which were fetched."""

    def __init__(self, clips: list[bytes | None], *, checksums: bool = True, bird: Column = BIRD) -> None:
        self.checksums = checksums
        self.bird = bird
        self.clips = {f"birds/{number:06}": data for number, data in enumerate(clips)}
        self.fetched: list[str] = []
        self.damaged: set[str] = set()

    def candidates(self, exclude: tuple[str, ...] = ()) -> Candidates:
        """Return the ranking joined with the table of clips, which has another order, and more clips."""
        rows = [{"rank": rank, "clip_id": clip_id, "bird": "wren"} for rank, clip_id in enumerate(self.clips)]
        places: list[dict[str, Any]] = [{"clip_id": "of another table"}]
        for clip_id, data in reversed(self.clips.items()):
            place: dict[str, Any] = {"clip_id": clip_id}
            if data is not None:
                place |= dict.fromkeys(PLACE.names[:-1], 0) | {"path": f"all/{clip_id}.Audio", "size_bytes": len(data)}
                place["crc32"] = zlib.crc32(data) if self.checksums else None
                place["seconds"] = soundfile.info(io.BytesIO(data)).duration if data in GOOD else None
            places.append(place)
        ranking = pa.Table.from_pylist(rows, schema=schema.ranking_schema([self.bird.field]))
        clips = pa.Table.from_pylist(places, schema=CLIPS)
        return Candidates(ranking, clips, exclude)

    def read(self, member: Member) -> bytes:
        clip_id = member.name.removeprefix("all/").removesuffix(".Audio")
        self.fetched.append(clip_id)
        if clip_id in self.damaged:
            raise Rejected(Reason.CHECKSUM, clip_id)
        data = self.clips[clip_id]
        assert data is not None
        return data


def examine(
    archive: Archive, goal: Goal, most: int = 9, exclude: tuple[str, ...] = (), recall: Any = lambda _: None
) -> list[Verdict]:
    examiner = Examiner(CHECK, recall, lambda: archive, Here(), lambda *_: None)
    return list(examiner.run(archive.candidates(exclude).since(0), goal, most))


def ids(*ranks: int) -> list[str]:
    return [f"birds/{rank:06}" for rank in ranks]


def good_ranks(verdicts: list[Verdict]) -> list[int]:
    return [verdict.candidate.rank for verdict in verdicts if verdict.rejected is None]


# Candidates


def test_candidates_have_the_member_of_each_place_of_the_ranking() -> None:
    archive = Archive([GOOD[0], None, *GOOD[1:]])
    candidates = archive.candidates(exclude=("birds/000003",))
    rows = candidates.between(0, len(candidates))
    assert [row.rank for row in rows] == list(range(6))
    names = [f"all/{clip_id}.Audio" if data is not None else None for clip_id, data in archive.clips.items()]
    assert [row.member.name if row.member else None for row in rows] == names
    assert [row.file_name for row in rows[:2]] == ["birds/000000.Audio", "birds/000001"]
    assert [row.excluded for row in rows] == [False, False, False, True, False, False]
    assert [row.rank for row in candidates.since(4)] == [4, 5]
    assert [row.rank for row in candidates.between(2, 4)] == [2, 3]


def test_candidates_of_another_table_of_clips_are_an_error() -> None:
    ranking = pa.Table.from_pylist([{"rank": 0, "clip_id": "birds/7"}], schema=schema.ranking_schema([]))
    with pytest.raises(SnapshotError, match="dvc repro stratify"):
        Candidates(ranking, CLIPS.empty_table(), ())


@pytest.mark.parametrize(
    ("name", "seconds", "guess"),
    [("a.mp3", None, 11.025), ("a.WAV", None, 1), ("a.flac", None, 2), ("a", None, 1), ("a.wav", 4.5, 4.5)],
)
def test_candidates_last_as_long_as_the_tables_or_their_size_say(
    name: str, seconds: float | None, guess: float
) -> None:
    member = Member(name, 0, 0, 0, 0, 88_200, 0)
    assert Candidate({}, member, excluded=False, seconds=seconds).guess_nanoseconds() == guess * 1e9


def test_candidates_differ_in_their_facts_where_a_stored_row_would() -> None:
    one, again, other, missing = (
        Archive([data]).candidates().between(0, 1)[0].fingerprint_facts() for data in (GOOD[0], GOOD[0], GOOD[1], None)
    )
    excluded = Archive([GOOD[0]]).candidates(("birds/000000",)).between(0, 1)[0].fingerprint_facts()
    assert one == again
    assert one not in (other, missing, excluded)


# Checks


@pytest.mark.parametrize("reason", list(BAD))
def test_check_rejects_a_bad_clip_with_its_reason(reason: Reason) -> None:
    (verdict,) = examine(Archive([BAD[reason]]), Goal(1, None))
    assert verdict.rejected is not None
    assert verdict.rejected.reason == reason
    assert verdict.data == b""


def test_check_measures_the_decoded_duration() -> None:
    (verdict,) = examine(Archive([GOOD[2]]), Goal(1, None))
    samples = len(soundfile.read(io.BytesIO(GOOD[2]))[0])
    assert verdict.nanoseconds == samples * 1_000_000_000 // 16000
    exact = Check((0.9, 0.9))
    assert exact.judge(verdict.candidate, exact.examine(GOOD[1])).rejected is None  # the bounds are allowed


# Examiner


def test_examiner_fetches_neither_what_is_known_nor_what_the_index_rules_out() -> None:
    archive = Archive([None, b"", GOOD[0], *GOOD])

    def recall(candidate: Candidate) -> File | None:
        return None if candidate.rank % 2 else CHECK.examine(GOOD[0])

    verdicts = examine(archive, Goal(9, None), exclude=("birds/000002",), recall=recall)
    reasons = [verdict.rejected.reason for verdict in verdicts if verdict.rejected]
    assert reasons == [Reason.MISSING, Reason.EMPTY, Reason.EXCLUDED]
    assert good_ranks(verdicts) == [3, 4, 5, 6, 7]
    assert archive.fetched == ids(3, 5, 7)


def test_examiner_raises_an_error_other_than_a_rejection(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Archive, member: Member) -> bytes:
        raise OSError(f"no line to {member.name}")

    monkeypatch.setattr(Archive, "read", broken)
    with ThreadPoolExecutor(2) as pool:
        examiner = Examiner(CHECK, lambda _: None, lambda: Archive([]), pool, lambda *_: None)
        with pytest.raises(OSError, match="no line to"):
            list(examiner.run(Archive([*GOOD]).candidates().since(0), Goal(2, None), 9))


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_examiner_takes_the_first_good_clips_and_fetches_none_in_vain(
    goods: list[bool], wanted: int, most: int, threads: bool
) -> None:
    archive = Archive([GOOD[number % 5] if good else BAD[Reason.NOT_AUDIO] for number, good in enumerate(goods)])
    with ThreadPoolExecutor(4) if threads else Here() as pool:
        examiner = Examiner(CHECK, lambda _: None, lambda: archive, pool, lambda *_: None)
        verdicts = list(examiner.run(archive.candidates().since(0), Goal(wanted, None), most))
    expected = [rank for rank, good in enumerate(goods) if good][: min(wanted, most)]
    assert good_ranks(verdicts) == expected
    assert [verdict.candidate.rank for verdict in verdicts] == list(range(len(verdicts)))
    assert len(archive.fetched) == len(verdicts)
    if len(expected) == min(wanted, most):
        assert verdicts[-1].candidate.rank == expected[-1]
    else:
        assert len(verdicts) == len(goods)


@given(st.lists(st.integers(0, 5), max_size=30), st.floats(0.1, 30))
def test_examiner_reaches_hours_with_the_fewest_clips_and_fetches_none_in_vain(
    numbers: list[int], seconds: float
) -> None:
    clips = [[*GOOD, BAD[Reason.NOT_AUDIO]][number] for number in numbers]
    archive = Archive([*clips])
    verdicts = examine(archive, Goal(None, round(seconds * 1e9)), 1000)
    durations = [verdict.nanoseconds for verdict in verdicts]
    assert sum(durations[:-1]) < round(seconds * 1e9)
    assert sum(durations) >= round(seconds * 1e9) or len(verdicts) == len(clips)
    assert len(archive.fetched) == len(verdicts)


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
    seconds: Seconds = (0.5, None),
    local: bool = False,
    nanoseconds: int | None = None,
    exclude: tuple[str, ...] = (),
    threads: int = 0,
    source: dict[str, Any] = SOURCE,
) -> Counts:
    """Do what `subsample` does; the goal is `nanoseconds` where they are given."""
    declared = sealed.fingerprint([asdict(archive.bird)])
    seal = ClipsSeal(**asdict(seals.seal()), revision=Check.REVISION, source=source, columns=declared, seconds=seconds)
    candidates, check = archive.candidates(exclude), Check(seconds)
    shards = ClipShardWriter(candidates, check, shard_clips, seal, archive if local else None)
    counts, goal = Counts(max_rejected), Goal(None if nanoseconds else clips, nanoseconds)
    archive.fetched.clear()
    list(shards.fill(goal, counts))
    previous = shards.previous
    missing = [member.name for member in previous.missing(candidates.since(shards.rank), goal)]
    assert len(missing) == len(set(missing))
    with ThreadPoolExecutor(threads) if threads else Here() as pool:
        list(shards.fill(goal, counts, Examiner(check, previous.recall, lambda: archive, pool, lambda *_: None)))
    shards.publish()
    return counts


def ranks(folder: Path) -> list[list[int]]:
    return [pq.read_table(path)["rank"].to_pylist() for path in sorted(folder.iterdir())]


MIXED = [GOOD[0], BAD[Reason.EMPTY], GOOD[1], GOOD[2], None, BAD[Reason.TRUNCATED], GOOD[3], GOOD[4], GOOD[0], GOOD[1]]


def test_shards_are_full_except_the_last_and_hold_the_files_untouched(folder: Path) -> None:
    counts = fill(Archive([*MIXED]), 7, 3)
    assert ranks(folder) == [[0, 2, 3], [6, 7, 8], [9]]
    assert counts.accepted == [0, 2, 3, 6, 7, 8, 9]
    rejected = [(rank, reason) for rank, _, reason, _ in counts.rejected]
    assert rejected == [(1, "empty"), (4, "missing"), (5, "truncated")]
    assert counts.reasons() == "empty 1, missing 1, truncated 1"
    tables = [pq.read_table(path) for path in sorted(folder.iterdir())]
    stored = [file for table in tables for file in table["audio"].to_pylist()]
    assert stored == [{"bytes": MIXED[rank], "path": f"birds/{rank:06}.Audio"} for rank in (0, 2, 3, 6, 7, 8, 9)]
    assert all(columns.declared(table.schema) == (BIRD,) for table in tables)


def test_shards_that_are_full_stay_the_same_files_when_the_sample_grows(folder: Path) -> None:
    fill(Archive([*MIXED]), 4, 3)
    first = (folder / "part-00000.parquet").stat().st_ino
    archive = Archive([*MIXED])
    fill(archive, 7, 3)
    assert (folder / "part-00000.parquet").stat().st_ino == first
    assert archive.fetched == ids(7, 8, 9)


@pytest.mark.parametrize(("clips", "nanoseconds"), [(7, None), (99, None), (0, 6_000_000_000)])
def test_shards_that_are_right_stay_the_same_files(folder: Path, clips: int, nanoseconds: int | None) -> None:
    """The last one ends at the goal, of clips or of hours, or at the end of the ranking."""
    fill(Archive([*MIXED]), clips, 4, nanoseconds=nanoseconds)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert len(before) == 2
    fill(Archive([*MIXED]), clips, 4, nanoseconds=nanoseconds)
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before


def test_clips_are_judged_anew_by_other_durations_without_being_fetched(folder: Path) -> None:
    archive = Archive([*MIXED])
    fill(archive, 7, 3)
    assert fill(archive, 5, 3, seconds=(0.85, 20)).accepted == [2, 3, 6, 7, 9]
    assert not set(archive.fetched) & set(ids(0, 2, 3, 6, 7, 8, 9))
    assert ranks(folder) == [[2, 3, 6], [7, 9]]
    assert fill(archive, 7, 3).accepted == [0, 2, 3, 6, 7, 8, 9]
    assert ranks(folder) == [[0, 2, 3], [6, 7, 8], [9]]


def test_clips_of_columns_that_are_declared_otherwise_are_written_again_without_being_fetched(folder: Path) -> None:
    archive = Archive([*MIXED], bird=replace(BIRD, description="which bird sings"))
    fill(archive, 7, 3)
    expected = contents(folder)
    fill(Archive([*MIXED]), 7, 3)
    assert contents(folder) != expected
    fill(archive, 7, 3)
    assert contents(folder) == expected
    assert archive.fetched == []


@pytest.mark.parametrize(("before", "now", "checksums"), [(0, 4, True), (0, 4, False), (4, 0, False)])
def test_clips_that_the_archive_has_anew_are_fetched_anew(
    folder: Path, before: int, now: int, *, checksums: bool
) -> None:
    """By their length alone where the index has no checksums: a file may have become longer, or shorter."""
    fill(Archive([GOOD[before], *GOOD[1:]], checksums=checksums), 5, 3)
    archive = Archive([GOOD[now], *GOOD[1:], GOOD[before]], checksums=checksums)
    fill(archive, 6, 3)
    assert archive.fetched == ids(0, 5)
    assert pq.read_table(folder / "part-00000.parquet")["audio"][0].as_py()["bytes"] == GOOD[now]


def test_clips_of_another_snapshot_are_not_taken_for_those_of_this_one(folder: Path) -> None:
    fill(Archive([*GOOD], checksums=False), 5, 3)
    archive = Archive([*GOOD], checksums=False)
    fill(archive, 5, 3, source={"directory_sha256": "of another archive"})
    assert archive.fetched == ids(0, 1, 2, 3, 4)
    assert folder.exists()


def test_clips_of_a_killed_run_may_be_replaced_before_all_of_them_are_copied(folder: Path) -> None:
    """A run was killed, and the next one makes smaller shards, in the places of those that it takes clips from."""
    fill(Archive([*MIXED]), 7, 1)
    expected = contents(folder)
    shutil.rmtree(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.clips.writer._ROW_GROUP_BYTES", 1)
        patch.setattr(ClipShardWriter, "publish", lambda _: None)
        fill(Archive([*MIXED]), 7, 4)
    waiting = folder.with_name(f".{folder.name}") / "part-00000.parquet"
    assert pq.read_metadata(waiting).num_row_groups == 4
    fill(Archive([*MIXED]), 7, 1)
    assert contents(folder) == expected


def test_clips_of_other_rules_are_judged_again_with_the_snapshot_open(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(Archive([*GOOD]), 4, 9)
    judge = Check.judge

    def stricter(self: Check, candidate: Candidate, file: File) -> Verdict:
        return judge(self, candidate, file if candidate.rank != 1 else self.examine(b""))

    monkeypatch.setattr(Check, "REVISION", Check.REVISION + 1)
    monkeypatch.setattr(Check, "judge", stricter)
    archive = Archive([*GOOD])
    assert fill(archive, 4, 9).accepted == [0, 2, 3, 4]
    assert archive.fetched == ids(4)
    assert folder.exists()


def test_counts_of_too_many_rejected_are_an_error_and_change_nothing(folder: Path) -> None:
    fill(Archive([*GOOD]), 5, 3)
    before = contents(folder)
    with pytest.raises(SampleError, match=r"at least 2 of 9 clips are rejected.*max_rejected = 0\.2") as caught:
        fill(Archive([*MIXED]), 7, 3, max_rejected=0.2)
    assert "birds/000004 at rank 4: missing" in str(caught.value)
    assert contents(folder) == before


def test_counts_of_rejected_are_out_of_no_more_clips_than_are_eligible(folder: Path) -> None:
    with pytest.raises(SampleError, match="at least 1 of 3 clips is rejected"):
        fill(Archive([GOOD[0], BAD[Reason.EMPTY], GOOD[1]]), 3, 3, max_rejected=0.2)
    assert not folder.exists()


def test_counts_of_rejected_leave_out_the_excluded() -> None:
    counts = Counts(0.0, accepted=[0], rejected=[Rejection(1, "birds/000001", "excluded", "")])
    counts.verify(1)
    counts.rejected.append(Rejection(2, "birds/000002", "empty", ""))
    with pytest.raises(SampleError, match="1 of 2"):
        counts.verify(1)


@pytest.mark.parametrize("shard_clips", [2, 3, 9])
def test_clips_that_were_damaged_on_this_disk_are_drawn_once_they_are_whole(folder: Path, shard_clips: int) -> None:
    whole = Archive([*GOOD])
    fill(whole, 4, shard_clips, local=True)
    expected = contents(folder)
    shutil.rmtree(folder)
    damaged = Archive([*GOOD])
    damaged.damaged = {"birds/000001"}
    for _ in range(2):
        assert [each.rank for each in fill(damaged, 4, shard_clips, local=True).rejected] == [1]
        assert damaged.fetched.count("birds/000001") == 1
    assert damaged.fetched == ["birds/000001"]
    assert fill(whole, 4, shard_clips, local=True).rejected == []
    assert contents(folder) == expected


def test_clips_that_were_damaged_elsewhere_are_not_asked_for_again(folder: Path) -> None:
    damaged = Archive([*GOOD])
    damaged.damaged = {"birds/000001"}
    for fetched in (ids(0, 1, 2, 3, 4), []):
        fill(damaged, 4, 9)
        assert damaged.fetched == fetched
    assert folder.exists()


def test_clips_that_are_left_out_of_a_folder_are_not_read(folder: Path) -> None:
    """A folder has no checksums, so that what was rejected is read again; except to leave it out."""
    archive = Archive([*GOOD], checksums=False)
    for _ in range(2):
        counts = fill(archive, 4, 9, local=True, exclude=("birds/000001",))
        assert [each.reason for each in counts.rejected] == ["excluded"]
        assert "birds/000001" not in archive.fetched
    assert folder.exists()
