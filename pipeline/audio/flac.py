"""Read the STREAMINFO of a FLAC file, and compare it with what decodes. Pure.

RFC 9639, sections 8.1 and 8.2. A frame of FLAC does not say how long it is, so that only a decode finds all damage: the
decoder checks each frame's CRC-16, and the MD5 of all samples stands in STREAMINFO.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.audio.sound import Sound, require
from pipeline.audio.tags import skip_id3v2
from pipeline.core.errors import Rejected
from pipeline.core.schema import Reason

_STREAMINFO_BYTES = 34
_MOST_FRAMES_PER_BYTE = 65_535 // 13  # a frame of one value, at its shortest
_SUBTYPES = {8: "PCM_S8", 16: "PCM_16", 24: "PCM_24"}


class _StreamInfo(NamedTuple):
    sample_rate: int
    channels: int
    bits: int
    frames: int  # 0 where it is not known
    md5: bytes  # zeros where it is not known


def walk(data: bytes) -> Sound:
    """Walk over the blocks of metadata.

    Raises Rejected with TRUNCATED if the file ends within them, or has no frames; with DAMAGED if there is no
    STREAMINFO, or it cannot be right.
    """
    at = skip_id3v2(data, 0) + 4
    info = _stream_info(data)
    while True:
        require(data, at + 4, f"the block of metadata at byte {at}")
        last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4])
        require(data, at + 4 + size, f"the block of metadata at byte {at}")
        at += 4 + size
        if last:
            break
    if at == len(data) and info.frames:
        raise Rejected(Reason.TRUNCATED, f"it ends after its metadata; {info.frames} samples are declared")
    if info.frames > _MOST_FRAMES_PER_BYTE * len(data):
        raise Rejected(Reason.DAMAGED, f"{info.frames} samples are declared, more than {len(data)} bytes can hold")
    subtype = _SUBTYPES.get(info.bits, f"PCM_{info.bits}")
    return Sound("FLAC", subtype, info.sample_rate, info.channels, info.frames or None, shortest=1, readable=data)


def count_frames(data: bytes, blocks: Iterable[npt.NDArray[np.int32]]) -> int:
    """Return how many frames a decode yielded: blocks of shape (frames, channels), in the upper bits of int32.

    Raises Rejected with DAMAGED if they are other samples than those that the file was made of.
    """
    info = _stream_info(data)
    octets = -(-info.bits // 8)
    md5 = hashlib.md5(usedforsecurity=False)
    frames = 0
    for block in blocks:
        values = (block >> (32 - info.bits)).astype("<i4")
        md5.update(values.reshape(-1, 1).view(np.uint8)[:, :octets].tobytes())
        frames += len(block)
    if any(info.md5) and md5.digest() != info.md5:
        raise Rejected(Reason.DAMAGED, "its samples do not have the MD5 that stands in STREAMINFO")
    return frames


def _stream_info(data: bytes) -> _StreamInfo:
    at = skip_id3v2(data, 0) + 4
    require(data, at + 4 + _STREAMINFO_BYTES, "the block STREAMINFO")
    if data[at] & 0x7F or int.from_bytes(data[at + 1 : at + 4]) != _STREAMINFO_BYTES:
        raise Rejected(Reason.DAMAGED, "its first block of metadata is not STREAMINFO")
    body = data[at + 4 : at + 4 + _STREAMINFO_BYTES]
    packed = int.from_bytes(body[10:18])  # 20 bits of rate, 3 of channels, 5 of bits, 36 of samples
    return _StreamInfo(packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1, body[18:])
