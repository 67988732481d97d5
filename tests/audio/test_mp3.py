"""The walk's length is the decoder's; damage is refused. (test_check.py has faults of all formats.)"""

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
from pipeline.audio.check import check
from pipeline.audio.mp3 import walk
from pipeline.audio.sound import Sound
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason
from tests.support.project import REAL_CLIPS

OTHER_RATES = (8000, 12000, 16000, 22050, 24000, 32000, 44100)
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


def frame_bytes(data: bytes) -> int:
    return mp3._first_header(data, 0, len(data)).num_bytes


def frame_count(data: bytes) -> int:
    """Return how many frames of audio the walk counts: a decode yields at most one more."""
    sound = walk(data)
    return sound.longest // (1152 if sound.sample_rate >= 32_000 else 576) - 1


def without_intro(data: bytes) -> bytes:
    """Return the clip from its second frame on: nothing announces how long it is."""
    return data[frame_bytes(data) :]


def decoded(data: bytes) -> tuple[int, int, int]:
    """Return how many samples libsndfile yields, their rate and channels."""
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return len(file.read()), file.samplerate, file.channels


def agrees(walked: Sound, data: bytes) -> bool:
    """Return whether the walk is in doubt, or says what the decoder yields of the file or of its readable form."""
    if walked.frames is None:
        return True
    facts = walked.frames, walked.sample_rate, walked.channels
    return facts == ((check(data).frames, *facts[1:]) if walked.readable != data else decoded(data))


def outcome(data: bytes) -> Sound | Rejected:
    try:
        return walk(data)
    except Rejected as error:
        return error


def refused(data: bytes) -> Rejected:
    with pytest.raises(Rejected) as caught:
        walk(data)
    return caught.value


# Good clips


@pytest.mark.parametrize("rate", [11025, 48000, *(pytest.param(rate, marks=pytest.mark.more) for rate in OTHER_RATES)])
def test_mp3_is_as_long_as_the_decoder_yields(rate: int) -> None:
    for mode in MODES:
        for channels in (1, 2):
            for level, samples in ((0.0, 1), (0.5, 1153), (0.9, rate // 2)):
                data = clip(rate, channels, mode, level, samples)
                walked = walk(data)
                assert (walked.frames, rate, channels) == decoded(data)
                assert agrees(walk(without_intro(data)), without_intro(data))
                if b"Xing" in data[:44] or b"Info" in data[:44]:  # at a low bit rate there is no room for it
                    assert walked.frames == samples


def test_mp3_of_a_constant_bit_rate_has_a_length_with_any_first_frame() -> None:
    """Frames of 313 and 314 bytes: where the first one is padded, libsndfile expects fewer than there are."""
    data = without_intro(clip(44100, 1, "CONSTANT", 0.75))
    for _ in range(10):
        assert walk(data).frames == decoded(data)[0] > 0.99 * frame_count(data) * 1152
        data = without_intro(data)


def test_mp3_of_a_variable_bit_rate_that_announces_nothing_is_read_to_its_end() -> None:
    """libsndfile expects as many frames as fit if all are as long as the first one."""
    data = without_intro(clip(48000, mode="VARIABLE"))
    assert decoded(data)[0] < frame_count(data) * 1152 == walk(data).frames == check(data).frames
    one = data[: frame_bytes(data)]  # which it does not open
    assert walk(one).frames == check(one).frames == 1152


@pytest.mark.skipif(not REAL_CLIPS.exists(), reason="the real clips are not here")
def test_mp3s_of_people_are_1152_samples_for_each_frame() -> None:
    with zipfile.ZipFile(REAL_CLIPS) as archive:
        clips = [archive.read(name) for name in archive.namelist() if name.endswith(".mp3")]
    assert len(clips) == 30
    for data in clips:
        walked = walk(data)
        assert walked == Sound("MP3", "MPEG_LAYER_III", 48000, 1, frame_count(data) * 1152)
        assert agrees(walked, data)


@pytest.mark.parametrize(("delay", "padding"), [(0, 0), (576, 528), (576, 530), (0, 4095), (4095, 4095)])
def test_mp3_loses_the_delay_and_padding_that_the_decoder_takes_away(delay: int, padding: int) -> None:
    data = clip(48000)
    at = data.index(b"LAME") + 21
    data = data[:at] + (delay << 12 | padding).to_bytes(3) + data[at + 3 :]
    walked = walk(data)
    assert walked.frames == frame_count(data) * 1152 - delay - max(padding, 529)
    assert agrees(walked, data)


def test_mp3_whose_info_frame_lacks_lames_part_loses_the_decoders_delay() -> None:
    data = clip(16000)
    at = data.index(b"LAME")
    cleared = data[:at] + bytes(40) + data[at + 40 :]
    sound = without_intro(clip(24000))
    header = bytes([*sound[:2], 0x24, sound[3]])  # 16 kbit/s: a frame of 48 bytes ends within that part
    info = header + bytes(9) + b"Info" + bytes([0, 0, 0, 1]) + (len(sound) // frame_bytes(sound)).to_bytes(4)
    for one in (cleared, info + b"LAME".ljust(48 - len(info), b"x") + sound):
        assert walk(one).frames == decoded(one)[0] == frame_count(one) * 576 - 529


def test_mp3_shorter_than_its_delay_and_padding_is_in_doubt() -> None:
    data = clip(48000, samples=1)
    at = data.index(b"LAME") + 21
    assert walk(data[:at] + b"\xff" * 3 + data[at + 3 :]).frames is None


def test_mp3_whose_first_frame_holds_audio_announces_nothing() -> None:
    data = clip(48000)
    sound = data[:10] + b"x" + data[11:]  # mpg123 wants zeros before the word Info
    assert frame_count(sound) == frame_count(data) + 1
    assert agrees(walk(sound), sound)


def announcing(difference: int, *, num_bytes: int | None = None) -> bytes:
    data = clip(48000)
    at = data.index(b"Info") + 8
    size = data[at + 4 : at + 8] if num_bytes is None else num_bytes.to_bytes(4)
    return data[:at] + (frame_count(data) + difference).to_bytes(4) + size + data[at + 8 :]


def test_mp3_whose_info_frame_counts_itself_is_whole_if_its_bytes_agree() -> None:
    data = announcing(1, num_bytes=len(clip(48000)))
    assert walk(data).frames == decoded(data)[0]
    assert refused(announcing(1, num_bytes=len(data) + 384)).reason is Reason.TRUNCATED
    at = data.index(b"LAME")
    unsized = announcing(1, num_bytes=0)
    assert refused(unsized).reason is Reason.TRUNCATED
    assert walk(unsized[:at] + bytes(40) + unsized[at + 40 :]).frames  # an encoder other than LAME


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
    "ID3v2 and zeros": (id3v2(bytes(30)) + bytes(512), b""),
    "ID3v1": (b"", ID3V1),
    "both": (id3v2(bytes(30)), ID3V1),
    "TAG+": (b"", b"TAG+" + b"title".ljust(223, b"\0") + ID3V1),
    "APE": (b"", ape(bytes(3000))),
    "Lyrics3v1": (b"", b"LYRICSBEGIN" + b"la " * 20 + b"LYRICSEND" + ID3V1),
    "Lyrics3v2": (b"", LYRICS),
    "all": (id3v2(bytes(30)), ape(bytes(50)) + LYRICS + ID3V1),
    "ID3v2 at the end": (b"", id3v2(bytes(3000))),
    "zeros": (b"", bytes(5000)),
    "a line end": (b"", b"\n"),
}


@pytest.mark.parametrize("name", TAGS)
@pytest.mark.parametrize("announced", [True, False])
def test_mp3_with_tags_is_whole_and_as_long_as_without(name: str, *, announced: bool) -> None:
    before, behind = TAGS[name]
    data = clip(22050) if announced else without_intro(clip(22050))
    walked = walk(before + data + behind)
    assert frame_count(before + data + behind) == frame_count(data)
    assert agrees(walked, before + data + behind)
    assert 0 <= check(before + data + behind).frames - check(data).frames < 576  # type: ignore[operator]


def test_mp3_of_fraunhofer_plays_the_frame_that_describes_it() -> None:
    data = clip(48000)
    vbri = data[:4] + bytes(32) + b"VBRI" + bytes(10) + frame_count(data).to_bytes(4) + data[54:]
    assert frame_count(vbri) == frame_count(data)
    assert walk(vbri).frames == (frame_count(data) + 1) * 1152
    assert agrees(walk(vbri), vbri)


def test_mp3_of_free_format_has_frames_by_their_distance() -> None:
    data = bytearray(without_intro(clip(48000)))
    length = frame_bytes(bytes(data))
    for at in range(0, len(data), length):
        data[at + 2] &= 0x0F  # a bit rate of 0 in each header
    assert walk(bytes(data)).frames is None
    assert frame_count(bytes(data)) == len(data) // length
    assert refused(bytes(data[:length])).reason is Reason.DAMAGED


# Bad clips


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"<!DOCTYPE html><p>404</p>", Reason.NOT_AUDIO, "byte 0 of 25 begins 3C 21 44 4F"),
        (b"\xff\xfb\xf4\xc4" + bytes(500), Reason.NOT_AUDIO, "FF FB F4 C4"),  # no such bit rate
        (b"\xff\xfb\x9c\xc4" + bytes(500), Reason.NOT_AUDIO, "FF FB 9C C4"),  # no such sample rate
        (b"\xff\xeb\x94\xc4" + bytes(500), Reason.NOT_AUDIO, "FF EB 94 C4"),  # no such version
        (b"\xff", Reason.TRUNCATED, "header of its first frame"),
        (b"\xff\xfb\x94\xc4" + bytes(50), Reason.TRUNCATED, "frame 1, at byte 0, is 384 bytes long; 54 of them"),
        (id3v2(b"", size=9999) + bytes(50), Reason.NOT_AUDIO, "10009 bytes long"),
        (id3v2(b"", size=2**28 - 1) + bytes(50), Reason.NOT_AUDIO, "the file has 60 bytes"),
    ],
)
def test_mp3_that_is_none_says_what_is_wrong_and_where(data: bytes, reason: Reason, detail: str) -> None:
    assert refused(data).reason is reason
    assert detail in refused(data).detail


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("tag", [b"", ID3V1])
def test_mp3_that_is_cut_at_any_byte_within_a_frame_is_truncated(tag: bytes, *, announced: bool) -> None:
    data = clip(48000) if announced else without_intro(clip(48000))
    length = frame_bytes(data)  # of every frame: 48 kHz needs no padding
    for at in [1, 2, 3, 4, 5, *random.Random(1).sample(range(length, len(data)), 100), len(data) - 1]:
        if at % length or announced:
            assert refused(data[:at] + tag).reason is Reason.TRUNCATED
        else:  # nobody can see this cut
            assert agrees(walk(data[:at] + tag), data[:at] + tag)


@pytest.mark.parametrize(
    ("difference", "reason"), [(1, Reason.TRUNCATED), (10**9, Reason.TRUNCATED), (-1, Reason.DAMAGED)]
)
def test_mp3_with_other_frames_than_announced_is_refused(difference: int, reason: Reason) -> None:
    assert refused(announcing(difference, num_bytes=0)).reason is reason


@pytest.mark.parametrize("filling", [b"\x00", b"\xff\xfb", b"garbage"])
def test_mp3_with_a_hole_over_a_header_is_refused(filling: bytes) -> None:
    data = without_intro(clip(44100))
    dice = random.Random(2)
    for _ in range(50):
        at, size = dice.randrange(5, len(data) - 4000), dice.randint(850, 3000)  # longer than any of its frames
        hole = (filling * size)[:size]
        assert refused(data[:at] + hole + data[at + len(hole) :]).reason in (Reason.DAMAGED, Reason.TRUNCATED)


@pytest.mark.parametrize("other", [clip(44100), clip(48000, 2), clip(24000)])
def test_mp3_with_frames_of_another_kind_is_refused(other: bytes) -> None:
    assert refused(without_intro(clip(48000)) + other).reason is Reason.DAMAGED


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [24000, 48000])
def test_mp3_with_side_information_that_no_encoder_writes_is_damaged(rate: int, channels: int) -> None:
    data = without_intro(clip(rate, channels))
    length = frame_bytes(data)
    at = 10 * length + 4
    side = {(48000, 1): 17, (48000, 2): 32, (24000, 1): 9, (24000, 2): 17}[rate, channels]
    error = refused(data[:at] + b"\xff" * side + data[at + side :])
    assert error.reason is Reason.DAMAGED
    assert f"side information of frame 11, at byte {10 * length}" in error.detail


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
def test_mp3_walk_takes_any_bytes(data: bytes) -> None:
    walked = outcome(data)
    assert walked.longest > 0 if isinstance(walked, Sound) else walked.detail


@pytest.mark.parametrize(
    "piece",
    [b"\xff", b"\xff\xfb\x04\xc4", id3v2(b""), b"000000LYRICS200", b"APETAGEX", ape(b""), b"\xff\xfb\x94\xc4", b"TAG"],
)
def test_mp3_walk_is_linear_in_the_length_of_anything(piece: bytes) -> None:
    frame = clip(48000)[:384]
    for data in (piece * (1_000_000 // len(piece)), frame + piece * (1_000_000 // len(piece))):
        walked = outcome(data)  # anything that is not linear in time would take minutes here
        assert isinstance(walked, Sound) or len(walked.detail) < 200
