"""Whether the side information of an MP3's frames is any that an encoder writes. Pure.

A decoder mutes a frame with other side information, or makes it a noise many times as loud as full scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_MOST_BIG_VALUES = 288  # pairs of the 576 lines of a granule
_LOUDEST_GAIN = 226  # global_gain at which the smallest value of a line is 16 times full scale, which is at 210


def first_wrong_frame(data: bytes, starts: Sequence[int], end: int, channels: int, *, mpeg1: bool) -> int | None:
    """Return which of the frames that begin at `starts` is the first one with side information that cannot be right.

    A granule has at most 288 pairs of big values; a switched window is not of type 0; no coefficient is many times as
    loud as full scale; granules are no longer than their frame and the reservoir before it (ISO/IEC 11172-3, 2.4.1.7
    and 2.4.2.7; ISO/IEC 13818-3, 2.4.1.7). `end` is that of the last frame. What is not MPEG-1 is MPEG-2 or 2.5, which
    has one granule in a frame.
    """
    num_bytes = (17, 32)[channels - 1] if mpeg1 else (9, 17)[channels - 1]
    if mpeg1:  # in bits: main_data_begin; where the granules begin; how many there are, and how long; window_switching
        reservoir, at, granules, granule_bits, switch_at = 9, (18, 20)[channels - 1], 2 * channels, 59, 33
    else:
        reservoir, at, granules, granule_bits, switch_at = 8, (9, 10)[channels - 1], channels, 63, 38
    words = np.ndarray((len(data),), ">u8", data + bytes(7), strides=(1,))  # the eight octets from each octet on
    frames = np.array(starts, dtype=np.int64)
    begins = frames + 4 + 2 * (words[frames + 1] >> 56 & 1 == 0)  # a check sum may come first

    bits = np.arange(at, at + granules * granule_bits, granule_bits)
    granule = words[begins[:, None] + bits // 8].astype(np.uint64) << (bits % 8).astype(np.uint64)  # 56 bits at least
    length, big_values, gain = granule >> 52, granule >> 43 & 511, granule >> 35 & 255
    window = granule >> (61 - switch_at) & 7  # window_switching_flag and block_type
    wrong = (big_values > _MOST_BIG_VALUES) | ((length > 0) & (gain > _LOUDEST_GAIN)) | (window == 4)
    before = (words[begins] >> (64 - reservoir)).astype(np.int64)
    held = before + np.append(frames[1:], end) - begins - num_bytes
    wrong = wrong.any(axis=1) | (length.sum(axis=1).astype(np.int64) > 8 * held)
    return int(wrong.argmax()) if wrong.any() else None
