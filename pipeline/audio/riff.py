"""Walk over the chunks of a WAV, RF64 or Wave64 file. Pure.

Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991); RFC 2361 for the codes of
formats; EBU Tech 3306 for RF64; Sonic Foundry's Wave64 specification.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import NamedTuple

from pipeline.audio.sound import Sound, chunk_at, require
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

W64_BEGIN = bytes.fromhex("726966662E91CF11A5D628DB04C10000")
_W64_TAIL = bytes.fromhex("F3ACD3118CD100C04F8EDB8A")  # of the GUIDs of its chunks, after four letters
_EXTENSIBLE = 0xFFFE
_EXTENSIBLE_TAIL = bytes.fromhex("000000001000800000AA00389B71")
_PLAIN = {1: "PCM", 3: "FLOAT", 6: "ALAW", 7: "ULAW"}
_BLOCKS = {2: "MS_ADPCM", 0x11: "IMA_ADPCM"}
_STREAMED = 0x7FFFF000  # bytes from which a size is what a program writes that cannot go back to correct it
_MISCOUNTED = (1, 8)  # bytes by which the size of a whole file is too large: a missing pad, or the header counted in


class _Format(NamedTuple):
    subtype: str
    channels: int
    sample_rate: int
    block_bytes: int
    block_frames: int


def walk(data: bytes) -> Sound:
    """Walk from chunk to chunk of a WAV (RIFF, RIFX or RF64).

    The sizes of RIFF and `data` are compared with the length of the file. Where they are 0 or as good as endless, as a
    program writes them that cannot seek or was killed, `data` goes to the end of the file.

    Raises Rejected with TRUNCATED if a chunk ends beyond the file; with DAMAGED if there is something else than chunks,
    or sizes contradict each other; with UNSUPPORTED for another codec.
    """
    order = ">" if data[:4] == b"RIFX" else "<"
    size = _number(data, 4, order + "I")
    wide = data[:4] == b"RF64"
    sizes64: tuple[int, ...] = ()
    form: _Format | None = None
    body: tuple[int, int] | None = None
    borders = {12}
    at = 12
    while (name := chunk_at(data, at)) is not None:
        length = _number(data, at + 4, order + "I")
        begin = at + 8
        if name == "ds64" and wide:
            require(data, begin + 24, "the chunk ds64")
            sizes64 = struct.unpack_from("<QQQ", data, begin)
        elif name == "fmt " and form is None:
            require(data, begin + length, "the chunk fmt")
            form = _format(data[begin : begin + length], order)
        elif name == "data" and body is None:
            length = _data_bytes(data, begin, size, sizes64)
            body = (begin, begin + length)
        require(data, begin + length, f"the chunk {name.strip()}, which begins at byte {at},")
        at = begin + length + length % 2
        borders |= {at, begin + length}
    if form is None or body is None:
        missing = "fmt" if form is None else "data"
        raise Rejected(Reason.TRUNCATED, f"it has no chunk {missing}, up to byte {at} of {len(data)}")
    end = 8 + (sizes64[0] if wide and size >= _STREAMED and sizes64 else size)
    streamed = end >= _STREAMED or end <= body[0]
    if not streamed and end not in borders and end - len(data) not in _MISCOUNTED:
        reason = Reason.TRUNCATED if end > len(data) else Reason.DAMAGED
        found = f"its RIFF chunk ends at byte {end}; the file has {len(data)}, and its last chunk ends at {at}"
        raise Rejected(reason, found)
    sound = _sound("RF64" if wide else "WAV", data, form, body)
    if data[body[0] - 4 : body[0]] == bytes(4) and sound.frames:  # libsndfile takes a size of 0 at its word
        return replace(sound, readable=data[: body[0] - 4] + b"\xff" * 4 + data[body[0] :])
    return sound


def walk_w64(data: bytes) -> Sound:
    """Walk from chunk to chunk of a Wave64, whose sizes have 64 bits and include 24 bytes of header."""
    require(data, 40, "its header")
    require(data, _number(data, 16, "<Q"), "the file")
    form: _Format | None = None
    body: tuple[int, int] | None = None
    at = 40
    while (name := chunk_at(data, at)) is not None:
        size = _number(data, at + 16, "<Q")
        if size < 24 or data[at + 4 : at + 16] != _W64_TAIL:
            raise Rejected(Reason.DAMAGED, f"a chunk of {size} bytes at byte {at}")
        require(data, at + size, f"the chunk {name.strip()}, which begins at byte {at},")
        if name == "fmt " and form is None:
            form = _format(data[at + 24 : at + size], "<")
        elif name == "data" and body is None:
            body = (at + 24, at + size)
        at += size + -size % 8
    if form is None or body is None:
        raise Rejected(Reason.TRUNCATED, f"it has no chunk {'fmt' if form is None else 'data'}")
    return _sound("W64", data, form, body)


def _data_bytes(data: bytes, begin: int, size: int, sizes64: tuple[int, ...]) -> int:
    """Return the length of the chunk `data`; `size` is that of the RIFF chunk."""
    length = int.from_bytes(data[begin - 4 : begin], "big" if data[:4] == b"RIFX" else "little")
    if sizes64 and length >= _STREAMED:
        length = sizes64[1]
    unknown = length >= _STREAMED and begin + length > len(data)
    unclosed = length == 0 and (size >= _STREAMED or 8 + size <= begin)
    return len(data) - begin if unknown or unclosed else length


def _format(chunk: bytes, order: str) -> _Format:
    """Read the chunk fmt."""
    if len(chunk) < 16:
        raise Rejected(Reason.DAMAGED, f"a chunk fmt of {len(chunk)} bytes")
    code, channels, sample_rate, _, block_bytes, bits = struct.unpack_from(f"{order}HHIIHH", chunk)
    if code == _EXTENSIBLE and len(chunk) >= 40 and chunk[26:40] == _EXTENSIBLE_TAIL:
        code = _number(chunk, 24, order + "H")
    if code in _BLOCKS and len(chunk) >= 20 and block_bytes:
        return _Format(_BLOCKS[code], channels, sample_rate, block_bytes, _number(chunk, 18, order + "H"))
    if code not in _PLAIN:
        raise Rejected(Reason.UNSUPPORTED, f"WAV with the codec 0x{code:04X}; convert it with: ffmpeg -i IN OUT.flac")
    octets = -(-bits // 8)
    subtype = {
        "PCM": {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"},
        "FLOAT": {4: "FLOAT", 8: "DOUBLE"},
        "ALAW": {1: "ALAW"},
        "ULAW": {1: "ULAW"},
    }[_PLAIN[code]].get(octets)
    if subtype is None or channels * octets != block_bytes:
        raise Rejected(
            Reason.DAMAGED, f"its chunk fmt says {channels} channels of {bits} bits in blocks of {block_bytes} bytes"
        )
    return _Format(subtype, channels, sample_rate, block_bytes, 1)


def _sound(name: str, data: bytes, form: _Format, body: tuple[int, int]) -> Sound:
    blocks, rest = divmod(body[1] - body[0], form.block_bytes)
    if rest:
        reason = Reason.TRUNCATED if body[1] == len(data) else Reason.DAMAGED
        raise Rejected(reason, f"its samples end with {rest} of the {form.block_bytes} bytes of a block")
    return Sound(name, form.subtype, form.sample_rate, form.channels, blocks * form.block_frames, readable=data)


def _number(data: bytes, at: int, form: str) -> int:
    require(data, at + struct.calcsize(form), "its header")
    number: int = struct.unpack_from(form, data, at)[0]
    return number
