"""The first frame of an MP3 where it describes the file in place of holding audio. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Intro(NamedTuple):
    """A first frame that describes the file."""

    name: str  # Xing, Info or VBRI
    num_frames: int  # 0 where it does not say
    num_bytes: int = 0  # from this frame to the last; 0 where it does not say
    delay: int = 0  # samples that the decoder takes away at the begin, beside its own delay
    padding: int = 0  # and at the end
    extended: bool = False  # by LAME, or in its manner

    @property
    def is_skipped(self) -> bool:
        """Whether the decoder takes it for a description: mpg123 does not know VBRI, and plays that frame."""
        return self.name != "VBRI"


def introduction(frame: bytes, side_info_bytes: int) -> Intro | None:
    """Read a first frame; None if it holds audio.

    Xing and Info: as mpg123 takes them (check_lame_tag in its parse.c), field by field as far as the frame goes.
    VBRI is Fraunhofer's.
    """
    at = 4 + side_info_bytes
    name = frame[at : at + 4]
    if frame[36:40] == b"VBRI":
        return Intro("VBRI", int.from_bytes(frame[50:54]))
    if name not in {b"Xing", b"Info"} or len(frame) < at + 8 or any(frame[6:at]):
        return None
    flags = frame[at + 7]
    at += 8
    numbers = {1: 0, 2: 0}  # bit and value of: frames, bytes from this frame on
    for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)):  # and then: table for seeking, quality
        if flags & bit:
            if bit in numbers and len(frame) >= at + size:
                numbers[bit] = int.from_bytes(frame[at : at + size])
            at += size
    extended = len(frame) >= at + 24 and frame[at] != 0
    both = int.from_bytes(frame[at + 21 : at + 24]) if extended else 0
    return Intro(name.decode(), numbers[1], numbers[2], both >> 12, both & 0xFFF, extended)
