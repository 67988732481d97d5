"""Whether the side information of an MP3's frames is any that an encoder writes. Pure.

A decoder mutes a frame with other side information, or makes it a noise many times as loud as full scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_MOST_BIG_VALUES = 288  # pairs of the 576 lines of a granule
_LOUDEST_GAIN = 226  # global_gain at which the smallest value of a line is 16 times full scale, which is at 210


def first_wrong_frame(data: bytes, starts: Sequence[int], end: int, channels: int, *, mpeg1: bool) -> int | None:
    """Return which of the frames that begin at `starts` is the first one with side information that cannot be right.

    A granule has at most 288 pairs of big values; a switched window is not of type 0; no coefficient is many times as
    loud as full scale; granules are no longer than their frame and the reservoir before it (ISO/IEC 11172-3, 2.4.1.7
    and 2.4.2.7; ISO/IEC 13818-3, 2.4.1.7).

    Parameters
    ----------
    end
        Of the last frame.
    channels
        Of all frames.
    mpeg1
        Otherwise they are of MPEG-2 or 2.5, which has one granule in a frame.
    """
    num_bytes = (17, 32)[channels - 1] if mpeg1 else (9, 17)[channels - 1]
    if mpeg1:  # in bits: main_data_begin; where the granules begin; how many there are, and how long; window_switching
        reservoir, at, granules, granule_bits, switch_at = 9, (18, 20)[channels - 1], 2 * channels, 59, 33
    else:
        reservoir, at, granules, granule_bits, switch_at = 8, (9, 10)[channels - 1], channels, 63, 38
    octets = np.frombuffer(data, dtype=np.uint8)
    frames = np.array(starts, dtype=np.int64)
    begins = frames + 4 + 2 * (octets[frames + 1] & 1 == 0)  # a check sum may come first
    bits = np.unpackbits(octets[np.minimum(begins, end - num_bytes)[:, None] + np.arange(num_bytes)], axis=1)

    def number(begin: int, width: int) -> npt.NDArray[np.int64]:
        return bits[:, begin : begin + width].astype(np.int64) @ (1 << np.arange(width)[::-1])

    wrong = np.zeros(len(frames), dtype=np.bool_)
    needed = np.zeros(len(frames), dtype=np.int64)  # bits of main data
    for begin in range(at, at + granules * granule_bits, granule_bits):
        length, big_values, gain = number(begin, 12), number(begin + 12, 9), number(begin + 21, 8)
        needed += length
        wrong |= (big_values > _MOST_BIG_VALUES) | ((length > 0) & (gain > _LOUDEST_GAIN))
        wrong |= (number(begin + switch_at, 1) == 1) & (number(begin + switch_at + 1, 2) == 0)
    held = number(0, reservoir) + np.append(frames[1:], end) - begins - num_bytes
    wrong |= needed > 8 * held
    return int(wrong.argmax()) if wrong.any() else None
