"""Walk over the frames of an MP3: rate, channels and length, or how it is damaged. Pure.

An MP3 is a chain of frames, each of which says how long it is, so the chain of a whole file ends exactly where its
audio ends. What decoders forgive silently, a cut frame or garbage that they skip, breaks the chain. Nothing is
decoded here, nothing is read from disk, and memory and time don't depend on what the bytes claim.

Frames are those of ISO/IEC 11172-3, 2.4 (MPEG-1) and ISO/IEC 13818-3, 2.4 (MPEG-2); MPEG-2.5 is the usual extension
to 8, 11.025 and 12 kHz. How the decoder takes them was measured with libsndfile 1.2.2, which uses mpg123.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from pipeline.audio.side_info import first_wrong_frame
from pipeline.audio.sound import Sound
from pipeline.audio.tags import id3v2_bytes, skip_id3v2, trailing_tags
from pipeline.audio.xing import Intro, introduction
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

# kbit/s of layer III by the header's four bits (ISO/IEC 11172-3, 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3); 0 is free format.
_KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = (44100, 48000, 32000)  # Hz, of MPEG-1; MPEG-2 has the halves, MPEG-2.5 the quarters

_DECODER_DELAY = 529  # samples that a layer III decoder is late by; mpg123 takes them from the end's padding
_MOST_TRIMMED = 2 * 4095  # samples: LAME's tag has 12 bits each for delay and padding (gabriel.mp3-tech.org)
_LONGEST_FREE_FRAME = 3456  # bytes; mpg123 looks no further (MAXFRAMESIZE in its mpg123lib_intern.h)


class _Kind(NamedTuple):
    """What all frames of a file have in common."""

    version: int  # the header's two bits: 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5
    sample_rate: int  # Hz
    channels: int
    free: bool  # free format: the header does not say how long its frame is

    @property
    def samples_per_frame(self) -> int:
        return 1152 if self.version == 3 else 576

    @property
    def side_info_bytes(self) -> int:
        """ISO/IEC 11172-3, 2.4.1.7; ISO/IEC 13818-3, 2.4.1.7."""
        return {(3, 1): 17, (3, 2): 32}.get((self.version, self.channels), 9 if self.channels == 1 else 17)


class _Header(NamedTuple):
    """The four bytes that a frame of layer III begins with."""

    kind: _Kind
    num_bytes: int  # of the frame; in free format, of its padding alone


class _Chain(NamedTuple):
    """Where the frames lie."""

    starts: list[int]  # of each frame, one at least
    end: int  # where the next frame would begin; past the end of the file if the last frame is cut
    constant: bool  # all frames are equally long, but for the byte of padding


def walk(data: bytes) -> Sound:
    """Walk down the frames of an MP3, from its first byte to its last.

    Before its frames there may be ID3v2 tags and zeros; after them ID3v1, ID3v2, APE and Lyrics3 tags, zeros and white
    space. A file that announces no number of frames and was cut exactly between two of them cannot be told from a whole
    one. Most damage within a frame changes how it sounds, not how long it is.

    Raises Rejected with NOT_AUDIO if there is no frame of layer III where the first one should be; with TRUNCATED if it
    ends inside a frame, or before the frames that it announces; with DAMAGED at other bytes between its frames, or a
    frame that no encoder writes.
    """
    start = skip_id3v2(data, 0)
    if data[start : start + 1] == b"\0":
        start = len(data) - len(data[start:].lstrip(b"\0"))
    stop = trailing_tags(data, start)
    first = _first_header(data, start, stop)
    chain = _follow(data, start, first)
    _check_end(data, chain, stop)
    length = chain.end - start if first.kind.free else first.num_bytes
    intro = introduction(data[start : start + min(length, 4096)], first.kind.side_info_bytes)
    if intro is not None and intro.is_skipped and not intro.num_frames and len(chain.starts) > 1:
        chain, intro = chain._replace(starts=chain.starts[1:]), None  # the decoder skips it and takes nothing from it
        first = _first_header(data, chain.starts[0], stop)
    num_frames = len(chain.starts) - (intro is not None)
    _check_announced(intro, num_frames, chain)
    skipped = 1 if intro is not None and intro.is_skipped else 0
    audio = chain.starts[skipped:]
    wrong = first_wrong_frame(data, audio, chain.end, first.kind.channels, mpeg1=first.kind.version == 3)
    if wrong is not None:
        found = f"the side information of frame {wrong + 1 + skipped}, at byte {audio[wrong]}"
        raise Rejected(Reason.DAMAGED, f"{found}, is none that an encoder writes")
    total = num_frames * first.kind.samples_per_frame
    return Sound(
        "MP3",
        "MPEG_LAYER_III",
        first.kind.sample_rate,
        first.kind.channels,
        _decoded_length(data, chain, first, intro),
        shortest=total - _MOST_TRIMMED,
        longest=total + first.kind.samples_per_frame,
        readable=_readable(data, chain, first, intro),
    )


@lru_cache(maxsize=4096)
def _parse(word: bytes) -> _Header | None:
    """Read the four bytes of a header; None if they are none of layer III."""
    if layer(word) != "III":
        return None
    version = word[1] >> 3 & 3
    bits, rate = word[2] >> 4, word[2] >> 2 & 3
    sample_rate = _SAMPLE_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kind = _Kind(version, sample_rate, 1 if word[3] >> 6 == 3 else 2, free=bits == 0)
    kbits = (_KBITS_MPEG1 if version == 3 else _KBITS_MPEG2)[bits]
    padding = word[2] >> 1 & 1
    return _Header(kind, kind.samples_per_frame * 125 * kbits // sample_rate + padding)


def layer(word: bytes) -> str | None:
    """Return the layer of MPEG audio of a header's four bytes, I to III; None where they are none."""
    if len(word) < 4 or word[0] != 0xFF or word[1] & 0xE0 != 0xE0:
        return None
    if word[1] >> 3 & 3 == 1 or word[2] >> 4 == 15 or word[2] >> 2 & 3 == 3:
        return None  # reserved
    return (None, "III", "II", "I")[word[1] >> 1 & 3]


def is_mp3(data: bytes) -> bool:
    """Return whether a file begins as an MP3 does: with a frame, or with an ID3v2 tag or zeros before it."""
    start = skip_id3v2(data, 0)
    word = data[start : start + 4096].lstrip(b"\0")[:4]
    return start > 0 or _parse(word) is not None or _may_begin_frame(word)


def _first_header(data: bytes, start: int, stop: int) -> _Header:
    """Return the header of the frame at `start`; the tags at the end begin at `stop`."""
    word = data[start : min(start + 4, stop)]
    header = _parse(word)
    if header is not None:
        return header
    place = f"after an ID3v2 tag or zeros, {start} bytes long" if start else "at the beginning"
    found = _shown(data, start)
    if _may_begin_frame(word):
        raise Rejected(Reason.TRUNCATED, f"it ends inside the header of its first frame: {found}, {place}")
    raise Rejected(Reason.NOT_AUDIO, f"no frame of MPEG audio layer III {place}: {found}")


def _may_begin_frame(piece: bytes) -> bool:
    """Return whether one to three bytes may be a header that was cut."""
    return 0 < len(piece) < 4 and piece[0] == 0xFF and (len(piece) == 1 or piece[1] & 0xE6 == 0xE2)


def _shown(data: bytes, at: int) -> str:
    if at >= len(data):
        return f"the file has {len(data)} bytes"
    return f"byte {at} of {len(data)} begins {data[at : at + 4].hex(' ').upper()}"


def _follow(data: bytes, start: int, first: _Header) -> _Chain:
    """Go from header to header as long as they are of the first one's kind."""
    free_bytes = _free_format_bytes(data, start, first) if first.kind.free else 0
    lengths: dict[bytes, int] = {}  # few different headers occur in one file
    starts: list[int] = []
    at = start
    while True:
        word = data[at : at + 4]
        num_bytes = lengths.get(word)
        if num_bytes is None:
            header = _parse(word)
            if header is None or header.kind != first.kind:
                constant = max(lengths.values()) - min(lengths.values()) <= 1
                return _Chain(starts, at, constant)
            num_bytes = lengths[word] = header.num_bytes + free_bytes
        starts.append(at)
        at += num_bytes


def _free_format_bytes(data: bytes, start: int, first: _Header) -> int:
    """Return the length of all frames of free format, without padding: the distance of the first two headers."""
    for at in range(start + 4 + first.kind.side_info_bytes, start + _LONGEST_FREE_FRAME):
        header = _parse(data[at : at + 4]) if data[at : at + 1] == b"\xff" else None
        if header is not None and header.kind == first.kind:
            return at - start - first.num_bytes
    raise Rejected(
        Reason.DAMAGED,
        f"no second frame within {_LONGEST_FREE_FRAME} bytes of the first one (free format), at {start}",
    )


def _check_end(data: bytes, chain: _Chain, stop: int) -> None:
    """Refuse a chain that does not end at `stop`, where the tags begin, except for zeros, white space and ID3v2."""
    last = chain.starts[-1]
    if chain.end > stop:
        raise Rejected(
            Reason.TRUNCATED,
            f"frame {len(chain.starts)}, at byte {last}, is {chain.end - last} bytes long; "
            f"{max(0, stop - last)} of them are there",
        )
    rest = skip_id3v2(data, chain.end)
    if not data[rest:stop].strip(b"\0\t\n\r "):
        return
    after = f"after {len(chain.starts)} frames, {_shown(data, chain.end)}"
    if _may_begin_frame(data[chain.end : stop]):
        raise Rejected(Reason.TRUNCATED, f"it ends inside the header of a frame: {after}")
    raise Rejected(Reason.DAMAGED, f"{after}, which is no frame like the first one and no tag")


def _check_announced(intro: Intro | None, num_frames: int, chain: _Chain) -> None:
    """Refuse a file that holds another number of frames than its first one announces.

    Some encoders count that frame, too: recognised by the number of bytes that it announces, or by its form.
    """
    if intro is None or intro.num_frames in {0, num_frames}:
        return
    whole = chain.end - chain.starts[0]
    counts_itself = intro.num_bytes == whole or not (intro.extended or intro.num_bytes)
    if intro.num_frames == num_frames + 1 and counts_itself:
        return
    announced = f"its {intro.name} frame announces {intro.num_frames} frames of audio, {num_frames} are there"
    if num_frames < intro.num_frames:
        raise Rejected(Reason.TRUNCATED, announced)
    if intro.is_skipped:
        # mpg123 stops at the number announced, so that what follows is another stream, or that number is damaged.
        raise Rejected(Reason.DAMAGED, announced)


def _decoded_length(data: bytes, chain: _Chain, first: _Header, intro: Intro | None) -> int | None:
    """Return how many samples of each channel a decode of `_readable` yields; None where that is not sure.

    With a Xing or Info frame, of the frames that it announces: without the encoder's delay and padding, but at the end
    never less than the decoder's own delay. Without one: all frames, but of a constant bit rate no more than libsndfile
    expects (`_expected`).
    """
    spf = first.kind.samples_per_frame
    total = len(chain.starts) * spf
    if first.kind.free:
        return None
    if intro is not None and intro.is_skipped:
        there = min(intro.num_frames * spf - intro.padding + _DECODER_DELAY, total - spf)
        samples = there - intro.delay - _DECODER_DELAY
        return samples if intro.num_frames and samples > 0 else None
    return min(total, _expected(data, chain, first)) if _is_plain(data, chain, first) else total


def _expected(data: bytes, chain: _Chain, first: _Header) -> int:
    """Return after how many samples ``soundfile.read`` stops where no frame announces them.

    As many as the first frame's length fits into the file (without ID3v1; mpg123_length in libmpg123.c). Of a constant
    bit rate a few samples are lost so where the first frame is padded and others are not; of a variable one, most of
    the clip may be.
    """
    has_id3v1 = chain.end != len(data)
    return int((len(data) - 128 * has_id3v1) / first.num_bytes * first.kind.samples_per_frame)


def _is_plain(data: bytes, chain: _Chain, first: _Header, *, announced: bool = False) -> bool:
    """Return whether libsndfile opens the file and decodes it to its end.

    It does not open a file with two ID3v2 tags, with one that has a footer or next to no content, or with a version
    other than 2.2 to 2.4, nor a file of one frame; mpg123 gives up when it finds no frame in 1024 bytes after the last.
    """
    start = chain.starts[0]
    plain_begin = start == 0 or (start == id3v2_bytes(data, 0) >= 20 and data[3] in (2, 3, 4) and data[5] & 0x10 == 0)
    plain_end = chain.end == len(data) or (chain.end == len(data) - 128 and data[-128:-125] == b"TAG")
    if not plain_begin or not plain_end or len(chain.starts) < 2:
        return False
    total = len(chain.starts) * first.kind.samples_per_frame
    return announced or chain.constant or _expected(data, chain, first) >= total


def _readable(data: bytes, chain: _Chain, first: _Header, intro: Intro | None) -> bytes:
    """Return the bytes for the decoder: the file, or its frames alone.

    Where no frame announces their number, silent ones are appended, until libsndfile expects all frames of the file.
    """
    announced = intro is not None and intro.is_skipped
    if first.kind.free or _is_plain(data, chain, first, announced=announced):
        return data
    frames = data[chain.starts[0] : chain.end]
    if announced:
        return frames
    missing = max(0, len(chain.starts) * first.num_bytes - len(frames)) // first.num_bytes + 2
    header = bytes([frames[0], frames[1] | 1, *frames[2:4]])  # without a check sum
    return frames + header.ljust(first.num_bytes, b"\0") * missing
