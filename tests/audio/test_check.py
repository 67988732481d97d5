"""A file is whole, or rejected with a reason; what is accepted decodes to its full length, as librosa loads it."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio import decode, ogg
from pipeline.audio.check import check
from pipeline.audio.sound import Sound
from pipeline.audio.walk import walk
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from tests.audio.faults import FORMATS, damaged, whole

REASONS = {Reason.EMPTY, Reason.NOT_AUDIO, Reason.UNSUPPORTED, Reason.TRUNCATED, Reason.DAMAGED, Reason.UNDECODABLE}


def refused(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        check(data)
    return caught.value


@pytest.mark.parametrize("name", FORMATS)
def test_check_of_a_whole_file_is_what_the_decoder_yields(name: str) -> None:
    data = whole(name)
    samples, rate = soundfile.read(io.BytesIO(data), always_2d=True)
    form, subtype, _, _ = FORMATS[name]
    assert check(data) == Sound(form.removesuffix("EX"), subtype, rate, samples.shape[1], len(samples))
    assert decode.load(data, 16_000).source_format == check(data).name


def outcome(data: bytes) -> Sound | Rejected:
    try:
        return check(data)
    except Rejected as error:
        return error


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.more)])
@pytest.mark.parametrize("name", FORMATS)
def test_check_of_a_damaged_file_rejects_it_or_it_decodes_to_its_full_length(name: str, count: int) -> None:
    before = check(whole(name))
    rejected = 0
    for damage, data in damaged(whole(name), count):
        sound = outcome(data)
        if isinstance(sound, Rejected):
            assert sound.reason in REASONS, damage
            assert "exist" not in sound.detail, damage
            rejected += 1
            continue
        decoded = decode.samples(walk(data))
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            expected = file.read(dtype="float32", always_2d=True)
        assert (len(decoded), decoded.shape[1], file.samplerate) == (sound.frames, sound.channels, sound.sample_rate)
        assert np.array_equal(decoded[: len(expected)], expected), damage
        assert len(expected) == len(decoded) or sound.format == "MP3", damage  # libsndfile ends early in some
        if (sound.name, sound.sample_rate, sound.channels) == (before.name, before.sample_rate, before.channels):
            assert sound.frames >= before.frames, damage  # type: ignore[operator]
    assert rejected > count / 3


WAV = whole("WAV 16")
BODY = WAV.index(b"data") + 8


def sized(riff: int, body: int, data: bytes = WAV) -> bytes:
    at = data.index(b"data") + 4
    data = data[:4] + struct.pack("<I", riff) + data[8:]
    return data[:at] + struct.pack("<I", body) + data[at + 4 :]


@pytest.mark.parametrize("riff", [0, 8, 36, 0xFFFFFFFF, 0x7FFFF024])
@pytest.mark.parametrize("body", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_wav_with_the_sizes_of_a_stream_goes_to_the_end_of_the_file(riff: int, body: int) -> None:
    assert check(sized(riff, body)) == check(WAV)
    np.testing.assert_array_equal(decode.load(sized(riff, body), 16_000).waveform, decode.load(WAV, 16_000).waveform)
    assert refused(sized(riff, body)[:-1]).reason is Reason.TRUNCATED  # within a block


@pytest.mark.parametrize(
    "data",
    [
        sized(len(WAV), len(WAV) - BODY),  # its header counted in
        WAV + b"\0",
        WAV + b"LIST" + struct.pack("<I", 4) + b"INFO",
        WAV + b"TAG" + bytes(125),
    ],
    ids=["size", "pad", "chunk", "ID3v1"],
)
def test_wav_with_more_behind_its_samples_is_whole(data: bytes) -> None:
    assert check(data) == check(WAV)


def test_wav_without_a_sample_is_empty() -> None:
    assert refused(sized(36, 0)[:BODY]).reason is Reason.EMPTY


def test_wav_of_floats_that_are_no_numbers_is_damaged() -> None:
    assert refused(whole("WAV float")[:-8] + b"\xff" * 8).reason is Reason.DAMAGED


OGG = whole("Vorbis")
PAGES = [ogg._page(OGG, 0)]
while PAGES[-1].end < len(OGG):
    PAGES.append(ogg._page(OGG, PAGES[-1].end))


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (OGG[: PAGES[-2].end], Reason.TRUNCATED, "not marked as the end"),
        (OGG[:-1], Reason.TRUNCATED, f"ends at byte {len(OGG)}"),
        (OGG[: PAGES[-3].end] + OGG[PAGES[-2].end :], Reason.DAMAGED, f"follows page {PAGES[-3].number}"),
        (OGG + OGG, Reason.UNSUPPORTED, "chained Ogg"),
        (OGG[: PAGES[0].end] * 2 + OGG[PAGES[0].end :], Reason.UNSUPPORTED, "multiplexed Ogg"),
        (OGG[:100] + b"\1" + OGG[101:], Reason.DAMAGED, "check sum"),
    ],
    ids=["no end", "cut", "a page gone", "chained", "multiplexed", "flipped"],
)
def test_ogg_pages_are_consecutive_and_of_one_stream(data: bytes, reason: Reason, detail: str) -> None:
    assert refused(data).reason is reason
    assert detail in refused(data).detail


def test_flac_with_another_md5_is_damaged_and_without_one_is_whole() -> None:
    flac = whole("FLAC")
    at = 8 + 18
    assert refused(flac[:at] + bytes([flac[at] ^ 1]) + flac[at + 1 :]).reason is Reason.DAMAGED
    assert check(flac[:at] + bytes(16) + flac[at + 16 :]) == check(flac)
    assert check(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + flac) == check(flac)


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", Reason.EMPTY, "no bytes"),
        (b" \r\n", Reason.NOT_AUDIO, "blank text"),
        (b"\xef\xbb\xbf<!DOCTYPE html>", Reason.NOT_AUDIO, "HTML"),
        (b'{"error": 404}', Reason.NOT_AUDIO, "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), Reason.NOT_AUDIO, "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(20), Reason.NOT_AUDIO, "JPEG"),
        (b"PK\3\4" + bytes(20), Reason.NOT_AUDIO, "zip"),
        (bytes(500), Reason.NOT_AUDIO, "00 00 00"),
        (b"\0\0\0\x20ftypM4A " + bytes(20), Reason.UNSUPPORTED, "MPEG-4"),
        (b"\xff\xf1\x50\x80" + bytes(20), Reason.UNSUPPORTED, "AAC"),
        (b"\xff\xfd\x94\xc4" + bytes(500), Reason.UNSUPPORTED, "layer II"),
        (b"\x1aE\xdf\xa3" + bytes(20), Reason.UNSUPPORTED, "WebM"),
        (bytes.fromhex("3026B2758E66CF11") + bytes(20), Reason.UNSUPPORTED, "WMA"),
        (b"#!AMR\n" + bytes(20), Reason.UNSUPPORTED, "AMR"),
        (b"ajkg\2" + bytes(20), Reason.UNSUPPORTED, "shorten"),
        (sized(len(WAV) - 8, len(WAV) - BODY).replace(b"\1\0\1\0", b"\x55\0\1\0", 1), Reason.UNSUPPORTED, "0x0055"),
        (b"RIFF\1", Reason.TRUNCATED, "within its header"),
    ],
)
def test_other_files_are_rejected_by_what_they_are(data: bytes, reason: Reason, detail: str) -> None:
    assert refused(data).reason is reason
    assert detail in refused(data).detail
    assert (reason is Reason.UNSUPPORTED) == ("ffmpeg" in refused(data).detail)


@given(st.sampled_from(sorted(FORMATS)), st.integers(4, 120), st.binary(max_size=200))
def test_any_bytes_are_a_sound_or_are_rejected(name: str, kept: int, rest: bytes) -> None:
    sound = outcome(whole(name)[:kept] + rest)
    assert sound.detail if isinstance(sound, Rejected) else sound.frames
