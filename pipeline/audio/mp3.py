"""What the frames of an MP3 say: its rate, channels and length, or how it is damaged. Pure.

An MP3 is a chain of frames, each of which says how long it is, so the chain of a whole file ends exactly where its
audio ends. What decoders forgive silently, a cut frame or garbage that they skip, breaks the chain. Nothing is
decoded here, nothing is read from disk, and memory and time don't depend on what the bytes claim.

Frames are those of ISO/IEC 11172-3, 2.4 (MPEG-1) and ISO/IEC 13818-3, 2.4 (MPEG-2); MPEG-2.5 is the usual extension
to 8, 11.025 and 12 kHz. What the decoder makes of them was measured with libsndfile 1.2.2, which uses mpg123.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from pipeline.audio.tags import id3v2_bytes, skip_id3v2, trailing_tags
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

# kbit/s of layer III by the header's four bits (ISO/IEC 11172-3, 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3); 0 is free format.
_KBITS_MPEG1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_MPEG2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_SAMPLE_RATES = (44100, 48000, 32000)  # Hz, of MPEG-1; MPEG-2 has the halves, MPEG-2.5 the quarters

_DECODER_DELAY = 529  # samples that a layer III decoder is late by; mpg123 takes them from the end's padding
_LONGEST_FREE_FRAME = 3456  # bytes; mpg123 looks no further (MAXFRAMESIZE in its mpg123lib_intern.h)


@dataclass(frozen=True, slots=True)
class Mp3:
    """What the frames of an MP3 say.

    Attributes
    ----------
    sample_rate
        Hz, 8000 to 48000.
    channels
        1 or 2.
    num_frames
        Frames of audio. A first frame that describes the file (Xing, Info, VBRI) is not one of them.
    num_samples
        For each channel, what ``soundfile.read`` yields; None where only a decode can tell.
    shortest, longest
        What such a decode may yield (`_bounds`).
    """

    sample_rate: int
    channels: int
    num_frames: int
    num_samples: int | None
    shortest: int = field(default=0, compare=False)
    longest: int = field(default=0, compare=False)

    def declares(self, samples: int) -> bool:
        """Tell whether a decode to so many samples is what the frames declare."""
        if self.num_samples is not None:
            return samples == self.num_samples
        return self.shortest <= samples <= self.longest


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

    start: int  # of the first frame
    last: int  # where the last frame begins
    end: int  # where the next frame would begin; past the end of the file if the last frame is cut
    num_frames: int
    constant: bool  # all frames are equally long, but for the byte of padding


class _Intro(NamedTuple):
    """What a first frame announces that is no audio."""

    name: str  # Xing, Info or VBRI
    num_frames: int  # 0 where it does not say
    trimmed: int | None  # samples that the decoder takes away at both ends; None where it ignores the announcement
    counts_itself: bool  # encoders other than LAME may count this frame, too


def walk(data: bytes) -> Mp3:
    """Walk down the frames of an MP3, from its first byte to its last.

    Parameters
    ----------
    data
        The whole file. Tags may stand before its frames (ID3v2) and behind them (ID3v1, ID3v2, APE, Lyrics3), zeros
        behind them.

    Raises
    ------
    Rejected
        EMPTY; NOT_MP3: no frame of layer III where the first one should be; TRUNCATED: it ends inside a frame, or
        before the frames that it announces; LOST_SYNC: something else between its frames.

    Notes
    -----
    A file that announces no number of frames and was cut exactly between two of them cannot be told from a whole
    one. Damage within a frame changes how it sounds, not how long it is: mpg123 plays silence for such a frame.
    """
    if not data:
        raise Rejected(Reason.EMPTY, "the file has no bytes")
    start = skip_id3v2(data, 0)
    stop = trailing_tags(data, start)
    first = _first_header(data, start, stop)
    chain = _follow(data, start, first)
    _check_end(data, chain, stop)
    intro = _introduction(data[start : start + 4096], first)
    num_frames = chain.num_frames - (intro is not None)
    _check_announced(intro, num_frames)
    plain = _is_plain(data, chain) and not first.kind.free
    num_samples = _decoded_length(data, chain, first, intro) if plain else None
    bounds = _bounds(num_frames * first.kind.samples_per_frame, chain, first, intro)
    return Mp3(first.kind.sample_rate, first.kind.channels, num_frames, num_samples, *bounds)


@lru_cache(maxsize=4096)
def _parse(word: bytes) -> _Header | None:
    """Read the four bytes of a header; None if they are none of layer III."""
    if len(word) < 4 or word[0] != 0xFF or word[1] & 0xE6 != 0xE2:
        return None
    version = word[1] >> 3 & 3
    bits, rate = word[2] >> 4, word[2] >> 2 & 3
    if version == 1 or bits == 15 or rate == 3:
        return None  # reserved
    sample_rate = _SAMPLE_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kind = _Kind(version, sample_rate, 1 if word[3] >> 6 == 3 else 2, free=bits == 0)
    kbits = (_KBITS_MPEG1 if version == 3 else _KBITS_MPEG2)[bits]
    padding = word[2] >> 1 & 1
    return _Header(kind, kind.samples_per_frame * 125 * kbits // sample_rate + padding)


def _first_header(data: bytes, start: int, stop: int) -> _Header:
    """Return the header of the frame at `start`; the tags at the end begin at `stop`."""
    word = data[start : min(start + 4, stop)]
    header = _parse(word)
    if header is not None:
        return header
    behind = f"behind an ID3v2 tag that claims to be {start} bytes long" if start else "at the beginning"
    found = _shown(data, start)
    if _may_begin_frame(word):
        raise Rejected(Reason.TRUNCATED, f"it ends inside the header of its first frame: {found}, {behind}")
    raise Rejected(Reason.NOT_MP3, f"no frame of MPEG audio layer III {behind}: {found}")


def _may_begin_frame(piece: bytes) -> bool:
    """Tell whether one to three bytes may be a header that was cut."""
    return 0 < len(piece) < 4 and piece[0] == 0xFF and (len(piece) == 1 or piece[1] & 0xE6 == 0xE2)


def _shown(data: bytes, at: int) -> str:
    if at >= len(data):
        return f"the file has {len(data)} bytes"
    return f"byte {at} of {len(data)} begins {data[at : at + 4].hex(' ').upper()}"


def _follow(data: bytes, start: int, first: _Header) -> _Chain:
    """Go from header to header as long as they are of the first one's kind."""
    free_bytes = _free_format_bytes(data, start, first) if first.kind.free else 0
    lengths: dict[bytes, int] = {}  # few different headers occur in one file
    at = last = start
    num_frames = 0
    while True:
        word = data[at : at + 4]
        num_bytes = lengths.get(word)
        if num_bytes is None:
            header = _parse(word)
            if header is None or header.kind != first.kind:
                constant = max(lengths.values()) - min(lengths.values()) <= 1
                return _Chain(start, last, at, num_frames, constant)
            num_bytes = lengths[word] = header.num_bytes + free_bytes
        last = at
        at += num_bytes
        num_frames += 1


def _free_format_bytes(data: bytes, start: int, first: _Header) -> int:
    """Return the length of all frames of free format, without padding: the distance of the first two headers."""
    for at in range(start + 4 + first.kind.side_info_bytes, start + _LONGEST_FREE_FRAME):
        header = _parse(data[at : at + 4]) if data[at : at + 1] == b"\xff" else None
        if header is not None and header.kind == first.kind:
            return at - start - first.num_bytes
    raise Rejected(
        Reason.LOST_SYNC,
        f"no second frame within {_LONGEST_FREE_FRAME} bytes of the first one (free format), at {start}",
    )


def _check_end(data: bytes, chain: _Chain, stop: int) -> None:
    """Refuse a chain that does not end at `stop`, where the tags begin, but for what may stand before them."""
    if chain.end > stop:
        raise Rejected(
            Reason.TRUNCATED,
            f"frame {chain.num_frames}, at byte {chain.last}, is {chain.end - chain.last} bytes long; "
            f"{max(0, stop - chain.last)} of them are there",
        )
    rest = skip_id3v2(data, chain.end)
    if data.count(0, rest, stop) == stop - rest:
        return
    after = f"after {chain.num_frames} frames, {_shown(data, chain.end)}"
    if _may_begin_frame(data[chain.end : stop]):
        raise Rejected(Reason.TRUNCATED, f"it ends inside the header of a frame: {after}")
    raise Rejected(Reason.LOST_SYNC, f"{after}, which is no frame like the first one and no tag")


def _introduction(begin: bytes, first: _Header) -> _Intro | None:
    """Read the first frame if it describes the file in place of holding audio.

    Xing and Info: as mpg123 takes them (check_lame_tag in its parse.c), field by field as far as the frame goes.
    VBRI, Fraunhofer's: mpg123 knows nothing of it and plays the frame.
    """
    frame = begin if first.kind.free else begin[: first.num_bytes]
    at = 4 + first.kind.side_info_bytes
    name = frame[at : at + 4]
    if frame[36:40] == b"VBRI":
        return _Intro("VBRI", int.from_bytes(frame[50:54]), trimmed=None, counts_itself=True)
    if name not in {b"Xing", b"Info"} or len(frame) < at + 8 or any(frame[6:at]):
        return None
    flags = frame[at + 7]
    at += 8
    num_frames = int.from_bytes(frame[at : at + 4]) if flags & 1 and len(frame) >= at + 4 else 0
    fields = ((1, 4), (2, 4), (4, 100), (8, 4))  # bit and bytes of: frames, file's bytes, table for seeking, quality
    at += sum(size for bit, size in fields if flags & bit)
    delay = padding = 0
    extended = len(frame) >= at + 24 and frame[at] != 0  # by LAME, or in its manner
    if extended:
        both = int.from_bytes(frame[at + 21 : at + 24])
        delay, padding = both >> 12, both & 0xFFF
    return _Intro(name.decode(), num_frames, delay + max(padding, _DECODER_DELAY), counts_itself=not extended)


def _check_announced(intro: _Intro | None, num_frames: int) -> None:
    """Refuse a file that holds another number of frames than its first one announces."""
    if intro is None or intro.num_frames == 0:
        return
    said = f"its {intro.name} frame announces {intro.num_frames} frames of audio, {num_frames} are there"
    if num_frames + intro.counts_itself < intro.num_frames:
        raise Rejected(Reason.TRUNCATED, said)
    if num_frames > intro.num_frames and intro.trimmed is not None:
        # mpg123 stops at the number announced, so that what follows is another stream, or that number is damaged.
        raise Rejected(Reason.LOST_SYNC, said)


def _is_plain(data: bytes, chain: _Chain) -> bool:
    """Tell whether the tags are such that the decoder is known to pass over them.

    libsndfile does not open a file with two ID3v2 tags, with one that has a footer or next to no content, or with a
    version other than 2.2 to 2.4; mpg123 gives up when it finds no frame in 1024 bytes behind the last one.
    """
    plain_begin = chain.start == 0 or (
        chain.start == id3v2_bytes(data, 0) >= 20 and data[3] in (2, 3, 4) and data[5] & 0x10 == 0
    )
    plain_end = chain.end == len(data) or (chain.end == len(data) - 128 and data[-128:-125] == b"TAG")
    return plain_begin and plain_end


def _bounds(total: int, chain: _Chain, first: _Header, intro: _Intro | None) -> tuple[int, int]:
    """Return how few and how many samples a decode may yield of frames that have `total` samples.

    All of them, but for what LAME may have a decoder trim, a delay and a padding of at most 4095 samples each (its tag
    has 12 bits for either, gabriel.mp3-tech.org/mp3infotag.html), and for what libsndfile does not expect where the
    first frame of a constant bit rate is padded. A frame that describes the file may be decoded, too.
    """
    if intro is not None:
        return total - (2 * 4095 if intro.trimmed is not None else 0), total + first.kind.samples_per_frame
    if chain.constant and not first.kind.free:
        return total - total // first.num_bytes - 1, total
    return total, total


def _decoded_length(data: bytes, chain: _Chain, first: _Header, intro: _Intro | None) -> int | None:
    """Return how many samples of each channel ``soundfile.read`` yields; None where that is not sure.

    With a Xing or Info frame: all of the frames that it announces, without the encoder's delay and padding, but at
    the end never less than the decoder's own delay of 529 samples.

    Without one: all frames, unless libsndfile expects fewer. It expects as many as the first one's length fits into
    the file (without ID3v1; mpg123_length in libmpg123.c), and ``soundfile.read`` stops there. Of a constant bit rate
    it so loses a few samples where the first frame is padded and others are not. Of a variable one it may lose most
    of the clip: no length is given then. A file of one frame it does not open.
    """
    spf = first.kind.samples_per_frame
    if intro is not None:
        num_frames = chain.num_frames - 1
        if intro.trimmed is None or intro.num_frames != num_frames or num_frames * spf <= intro.trimmed:
            return None
        return num_frames * spf - intro.trimmed
    has_id3v1 = chain.end != len(data)
    expected = int((len(data) - 128 * has_id3v1) / first.num_bytes * spf)
    total = chain.num_frames * spf
    if chain.num_frames < 2 or (expected < total and not chain.constant):
        return None
    return min(total, expected)
