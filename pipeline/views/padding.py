"""Cut or fill clips of different lengths to the same number of seconds. Pure."""

from __future__ import annotations

import math
import os

import numpy as np
import numpy.typing as npt

MOST_SECONDS = 3600.0


def samples_in(seconds: float, sample_rate: int, *, name: str = "seconds") -> int:
    """Return the number of samples in a time, 1 or more.

    Raises ValueError if the time is not a number, is shorter than a sample, or longer than an hour; the message calls
    it `name`.
    """
    if not 1 / sample_rate <= seconds <= MOST_SECONDS:  # nor is NaN
        raise ValueError(f"{name} is a time of one sample (1/{sample_rate} s) to {MOST_SECONDS:g} s; got {seconds!r}")
    return round(seconds * sample_rate)


def filled(shape: tuple[int, ...], value: float = 0.0) -> npt.NDArray[np.float32]:
    """Return a float32 array filled with `value`.

    Raises MemoryError, before anything is allocated, if it is larger than this machine's memory.
    """
    size_bytes = math.prod(shape) * 4
    if size_bytes > _memory_bytes():
        raise MemoryError(
            f"an array of shape {shape} takes {size_bytes / 1e9:,.1f} GB, more than this machine's memory; "
            "ask for fewer seconds, or take the clips in batches: for some in clips.batches(512)"
        )
    return np.full(shape, value, dtype=np.float32)


def _memory_bytes() -> float:
    """Return the size of this machine's memory; infinity where the platform does not tell."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return math.inf
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
