"""The demo snapshot in git: it is what its script and its README say, and the script makes the same bytes again."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf

from pipeline.core.schema import VOCABULARY, Reason
from tests.support.project import DEMO, REAL_CLIPS

VALID = ("valid-train", "valid-dev", "valid-test")


def load() -> ModuleType:
    """Import the script, which lies outside the package, from its path."""
    spec = importlib.util.spec_from_file_location("demo_make", DEMO.parent / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make = load()
ROWS = make.all_rows()
MEMBER = {row.clip_id: row.member for row in ROWS}
ELIGIBLE = [row for row in ROWS if row.table in VALID and row.age and row.gender]


@pytest.fixture(scope="module")
def archive() -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(DEMO) as opened:
        yield opened


def decode(mp3: bytes) -> tuple[npt.NDArray[np.float32], int]:
    waveform, rate = sf.read(io.BytesIO(mp3), dtype="float32")
    return waveform, rate


def clip_with(kind: str, places: dict[str, str]) -> str:
    """Return the member that has this fault or peculiarity."""
    (clip_id,) = [clip_id for clip_id, its in places.items() if its == kind]
    return str(MEMBER[clip_id])


# The archive


def test_it_is_small() -> None:
    assert DEMO.stat().st_size <= 5_000_000


def test_its_members_are_what_the_tables_name_but_for_the_missing_one(archive: zipfile.ZipFile) -> None:
    tables = [f"cv-{table}.csv" for table in (*VALID, "invalid")]
    named = [line.split(",")[0] for table in tables for line in archive.read(table).decode().splitlines()[1:]]
    doubled = {f"{name.split('/')[0]}/{name}" for name in named}
    missing = clip_with("missing", make.FAULTS)
    assert len(doubled) == len(named)
    assert archive.namelist() == sorted((doubled - {missing}) | {*tables, "README.txt", "LICENSE.txt"})


def test_its_members_are_stored_and_of_one_date(archive: zipfile.ZipFile) -> None:
    how = {(info.date_time, info.compress_type, info.create_system, info.extra) for info in archive.infolist()}
    assert how == {((2017, 11, 29, 0, 0, 0), zipfile.ZIP_STORED, 3, b"")}


def test_one_member_has_a_wrong_checksum(archive: zipfile.ZipFile) -> None:
    wrong = clip_with("checksum", make.FAULTS)
    with pytest.raises(zipfile.BadZipFile, match="CRC-32"):
        archive.read(wrong)
    for name in archive.namelist():
        if name != wrong:
            archive.read(name)


# The tables


@pytest.mark.parametrize("table", [*VALID, "invalid"])
def test_a_table_is_the_one_that_the_script_writes(table: str, archive: zipfile.ZipFile) -> None:
    assert archive.read(f"cv-{table}.csv") == make.table_of(row for row in ROWS if row.table == table)


@pytest.mark.parametrize("table", [*VALID, "invalid"])
def test_a_table_is_in_the_dialect_of_the_real_ones(table: str, archive: zipfile.ZipFile) -> None:
    text = archive.read(f"cv-{table}.csv").decode("ascii")
    header, *lines = text.removesuffix("\n").split("\n")
    assert header == "filename,text,up_votes,down_votes,age,gender,accent,duration"
    assert '"' not in text
    assert "\r" not in text
    for number, line in enumerate(lines):
        name, words, *votes, age, gender, accent, duration = line.split(",")
        assert name == f"cv-{table}/sample-{number:06}.mp3"
        assert re.fullmatch(r"[a-z']+( [a-z']+){2,}", words)
        assert all(vote.isdecimal() for vote in votes)
        assert (int(votes[0]) > int(votes[1])) == (table != "invalid")
        assert duration == ""
        for column, value in {"age": age, "gender": gender, "accent": accent}.items():
            assert value in VOCABULARY[column] | {""}


def test_the_real_table_is_in_the_same_dialect(archive: zipfile.ZipFile) -> None:
    if not REAL_CLIPS.exists():
        pytest.skip("no real clips to compare with")
    with zipfile.ZipFile(REAL_CLIPS) as real:
        tables = [each.read("cv-valid-test.csv").decode() for each in (real, archive)]
    assert len({table.split("\n")[0] for table in tables}) == 1


def test_206_good_clips_and_7_faults_are_eligible() -> None:
    assert len(ELIGIBLE) == 206 + 7
    assert set(make.FAULTS) | set(make.UNUSUAL) <= {row.clip_id for row in ELIGIBLE}
    assert not set(make.FAULTS) & set(make.UNUSUAL)


def test_most_rows_name_neither_age_nor_gender() -> None:
    valid = [row for row in ROWS if row.table in VALID]
    neither = sum(not row.age and not row.gender for row in valid)
    assert 0.5 < neither / len(valid) < 0.62
    assert any(bool(row.age) != bool(row.gender) for row in valid)


def test_the_tables_have_the_real_ones_proportions() -> None:
    clips = Counter(row.table for row in ROWS if row.table in VALID)
    assert clips["valid-train"] / clips.total() == pytest.approx(0.75, abs=0.01)
    assert clips["valid-dev"] == clips["valid-test"]
    genders = Counter(row.gender for row in ELIGIBLE)
    assert genders["male"] / genders["female"] == pytest.approx(3, abs=0.2)
    assert 0 < genders["other"] < 10


def test_there_are_rare_strata_and_common_voices_own_spellings() -> None:
    strata = Counter((row.gender, row.age) for row in ELIGIBLE)
    assert strata["other", "seventies"] == 1
    assert min(strata.values()) == 1
    assert strata["male", "fourties"] > 1
    assert any(row.accent == "southatlandtic" for row in ELIGIBLE)


@pytest.mark.parametrize("table", ["valid-dev", "valid-test"])
def test_sentences_leak_between_tables(table: str) -> None:
    train = {row.text for row in ROWS if row.table == "valid-train"}
    others = {row.text for row in ROWS if row.table == table}
    assert len(others & train) / len(others) > 0.8


def test_there_are_sentences_enough_to_split_by() -> None:
    assert 120 <= len(set(make.SENTENCES)) == len(make.SENTENCES) <= 180
    assert len({row.text for row in ELIGIBLE}) > 60


# The clips


def test_every_clip_without_fault_decodes_to_a_usual_length_and_level(archive: zipfile.ZipFile) -> None:
    for row in ROWS:
        if row.clip_id in make.FAULTS:
            continue
        waveform, rate = decode(archive.read(row.member))
        shortest, longest = (0.6, 6) if row in ELIGIBLE else (0.5, 20)
        assert shortest <= len(waveform) / rate <= longest, row
        assert -26 < 20 * np.log10(np.sqrt(np.mean(np.square(waveform)))) < -18, row
        assert np.abs(waveform).max() < 1, row


def test_every_usual_clip_is_made_like_the_real_ones(archive: zipfile.ZipFile) -> None:
    for row in ROWS:
        if row.clip_id not in make.FAULTS | make.UNUSUAL:
            mp3 = archive.read(row.member)
            assert mp3[:14] == b"ID3\x04\x00\x00\x00\x00\x00\x17TSSE"
            assert mp3[33:35] == b"\xff\xfb"
            is_like_a_real_clip(mp3)


def test_the_real_clips_are_made_like_that() -> None:
    if not REAL_CLIPS.exists():
        pytest.skip("no real clips to compare with")
    with zipfile.ZipFile(REAL_CLIPS) as real:
        for name in real.namelist():
            if name.endswith(".mp3"):
                is_like_a_real_clip(real.read(name))


def is_like_a_real_clip(mp3: bytes) -> None:
    """Assert a tag, then whole frames of 64 kbit/s at 48 kHz, each decoding to 1152 samples."""
    assert mp3.startswith(b"ID3\x04\x00\x00")
    frames = mp3[10 + sum(byte << shift for byte, shift in zip(mp3[6:10], (21, 14, 7, 0), strict=True)) :]
    assert len(frames) % 192 == 0
    assert {frames[at : at + 2] for at in range(0, len(frames), 192)} == {b"\xff\xfb"}
    assert {frames[at + 2] & 0b11111100 for at in range(0, len(frames), 192)} == {0b01010100}
    waveform, rate = decode(mp3)
    assert (waveform.shape, rate) == ((len(frames) // 192 * 1152,), 48000)


@pytest.mark.parametrize(
    ("kind", "rate", "channels"), [("stereo 44100", 44100, 2), ("mono 22050", 22050, 1), ("mono 16000", 16000, 1)]
)
def test_a_clip_of_another_rate(kind: str, rate: int, channels: int, archive: zipfile.ZipFile) -> None:
    mp3 = archive.read(clip_with(kind, make.UNUSUAL))
    waveform, its_rate = decode(mp3)
    frames = make.frames_of(mp3[33:])
    assert its_rate == rate
    assert waveform.ndim == channels
    assert len(waveform) == len(frames) * (1152 if rate > 24000 else 576)


def test_a_clip_with_a_large_tag(archive: zipfile.ZipFile) -> None:
    mp3 = archive.read(clip_with("large tag", make.UNUSUAL))
    tag = mp3.index(b"\xff\xfb\x54")
    assert b"\xff\xff" in mp3[:tag]
    assert 19_000 < tag < 21_000
    assert len(decode(mp3)[0]) == len(make.frames_of(mp3[tag:])) * 1152


def test_a_clip_with_an_info_frame(archive: zipfile.ZipFile) -> None:
    mp3 = archive.read(clip_with("info frame", make.UNUSUAL))
    assert b"Info" in mp3[33:80]
    assert 0 < len(decode(mp3)[0]) < (len(make.frames_of(mp3[33:])) - 1) * 1152


# The faults


def test_every_fault_has_a_reason_of_its_own() -> None:
    reasons = [Reason(fault) for fault in make.FAULTS.values()]
    assert len(set(reasons)) == len(reasons) == 7


def test_empty_and_not_mp3(archive: zipfile.ZipFile) -> None:
    assert archive.read(clip_with("empty", make.FAULTS)) == b""
    assert archive.read(clip_with("not_mp3", make.FAULTS)).startswith(b"<!DOCTYPE html>")


def test_truncated_is_long_enough_and_ends_inside_a_frame(archive: zipfile.ZipFile) -> None:
    mp3 = archive.read(clip_with("truncated", make.FAULTS))
    whole = (len(mp3) - 33) // 192 * 192
    assert len(make.frames_of(mp3[33 : 33 + whole])) * 1152 / 48000 > 0.5
    with pytest.raises(ValueError, match="cut"):
        make.frames_of(mp3[33:])


def test_lost_sync_has_whole_frames_around_a_hole(archive: zipfile.ZipFile) -> None:
    mp3 = archive.read(clip_with("lost_sync", make.FAULTS))
    headers = [mp3[at : at + 2] == b"\xff\xfb" for at in range(33, len(mp3), 192)]
    hole = [place for place, header in enumerate(headers) if not header]
    assert (len(mp3) - 33) % 192 == 0
    assert len(hole) >= 3
    assert hole == list(range(hole[0], hole[-1] + 1))
    assert hole[0] > 0
    assert hole[-1] < len(headers) - 1


def test_too_short_is_whole(archive: zipfile.ZipFile) -> None:
    mp3 = archive.read(clip_with("too_short", make.FAULTS))
    is_like_a_real_clip(mp3)
    assert len(decode(mp3)[0]) / 48000 == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("wrong", ["valid-train/sample-999999", "invalid/sample-000000", "unusual"])
def test_a_fault_has_its_place_among_the_eligible(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = next(iter(make.UNUSUAL)) if wrong == "unusual" else wrong
    monkeypatch.setitem(make.FAULTS, wrong, "empty")
    with pytest.raises(ValueError, match=wrong):
        make.snapshot()


# What is said of it


def test_the_readme_lists_the_faults_and_what_is_unusual() -> None:
    readme = (DEMO.parent / "README.md").read_text(encoding="utf-8")
    faults = re.findall(r"^\| `(cv-\S+\.mp3)` \| [^|]+ \| `(\w+)` \|$", readme, re.MULTILINE)
    unusual = re.findall(r"^\| `(cv-\S+\.mp3)` \| [^|]+ \|$", readme, re.MULTILINE)
    assert faults == [(MEMBER[clip_id], fault) for clip_id, fault in make.FAULTS.items()]
    assert unusual == [MEMBER[clip_id] for clip_id in make.UNUSUAL]


def test_the_script_puts_the_same_clips_together_to_the_same_bytes() -> None:
    wrong = clip_with("checksum", make.FAULTS)
    corrupted = DEMO.read_bytes()
    whole = make.corrupt(corrupted, wrong)  # what is flipped twice is as before
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert make.zip_of(members) == whole
    assert make.corrupt(whole, wrong) == corrupted


@pytest.mark.more
def test_the_script_makes_the_same_bytes_again(tmp_path: Path) -> None:
    try:
        here = make.instruments()
    except FileNotFoundError:
        pytest.skip("espeak-ng is not installed")
    if here != make.MADE_WITH:
        pytest.skip(f"made with {make.MADE_WITH}, here is {here}")
    again = tmp_path / "again.zip"
    subprocess.run([sys.executable, DEMO.parent / "make.py", "--to", again], stdout=subprocess.DEVNULL, check=True)
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (DEMO, again)]
    assert sha256[0] == sha256[1]
    assert list(tmp_path.iterdir()) == [again]
