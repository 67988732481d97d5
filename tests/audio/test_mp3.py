"""What the frames say is what the decoder yields; what is damaged is refused, or left to the decoder to judge."""

from __future__ import annotations

import io
import random
import zipfile
from functools import cache

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.audio import mp3
from pipeline.audio.mp3 import Mp3, walk
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from tests.support.mp3_damage import damaged
from tests.support.project import REAL_CLIPS

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MODES = ("CONSTANT", "AVERAGE", "VARIABLE")
ID3V1 = b"TAG" + bytes(125)


@cache
def clip(rate: int = 48000, channels: int = 1, mode: str = "CONSTANT", level: float = 0.5, samples: int = 0) -> bytes:
    """Return an MP3 that soundfile wrote: an Info or Xing frame, then a second of noise that swells and fades."""
    count = samples or rate
    swell = np.sin(np.arange(count) / rate * 9)[:, np.newaxis]
    noise = np.random.default_rng(rate).standard_normal((count, channels)) * swell * 0.2
    file = io.BytesIO()
    soundfile.write(
        file, noise, rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=level, bitrate_mode=mode
    )
    return file.getvalue()


def without_intro(data: bytes) -> bytes:
    """Return the clip from its second frame on: nothing announces how long it is."""
    return data[mp3._first_header(data, 0, len(data)).num_bytes :]


def decoded(data: bytes) -> tuple[int, int, int]:
    """Return how many samples soundfile yields, their rate and channels."""
    waveform, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return len(waveform), rate, waveform.shape[1]


def agrees(said: Mp3, data: bytes) -> bool:
    """Tell whether the walk is in doubt or says what the decoder does."""
    return said.num_samples is None or (said.num_samples, said.sample_rate, said.channels) == decoded(data)


def outcome(data: bytes) -> Mp3 | Rejected:
    try:
        return walk(data)
    except Rejected as error:
        return error


def refused(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        walk(data)
    return caught.value


# Good clips


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_what_soundfile_writes_is_as_long_as_the_walk_says(rate: int, channels: int, mode: str) -> None:
    for level in (0.0, 0.5, 0.9):
        for samples in (1, 1153, rate // 2):
            data = clip(rate, channels, mode, level, samples)
            assert (walk(data).num_samples, rate, channels) == decoded(data)
            if b"Xing" in data[:44] or b"Info" in data[:44]:  # at a low bit rate there is no room for it
                assert walk(data).num_samples == samples


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rate", RATES)
def test_without_a_first_frame_that_announces_it_the_length_is_that_of_all_frames(rate: int, mode: str) -> None:
    for level in (0.1, 0.5, 0.9):
        data = without_intro(clip(rate, 1, mode, level))
        said = walk(data)
        assert agrees(said, data)
        if mode == "CONSTANT":
            frames = said.num_frames * (1152 if rate >= 32000 else 576)
            assert said.num_samples is not None
            assert frames * 0.99 < said.num_samples <= frames


def test_a_constant_bit_rate_has_a_length_whichever_frame_is_the_first() -> None:
    """Frames of 313 and 314 bytes: where the first one is padded, libsndfile expects fewer than there are."""
    data = without_intro(clip(44100, 1, "CONSTANT", 0.75))
    for _ in range(20):
        assert walk(data).num_samples == decoded(data)[0]
        data = without_intro(data)


def test_doubts_a_clip_whose_first_frame_is_large_because_soundfile_cuts_it_short() -> None:
    data = without_intro(clip(48000, mode="VARIABLE"))
    said = walk(data)
    assert said.num_samples is None
    assert decoded(data)[0] < said.num_frames * 1152


@pytest.mark.skipif(not REAL_CLIPS.exists(), reason="the real clips are not here")
def test_real_clips_are_1152_samples_for_each_frame() -> None:
    with zipfile.ZipFile(REAL_CLIPS) as archive:
        clips = [archive.read(name) for name in archive.namelist() if name.endswith(".mp3")]
    assert len(clips) == 30
    for data in clips:
        said = walk(data)
        assert said == Mp3(48000, 1, said.num_frames, said.num_frames * 1152)
        assert agrees(said, data)


@pytest.mark.parametrize(("delay", "padding"), [(0, 0), (576, 528), (576, 529), (576, 530), (0, 4095), (4095, 4095)])
def test_takes_the_delay_and_padding_away_as_the_decoder_does(delay: int, padding: int) -> None:
    data = clip(48000)
    at = data.index(b"LAME") + 21
    data = data[:at] + (delay << 12 | padding).to_bytes(3) + data[at + 3 :]
    said = walk(data)
    assert said.num_samples == said.num_frames * 1152 - delay - max(padding, 529)
    assert agrees(said, data)


def test_an_info_frame_without_lame_s_part_still_costs_the_decoder_s_delay() -> None:
    data = clip(16000)
    at = data.index(b"LAME")
    data = data[:at] + bytes(40) + data[at + 40 :]
    said = walk(data)
    assert said.num_samples == said.num_frames * 576 - 529
    assert agrees(said, data)


def test_an_info_frame_that_ends_within_lame_s_part_has_none() -> None:
    sound = without_intro(clip(24000))
    header = bytes([*sound[:2], 0x24, sound[3]])  # 16 kbit/s: a frame of 48 bytes
    frames = len(sound) // mp3._first_header(sound, 0, len(sound)).num_bytes
    info = header + bytes(9) + b"Info" + bytes([0, 0, 0, 1]) + frames.to_bytes(4)
    data = info + b"LAME".ljust(48 - len(info), b"x") + sound
    assert walk(data).num_samples == decoded(data)[0] == frames * 576 - 529


def test_doubts_what_is_shorter_than_the_delay_and_padding_that_it_announces() -> None:
    data = clip(48000, samples=1)
    at = data.index(b"LAME") + 21
    assert walk(data[:at] + b"\xff" * 3 + data[at + 3 :]).num_samples is None


def test_doubts_a_single_frame_because_libsndfile_does_not_open_it() -> None:
    data = without_intro(clip(48000))
    one = data[: mp3._first_header(data, 0, len(data)).num_bytes]
    assert walk(one) == Mp3(48000, 1, 1, None)


def test_a_first_frame_that_holds_audio_announces_nothing() -> None:
    data = clip(48000)
    sound = data[:10] + b"x" + data[11:]  # mpg123 wants zeros before the word Info
    assert walk(sound).num_frames == walk(data).num_frames + 1
    assert agrees(walk(sound), sound)


def test_an_id3v1_tag_is_no_part_of_the_length_that_libsndfile_expects() -> None:
    data = without_intro(clip(11025, level=0.9)) + ID3V1  # its first frame is padded, others are not
    said = walk(data)
    assert said.num_samples is not None
    assert said.num_samples < said.num_frames * 576
    assert agrees(said, data)


def id3v2(content: bytes, size: int | None = None, version: int = 4, flags: int = 0) -> bytes:
    number = len(content) if size is None else size
    digits = bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, flags]) + digits + content


def ape(content: bytes) -> bytes:
    def end(flags: int) -> bytes:
        numbers = (2000, len(content) + 32, 1, flags)
        return b"APETAGEX" + b"".join(n.to_bytes(4, "little") for n in numbers) + bytes(8)

    return end(0xA0000000) + content + end(0x80000000)


LYRICS = b"LYRICSBEGIN" + b"la " * 20 + b"000071LYRICS200"

TAGS = {
    "ID3v2": (id3v2(bytes(30)), b""),
    "a large ID3v2": (id3v2(b"\xff\xfb\x94\xc4" * 75000), b""),
    "an ID3v2 of nothing": (id3v2(b""), b""),
    "an ID3v2.9": (id3v2(bytes(30), version=9), b""),
    "an ID3v2 with a footer": (id3v2(bytes(30), flags=0x10) + b"3DI\4\0\x10\0\0\0\x1e", b""),
    "two ID3v2": (id3v2(bytes(30)) * 2, b""),
    "ID3v1": (b"", ID3V1),
    "both": (id3v2(bytes(30)), ID3V1),
    "APE": (b"", ape(bytes(3000))),
    "Lyrics3": (b"", LYRICS),
    "all": (id3v2(bytes(30)), ape(bytes(50)) + LYRICS + ID3V1),
    "ID3v2 at the end": (b"", id3v2(bytes(3000))),
    "zeros": (b"", bytes(700)),
    "many zeros": (b"", bytes(5000)),
}


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize("announced", [True, False])
def test_tags_are_no_damage(name: str, *, announced: bool) -> None:
    before, behind = TAGS[name]
    data = clip(22050) if announced else without_intro(clip(22050))
    said = walk(before + data + behind)
    assert said.num_frames == walk(data).num_frames
    assert agrees(said, before + data + behind)
    if name in ("ID3v2", "a large ID3v2", "ID3v1", "both"):
        assert said == walk(data)


def test_frames_that_describe_the_file_are_not_counted_as_audio() -> None:
    data = clip(48000)
    vbri = data[:4] + bytes(32) + b"VBRI" + bytes(10) + walk(data).num_frames.to_bytes(4) + data[54:]
    assert walk(vbri) == Mp3(48000, 1, walk(data).num_frames, None)


def test_frames_of_free_format_are_found_by_their_distance() -> None:
    data = bytearray(without_intro(clip(48000)))
    length = mp3._first_header(bytes(data), 0, len(data)).num_bytes
    for at in range(0, len(data), length):
        data[at + 2] &= 0x0F  # a bit rate of 0 in each header
    assert walk(bytes(data)) == Mp3(48000, 1, len(data) // length, None)
    assert refused(bytes(data[:length])).reason is Reason.LOST_SYNC


# Bad clips


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", Reason.EMPTY, "no bytes"),
        (b"<!DOCTYPE html><p>404</p>", Reason.NOT_MP3, "byte 0 of 25 begins 3C 21 44 4F"),
        (b"\xff\xfd\x94\xc4" + bytes(500), Reason.NOT_MP3, "layer III"),  # layer II
        (b"\xff\xfb\xf4\xc4" + bytes(500), Reason.NOT_MP3, "FF FB F4 C4"),  # no such bit rate
        (b"\xff\xfb\x9c\xc4" + bytes(500), Reason.NOT_MP3, "FF FB 9C C4"),  # no such sample rate
        (b"\xff\xeb\x94\xc4" + bytes(500), Reason.NOT_MP3, "FF EB 94 C4"),  # no such version
        (b"\xff", Reason.TRUNCATED, "header of its first frame"),
        (b"\xff\xfb\x94\xc4" + bytes(50), Reason.TRUNCATED, "frame 1, at byte 0, is 384 bytes long; 54 of them"),
        (id3v2(b"", size=9999) + bytes(50), Reason.NOT_MP3, "an ID3v2 tag that claims to be 10009 bytes long"),
        (id3v2(b"", size=2**28 - 1) + bytes(50), Reason.NOT_MP3, "the file has 60 bytes"),
    ],
)
def test_says_what_is_wrong_and_where(data: bytes, reason: Reason, detail: str) -> None:
    error = refused(data)
    assert error.reason is reason
    assert detail in error.detail


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("tag", [b"", ID3V1])
def test_a_cut_at_any_byte_within_a_frame_is_a_truncation(tag: bytes, *, announced: bool) -> None:
    data = clip(48000) if announced else without_intro(clip(48000))
    length = mp3._first_header(data, 0, len(data)).num_bytes  # of every frame: 48 kHz needs no padding
    for at in [1, 2, 3, 4, 5, *random.Random(1).sample(range(len(data)), 300), len(data) - 1]:
        if at % length:
            assert refused(data[:at] + tag).reason is Reason.TRUNCATED
        elif announced:
            assert refused(data[:at] + tag).reason is (Reason.TRUNCATED if at else Reason.NOT_MP3)
        elif at:  # nobody can see this cut
            assert agrees(walk(data[:at] + tag), data[:at] + tag)


@pytest.mark.parametrize(("difference", "reason"), [(1, Reason.TRUNCATED), (10**9, Reason.TRUNCATED)])
def test_fewer_frames_than_announced_are_a_truncation(difference: int, reason: Reason) -> None:
    assert refused(announcing(difference)).reason is reason


def test_more_frames_than_announced_are_another_stream() -> None:
    error = refused(announcing(-1))
    assert error.reason is Reason.LOST_SYNC
    assert "announces" in error.detail


def announcing(difference: int) -> bytes:
    data = clip(48000)
    at = data.index(b"Info") + 8
    return data[:at] + (walk(data).num_frames + difference).to_bytes(4) + data[at + 4 :]


def test_encoders_other_than_lame_may_count_the_frame_that_announces() -> None:
    data = announcing(1)
    at = data.index(b"LAME")
    assert walk(data[:at] + bytes(40) + data[at + 40 :]).num_samples is None


@pytest.mark.parametrize("filling", [b"\x00", b"\xff", b"\xff\xfb", b"garbage"])
def test_a_hole_that_covers_a_header_is_noticed(filling: bytes) -> None:
    data = without_intro(clip(44100))
    dice = random.Random(2)
    for _ in range(50):
        at, size = dice.randrange(5, len(data) - 4000), dice.randint(850, 3000)  # longer than any of its frames
        hole = (filling * size)[:size]
        assert refused(data[:at] + hole + data[at + len(hole) :]).reason in (Reason.LOST_SYNC, Reason.TRUNCATED)


@pytest.mark.parametrize("other", [clip(44100), clip(48000, 2), clip(24000)])
def test_frames_of_another_rate_version_or_number_of_channels_do_not_belong(other: bytes) -> None:
    assert refused(without_intro(clip(48000)) + other).reason is Reason.LOST_SYNC


def test_what_passes_of_300_damaged_clips_decodes_to_the_length_it_says() -> None:
    good = [clip(48000), clip(44100, 2, "VARIABLE"), clip(16000, 1, "AVERAGE"), clip(11025, 2)]
    good += [id3v2(bytes(151)) + without_intro(data) + tag for data in good for tag in (b"", ID3V1)]
    passed = 0
    for name, data in damaged(good, 300):
        said = outcome(data)
        if isinstance(said, Mp3):
            assert agrees(said, data), name
            passed += 1
        else:
            assert said.reason in (Reason.NOT_MP3, Reason.TRUNCATED, Reason.LOST_SYNC), name
    assert 30 < passed < 150


def test_a_clip_that_the_decoder_ends_early_is_not_as_long_as_it_declares() -> None:
    """libsndfile expects as many frames as fit if all are as long as the first: too few where others are smaller."""
    large = without_intro(clip(48000, level=0.0))
    small = without_intro(clip(48000, mode="VARIABLE", level=0.99))
    cut_short = 0
    for head in (3, 10, 40):
        length = mp3._first_header(large, 0, len(large)).num_bytes
        data = large[: head * length] + small * 2
        said, (samples, *_) = walk(data), decoded(data)
        assert said.num_samples is None
        assert said.declares(samples) == (samples == said.num_frames * 1152)
        cut_short += samples < said.num_frames * 1152
    assert cut_short


@pytest.mark.parametrize("name", ["zeros", "two ID3v2", "APE"])
def test_doubt_of_a_constant_bit_rate_is_less_than_a_hundredth(name: str) -> None:
    before, behind = TAGS[name]
    said = walk(before + without_intro(clip(44100)) + behind * 9)
    total = said.num_frames * 1152
    assert said.num_samples is not None or total * 0.99 < said.shortest <= said.longest == total


# Any bytes

HEADERS = st.builds(
    lambda second, third, fourth: bytes([0xFF, second, third, fourth]),
    st.sampled_from([0xFB, 0xFA, 0xF3, 0xE3]),
    st.integers(0, 255),
    st.integers(0, 255),
)
BEGINNINGS = st.one_of(HEADERS, st.just(b"ID3"), st.builds(id3v2, st.binary(max_size=40), st.integers(0, 2**28 - 1)))
ENDS = st.sampled_from(
    [b"", ID3V1, LYRICS, ape(b"abc"), bytes(9), b"\xff", b"999999LYRICS200", b"APETAGEX" + b"\xff" * 24]
)


@given(st.one_of(st.binary(), st.builds(lambda *parts: b"".join(parts), BEGINNINGS, st.binary(max_size=3000), ENDS)))
@example(b"ID3")
@example(b"\xff\xfb\x04\xc4")
def test_any_bytes_are_an_mp3_or_are_refused(data: bytes) -> None:
    said = outcome(data)
    assert said.num_frames >= 0 if isinstance(said, Mp3) else said.detail


@given(st.lists(st.tuples(HEADERS, st.binary(min_size=1500, max_size=1500)), max_size=20))
def test_any_chain_of_frames_is_an_mp3_or_is_refused(frames: list[tuple[bytes, bytes]]) -> None:
    parsed = [(header, body, mp3._parse(header)) for header, body in frames]
    data = b"".join((header + body)[: said.num_bytes] for header, body, said in parsed if said and not said.kind.free)
    kinds = {said.kind for _, _, said in parsed if said and not said.kind.free}
    if len(kinds) == 1 and b"Xing" not in data and b"Info" not in data and b"VBRI" not in data:
        assert walk(data).num_frames == sum(1 for *_, said in parsed if said and not said.kind.free)
    elif len(kinds) > 1:
        assert refused(data).reason in (Reason.LOST_SYNC, Reason.TRUNCATED)


@pytest.mark.parametrize(
    "piece",
    [b"\xff", b"\xff\xfb\x04\xc4", id3v2(b""), b"000000LYRICS200", b"APETAGEX", ape(b""), b"\xff\xfb\x94\xc4", b"TAG"],
)
def test_megabytes_of_anything_cost_no_more_than_their_length(piece: bytes) -> None:
    frame = clip(48000)[:384]
    for data in (piece * (4_000_000 // len(piece)), frame + piece * (4_000_000 // len(piece))):
        said = outcome(data)  # anything that is not linear in time would take minutes here
        assert isinstance(said, Mp3) or len(said.detail) < 200
