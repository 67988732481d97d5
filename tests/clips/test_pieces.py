"""Clips that are pieces of recordings: fetched and checked once, held once in each shard, decoded where they lie."""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import decode
from pipeline.clips import examine
from pipeline.clips.plan import Candidates
from pipeline.clips.reader import read_originals
from pipeline.clips.writer import ClipsSeal
from pipeline.core import schema
from pipeline.core.columns import Column, fields
from pipeline.core.params import Excerpt
from pipeline.shards.derive import make_shard
from pipeline.shards.files import Files
from pipeline.shards.folder import existing_shards, shard_paths
from pipeline.shards.sealed import Seal, Shard
from pipeline.snapshot.clips import PLACE
from pipeline.waveforms import recordings
from pipeline.waveforms.shard import WaveformRecipe
from tests.clips.test_writer import MIXED, Archive, audio, fill
from tests.support.tarballs import contents

PIECE = tuple(Column(name, "number").field for name in schema.PIECE)

RECORDINGS = [audio("WAV", 4.0), audio("OGG", 3.5), audio("FLAC", 3.0, 2), audio("WAV", 4.0)[:-99], b""]
Row = tuple[int, float, float]  # which recording, start and end
ROWS: list[Row] = [
    (0, 0.0, 1.0),
    (1, 1.0, 2.5),
    (3, 0.0, 1.0),  # of a truncated recording
    (0, 0.5, 2.0),
    (1, 3.0, 3.6),  # ends 100 ms after its recording
    (3, 2.0, 3.0),
    (2, 2.0, 3.05),  # ends 50 ms after it
    (1, 0.0, 0.4),  # too short
    (0, 3.0, 4.0),
    (4, 0.0, 1.0),  # of an empty recording
    (2, 0.0, 1.0),
    (1, 1.5, 3.5),
]
GOOD = [0, 1, 3, 6, 8, 10, 11]
REASONS = {2: "truncated", 4: "truncated", 5: "truncated", 7: "too_short", 9: "empty"}


class Recordings(Archive):
    """Recordings, a ranking of their pieces, and which were fetched."""

    def __init__(self, rows: list[Row] = ROWS, recordings: list[bytes] = RECORDINGS) -> None:
        super().__init__([])
        self.recordings = {f"far/{number}.audio": data for number, data in enumerate(recordings)}
        self.clips |= self.recordings
        self.rows = rows

    def candidates(self, exclude: tuple[str, ...] = ()) -> Candidates:
        """Return the ranking joined with the table of clips."""
        ranking, clips = [], []
        for rank, (number, *piece) in enumerate(self.rows):
            clip_id = f"{number}@{piece[0] * 1000:.0f}-{piece[1] * 1000:.0f}"
            path = f"far/{number}.audio"
            data = self.recordings[path]
            place = dict.fromkeys(PLACE.names, 0) | {"path": path, "size_bytes": len(data), "crc32": zlib.crc32(data)}
            ranking.append({"rank": rank, "clip_id": clip_id, **dict(zip(schema.PIECE, piece, strict=True))})
            clips.append({"clip_id": clip_id, **place, "seconds": piece[1] - piece[0]})
        return Candidates(
            pa.Table.from_pylist(ranking, schema=schema.ranking_schema(PIECE)),
            pa.Table.from_pylist(clips, schema=pa.schema([("clip_id", pa.string()), *PLACE])),
            exclude,
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / schema.CLIPS


def files(path: Path) -> list[tuple[str, bytes | None]]:
    return [(file["path"], file["bytes"]) for file in pq.read_table(path)["audio"].to_pylist()]


@pytest.mark.parametrize("threads", [0, 3])
def test_pieces_share_one_fetch_and_one_check_of_their_recording(folder: Path, threads: int) -> None:
    archive = Recordings()
    counts = fill(archive, 7, 99, threads=threads)
    assert counts.accepted == GOOD
    assert {rejection.rank: rejection.reason for rejection in counts.rejected} == REASONS
    details = {rejection.rank: rejection.detail for rejection in counts.rejected}
    assert details[4] == "ends at 3.600 s of a recording of 3.500 s"
    assert sorted(archive.fetched) == [f"far/{number}.audio" for number in range(4)]
    stored = files(folder / "part-00000.parquet")
    first = {rank: RECORDINGS[ROWS[rank][0]] for rank in (0, 1, 6)}
    assert stored == [(f"far/{ROWS[rank][0]}.audio", first.get(rank)) for rank in GOOD]


def test_pieces_of_each_shard_have_their_recordings_in_it(folder: Path) -> None:
    archive = Recordings()
    fill(archive, 7, 3)
    for path in shard_paths(folder):
        paths = [path for path, _ in files(path)]
        held = [path for path, data in files(path) if data is not None]
        assert held == list(dict.fromkeys(paths))
    assert len(archive.fetched) == len(set(archive.fetched)), "a recording of an earlier shard was fetched again"


def test_piece_that_ends_a_little_late_is_as_long_as_its_recording_is(folder: Path) -> None:
    fill(Recordings([(2, 2.0, 3.05)]), 1, 9)
    (seconds,) = Shard(folder / "part-00000.parquet", ClipsSeal).seal.nanoseconds
    assert seconds == 1_000_000_000


def test_pieces_wait_for_no_more_bytes_than_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece behind its recording's end has the recording fetched again, rather than kept for those that may come."""
    monkeypatch.setattr(examine, "_MOST_BYTES_IN_FLIGHT", 1)
    archive = Recordings([(1, 3.0, 3.6), (0, 0.0, 1.0), (1, 1.0, 2.0), (1, 2.0, 3.0), (0, 1.0, 2.0)])
    assert fill(archive, 4, 9).accepted == [1, 2, 3, 4]
    assert archive.fetched == ["far/1.audio", "far/0.audio", "far/1.audio"]
    assert folder.exists()


def test_pieces_that_are_there_are_neither_fetched_again_nor_stored_otherwise(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(Recordings(), 7, 3)
    expected = contents(folder)
    monkeypatch.chdir(folder.parent)
    for clips in (1, 4, 7):
        archive = Recordings()
        there = {path for shard in existing_shards(schema.CLIPS) for path, _ in files(shard)}
        fill(archive, clips, 3)
        assert not there & set(archive.fetched)
    assert contents(schema.CLIPS) == expected


@pytest.mark.parametrize("new", [lambda: Archive([*MIXED]), pytest.param(Recordings, marks=pytest.mark.more)])
@given(
    before=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 5)), max_size=3),
    clips=st.integers(1, 7),
    shard_clips=st.integers(1, 5),
)
def test_clips_and_pieces_have_the_same_bytes_whatever_was_asked_for_before(
    tmp_path_factory: pytest.TempPathFactory,
    new: Callable[[], Archive],
    before: list[tuple[int, int]],
    clips: int,
    shard_clips: int,
) -> None:
    """Laws 1 and 6, and no file that is there is fetched."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("fresh"))
        expected = fill(new(), clips, shard_clips)
        bytes_expected = contents(schema.CLIPS)
        patch.chdir(tmp_path_factory.mktemp("used"))
        there: set[str] = set()
        for earlier in before:
            fill(new(), *earlier)
            there = {path.removesuffix(".Audio") for shard in shard_paths(schema.CLIPS) for path, _ in files(shard)}
        archive = new()
        counts = fill(archive, clips, shard_clips)
        assert contents(schema.CLIPS) == bytes_expected
        assert (counts.accepted, counts.rejected) == (expected.accepted, expected.rejected)
        assert not there & set(archive.fetched)
        assert len(archive.fetched) == len(set(archive.fetched))


@pytest.mark.parametrize("shard_clips", [3, 99])
def test_pieces_decode_to_what_lies_there_in_their_recordings(folder: Path, shard_clips: int) -> None:
    fill(Recordings(), 7, shard_clips)
    rows = []
    for number, path in enumerate(shard_paths(folder)):
        recipe = WaveformRecipe(16_000, "float32", tuple(fields(Shard(path, Seal).columns)))
        target = folder / f"waveforms-{number}.parquet"
        assert make_shard(recipe, path, target, target) == len(files(path))
        assert make_shard(recipe, path, target, target) == 0
        rows += pq.read_table(target).to_pylist()
    assert [row["rank"] for row in rows] == GOOD
    for row, (number, start, end) in zip(rows, (ROWS[rank] for rank in GOOD), strict=True):
        whole = soundfile.read(io.BytesIO(RECORDINGS[number]), dtype="float32", always_2d=True)[0].mean(axis=1)
        assert np.array_equal(row["waveform"], whole[round(start * 16_000) : round(end * 16_000)])
        assert row["source_sha256"] == hashlib.sha256(RECORDINGS[number]).hexdigest()
        assert (row["start_seconds"], row["end_seconds"]) == (start, end)


def test_pieces_of_an_mp3_are_cut_out_of_one_decode(folder: Path) -> None:
    mp3 = audio("MP3", 4.0)
    fill(Recordings([(0, 0.0, 1.0), (0, 1.5, 2.5)], [mp3]), 2, 9)
    path, target = folder / "part-00000.parquet", folder / "waveforms.parquet"
    assert recordings.Recordings(Files(Shard(path, Seal))).get("far/0.audio").sound.seekable == 64_000
    make_shard(WaveformRecipe(16_000, "float32", PIECE), path, target, target)
    whole = decode.load(mp3, 16_000).waveform
    for row, start in zip(pq.read_table(target).to_pylist(), (0, 24_000), strict=True):
        assert np.array_equal(row["waveform"], whole[start : start + 16_000])
        assert row["source_format"] == "MP3"


@pytest.mark.parametrize("at", ["start", "centre", "random"])
def test_excerpts_of_pieces_lie_within_them(folder: Path, at: Literal["start", "centre", "random"]) -> None:
    fill(Recordings(), 7, 99)
    path, target = folder / "part-00000.parquet", folder / "waveforms.parquet"
    recipe = WaveformRecipe(16_000, "float32", PIECE, Excerpt(1.25, at))
    make_shard(recipe, path, target, target)
    rows = pq.read_table(target).to_pylist()
    for row, (number, start, end) in zip(rows, (ROWS[rank] for rank in GOOD), strict=True):
        length = min(end, len(soundfile.read(io.BytesIO(RECORDINGS[number]))[0]) / 16_000) - start
        seconds = min(1.25, length)
        assert row["num_samples"] == round(seconds * 16_000)
        assert 0 <= row["start_seconds"] - start <= length - seconds
        if at != "random":
            assert row["start_seconds"] - start == pytest.approx((length - seconds) / 2 if at == "centre" else 0)
        assert row["end_seconds"] == end


def test_waveforms_of_pieces_are_made_again_where_the_recording_is_another(folder: Path) -> None:
    """Also those of rows in whose place the shard has no bytes."""
    rows: list[Row] = [(0, second / 10, second / 10 + 1) for second in range(20)]
    fill(Recordings(rows), 20, 99)
    path, target = folder / "part-00000.parquet", folder / "waveforms.parquet"
    recipe = WaveformRecipe(16_000, "float32", PIECE)
    assert make_shard(recipe, path, target, target) == 20
    path.unlink()
    fill(Recordings(rows, [audio("WAV", 4.5)]), 20, 99)
    assert make_shard(recipe, path, target, target) == 20


def test_originals_of_pieces_are_wav_files_of_the_piece_alone(folder: Path) -> None:
    fill(Recordings(), 7, 4)
    table = pa.concat_tables([pq.read_table(path, columns=["clip_id"]) for path in shard_paths(folder)])
    wanted = [
        (clip_id, hashlib.sha256(RECORDINGS[ROWS[rank][0]]).hexdigest())
        for rank, clip_id in zip(GOOD, table["clip_id"].to_pylist(), strict=True)
    ]
    cuts = read_originals(wanted, folder, cut=True)
    for rank, whole, cut in zip(GOOD, read_originals(wanted, folder), cuts, strict=True):
        number, start, end = ROWS[rank]
        assert whole == (RECORDINGS[number], ".audio")
        assert cut.extension == ".wav"
        samples, _ = soundfile.read(io.BytesIO(whole.data), dtype="float32", always_2d=True)
        found, rate = soundfile.read(io.BytesIO(cut.data), dtype="float32", always_2d=True)
        expected = samples[round(start * rate) : round(end * rate)]
        assert abs(found - expected).max() <= 0.5 / 32768
