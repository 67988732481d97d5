"""Walks over AIFF, AU, CAF and SPHERE files: their own sizes against the file's length. Pure.

Apple, Audio Interchange File Format 1.3 (1989) and AIFF-C (1991); Sun's and NeXT's .au (Oracle's audio(7)); Apple, Core
Audio Format Specification 1.0; NIST's SPHERE, whose header is text.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from pipeline.audio.sound import Sound, chunk_at, require
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

_PCM = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
_AIFC = {
    **dict.fromkeys((b"NONE", b"twos", b"sowt", b"in24", b"in32", b"42ni", b"23ni"), ("PCM", 0)),
    **dict.fromkeys((b"raw ",), ("PCM_U8", 1)),
    **dict.fromkeys((b"fl32", b"FL32"), ("FLOAT", 4)),
    **dict.fromkeys((b"fl64", b"FL64"), ("DOUBLE", 8)),
    **dict.fromkeys((b"ulaw", b"ULAW"), ("ULAW", 1)),
    **dict.fromkeys((b"alaw", b"ALAW"), ("ALAW", 1)),
}
_AU = {1: ("ULAW", 1), 2: ("PCM_S8", 1), 3: ("PCM_16", 2), 4: ("PCM_24", 3), 5: ("PCM_32", 4)}
_AU |= {6: ("FLOAT", 4), 7: ("DOUBLE", 8), 27: ("ALAW", 1)}
_AU_UNKNOWN = 0xFFFFFFFF
_CONVERT = "convert it with: ffmpeg -i IN OUT.flac"


def walk_aiff(data: bytes) -> Sound:
    """Walk from chunk to chunk of an AIFF or AIFF-C: the frames of COMM are those that SSND holds."""
    (size,) = _unpack(data, 4, ">I")
    end = 8 + size
    common: tuple[Any, ...] | None = None
    codec = b"NONE"
    body: tuple[int, int] | None = None
    at = 12
    while (name := chunk_at(data, at)) is not None:
        (length,) = _unpack(data, at + 4, ">I")
        require(data, at + 8 + length, f"the chunk {name.strip()}, which begins at byte {at},")
        if name == "COMM":
            common = _unpack(data, at + 8, ">hIhHQ")
            codec = data[at + 26 : at + 30] if data[8:12] == b"AIFC" else codec
        elif name == "SSND":
            body = (at + 16 + _unpack(data, at + 8, ">I")[0], at + 8 + length)
        at += 8 + length + length % 2
    if not 0 <= at - end <= 1:
        reason = Reason.TRUNCATED if end > len(data) else Reason.DAMAGED
        raise Rejected(reason, f"its FORM chunk ends at byte {end}, and its last chunk at {at}")
    if common is None or body is None:
        raise Rejected(Reason.TRUNCATED, f"it has no chunk {'COMM' if common is None else 'SSND'}")
    channels, frames, bits, exponent, mantissa = common
    rate = math.ldexp(mantissa, exponent - 16383 - 63) if exponent < 16_500 else 0.0
    if codec not in _AIFC:
        raise Rejected(Reason.UNSUPPORTED, f"AIFF with the codec {codec.decode('latin-1')}; {_CONVERT}")
    subtype, octets = _AIFC[codec]
    if subtype == "PCM":
        octets = -(-bits // 8)
        subtype = _named(_PCM, octets, f"AIFF of {bits} bits")
    sound = Sound("AIFF", subtype, _whole(rate), channels, frames, readable=data)
    _check_length(body[1] - body[0], frames * channels * octets, "the chunk SSND")
    return sound


def walk_au(data: bytes) -> Sound:
    """Read the header of a Sun or NeXT file; a size of 0xFFFFFFFF is unknown, and goes to the end of the file."""
    order = "<" if data[:4] == b"dns." else ">"
    begin, size, code, rate, channels = _unpack(data, 4, f"{order}5I")
    subtype, octets = _named(_AU, code, f"AU with the codec {code}")
    if size == _AU_UNKNOWN:
        size = len(data) - begin
    sound = Sound("AU", subtype, rate, channels, size // max(1, channels * octets), readable=data)
    require(data, begin + size, "its data")
    if begin < 24 or size % (channels * octets):
        raise Rejected(Reason.DAMAGED, f"{size} bytes of data from byte {begin} on are no whole number of frames")
    _check_end(data, begin + size)
    return sound


def walk_caf(data: bytes) -> Sound:
    """Walk from chunk to chunk of a Core Audio file; a size of −1 goes to the end of the file."""
    at = 8
    described: tuple[Any, ...] | None = None
    body: tuple[int, int] | None = None
    while (name := chunk_at(data, at)) is not None:
        (length,) = _unpack(data, at + 4, ">q")
        if name == "data" and length == -1:
            length = len(data) - at - 12
        if length < 0:
            raise Rejected(Reason.DAMAGED, f"a chunk of {length} bytes at byte {at}")
        require(data, at + 12 + length, f"the chunk {name.strip()}, which begins at byte {at},")
        if name == "desc":
            described = _unpack(data, at + 12, ">d4s5I")
        elif name == "data":
            body = (at + 16, at + 12 + length)
        at += 12 + length
    if described is None or body is None:
        raise Rejected(Reason.TRUNCATED, f"it has no chunk {'desc' if described is None else 'data'}")
    rate, codec, flags, packet_bytes, packet_frames, channels, bits = described
    octets = -(-bits // 8)
    if codec == b"lpcm":
        subtype = {4: "FLOAT", 8: "DOUBLE"}.get(octets, "") if flags & 1 else _PCM.get(octets, "")
    else:
        subtype, octets = {b"ulaw": ("ULAW", 1), b"alaw": ("ALAW", 1)}.get(codec, ("", 0))
    if not subtype:
        raise Rejected(Reason.UNSUPPORTED, f"CAF with the codec {codec.decode('latin-1')}, {bits} bits; {_CONVERT}")
    if packet_frames != 1 or packet_bytes != channels * octets:
        raise Rejected(Reason.DAMAGED, f"packets of {packet_frames} frames and {packet_bytes} bytes")
    sound = Sound("CAF", subtype, _whole(rate), channels, (body[1] - body[0]) // packet_bytes, readable=data)
    _check_length(body[1] - body[0], (sound.frames or 0) * packet_bytes, "the chunk data")
    return sound


def walk_sphere(data: bytes) -> Sound:
    """Read the header of a SPHERE file, as TIMIT's are: lines of a name, a type and a value."""
    try:
        begin = int(data[8:16])
    except ValueError:
        raise Rejected(Reason.DAMAGED, "a SPHERE file whose header does not say how long it is") from None
    require(data, begin, "its header")
    lines = data[16:begin].decode("latin-1").partition("end_head")[0].splitlines()
    facts = {parts[0]: parts[2] for parts in (line.split(maxsplit=2) for line in lines) if len(parts) == 3}
    coding = facts.get("sample_coding", "pcm").split(",")
    if coding != ["pcm"] and coding not in (["ulaw"], ["mu-law"], ["alaw"]):
        raise Rejected(Reason.UNSUPPORTED, f"SPHERE with the coding {','.join(coding)}; {_CONVERT}")
    try:
        count, rate = int(facts["sample_count"]), int(facts["sample_rate"])
        channels, octets = int(facts["channel_count"]), int(facts["sample_n_bytes"])
    except (KeyError, ValueError) as error:
        raise Rejected(Reason.DAMAGED, f"a SPHERE file whose header lacks a number: {error}") from None
    subtype = (
        _named(_PCM, octets, f"SPHERE of {octets} bytes")
        if coding == ["pcm"]
        else coding[0].replace("mu-", "u").upper()
    )
    sound = Sound("NIST", subtype, rate, channels, count, readable=data)
    require(data, begin + count * channels * octets, "its data")
    _check_end(data, begin + count * channels * octets)
    return sound


def _check_length(there: int, declared: int, what: str) -> None:
    if there - declared not in (0, 1):
        raise Rejected(Reason.DAMAGED, f"{what} holds {there} bytes of samples, and {declared} are declared")


def _check_end(data: bytes, at: int) -> None:
    if data[at:].strip(b"\0\t\n\r "):
        found = data[at : at + 4].hex(" ").upper()
        raise Rejected(Reason.DAMAGED, f"byte {at} of {len(data)} begins {found}, after the end of the sound")


def _named(names: dict[int, Any], key: int, what: str) -> Any:
    if key not in names:
        raise Rejected(Reason.UNSUPPORTED, f"{what}; {_CONVERT}")
    return names[key]


def _whole(rate: float) -> int:
    """Return a sample rate; 0, which no sound has, for one that is no number of Hz."""
    return int(rate) if math.isfinite(rate) and 0 < rate < 2**31 else 0


def _unpack(data: bytes, at: int, form: str) -> tuple[Any, ...]:
    require(data, at + struct.calcsize(form), "its header")
    return struct.unpack_from(form, data, at)
