"""Series: the waveforms themselves, windows cut out of them, and their envelopes, each as one array.

The shape (n, 1, time) is that of aeon, sktime and torch's one-dimensional convolutions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import naming_the_extra
from pipeline.views import padding
from pipeline.waveforms.reader import Waveforms

__all__ = ["array", "envelopes", "windows"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Lengths = npt.NDArray[np.int64]


def array(clips: Waveforms, seconds: float = 3.0) -> tuple[Float32, Lengths]:
    """Return the first `seconds` of each clip.

    Parameters
    ----------
    clips
        Any view. For more clips than fit in memory: ``for some in clips.batches(512): series.array(some)``.
    seconds
        Longer clips are cut, shorter ones are filled with zeros.

    Returns
    -------
    samples : numpy.ndarray
        float32 of shape (n, 1, samples), in −1…1.
    lengths : numpy.ndarray
        int64 of shape (n,): samples of the clip.

    Raises
    ------
    ValueError
        `seconds` is not between a sample and an hour.
    MemoryError
        The array is larger than this machine's memory.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import series
    >>> samples, lengths = series.array(open_waveforms().head(4), seconds=1.5)
    >>> samples.shape, lengths
    ((4, 1, 24000), array([24000, 24000, 16512, 14208]))
    """
    samples = padding.samples_in(seconds, clips.sample_rate)
    cut = padding.filled((len(clips), 1, samples))
    lengths = np.zeros(len(clips), dtype=np.int64)
    for place, waveform in enumerate(clips.samples()):
        lengths[place] = min(len(waveform), samples)
        cut[place, 0, : lengths[place]] = waveform[:samples]
    return cut, lengths


def windows(
    clips: Waveforms, seconds: float = 1.0, hop_seconds: float = 0.5
) -> tuple[Float32, npt.NDArray[np.str_], Float64]:
    """Cut windows of `seconds` out of each clip, one every `hop_seconds` from its first sample on.

    Only whole windows: the rest at the end of a clip is left out, and a clip shorter than a window has none.

    Returns
    -------
    samples : numpy.ndarray
        float32 of shape (m, 1, samples), in −1…1.
    clip_id : numpy.ndarray
        str of shape (m,): the clip of each window.
    start_seconds : numpy.ndarray
        float64 of shape (m,): the start of each window in its clip.

    Raises
    ------
    ValueError
        `seconds` or `hop_seconds` is not between a sample and an hour.
    MemoryError
        The array is larger than this machine's memory.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import series
    >>> samples, clip_id, start_seconds = series.windows(open_waveforms().head(2))
    >>> samples.shape, start_seconds
    ((4, 1, 16000), array([0. , 0.5, 0. , 0.5]))
    """
    rate = clips.sample_rate
    window = padding.samples_in(seconds, rate)
    hop = padding.samples_in(hop_seconds, rate, name="hop_seconds")
    known = clips.metadata()
    counts = np.maximum((known["num_samples"].to_numpy(dtype=np.int64) - window) // hop + 1, 0)
    cut = padding.filled((int(counts.sum()), 1, window))
    place = 0
    for waveform, count in zip(clips.samples(), counts.tolist(), strict=True):
        if count:
            cut[place : place + count, 0] = np.lib.stride_tricks.sliding_window_view(waveform, window)[::hop]
            place += count
    numbers = np.arange(len(cut)) - np.repeat(np.cumsum(counts) - counts, counts)
    ids = known["clip_id"].to_numpy(dtype=str)
    return cut, np.repeat(ids, counts), numbers * (hop / rate)


def envelopes(clips: Waveforms, rate: int = 100, seconds: float = 3.0) -> tuple[Float32, Lengths]:
    """Return the amplitude envelope of the first `seconds` of each clip.

    It is the magnitude of the analytic signal (the waveform and, as its imaginary part, its Hilbert transform: Gabor
    1946), its mean over each 1/`rate` of a second; at 100 a second that is 10 ms.

    Parameters
    ----------
    clips
        Any view.
    rate
        Values for each second, in Hz; has to divide the sample rate.
    seconds
        Longer clips are cut before anything else, shorter ones are filled with zeros.

    Returns
    -------
    envelopes : numpy.ndarray
        float32 of shape (n, 1, frames), nominally in 0…1.
    lengths : numpy.ndarray
        int64 of shape (n,): whole frames of the clip; the rest is left out.

    Raises
    ------
    ValueError
        `rate` does not divide the sample rate, or `seconds` is not between a sample and an hour.
    MemoryError
        The array is larger than this machine's memory.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import series
    >>> drawn, lengths = series.envelopes(open_waveforms().head(4))
    >>> drawn.shape, lengths
    ((4, 1, 300), array([192, 189, 103,  88]))
    """
    samples = padding.samples_in(seconds, clips.sample_rate)
    if rate != int(rate) or not 0 < rate <= clips.sample_rate or clips.sample_rate % rate:
        raise ValueError(f"rate has to divide the sample rate of {clips.sample_rate} Hz; got {rate!r}")
    hop = clips.sample_rate // int(rate)
    drawn = padding.filled((len(clips), 1, samples // hop))
    lengths = np.zeros(len(clips), dtype=np.int64)
    with naming_the_extra():
        from scipy.signal import hilbert  # noqa: PLC0415  slow to import, and arrays and windows do without it

    for place, waveform in enumerate(clips.samples()):
        frames = lengths[place] = min(len(waveform), samples) // hop
        if frames:
            magnitude = np.abs(hilbert(waveform[:samples]))
            drawn[place, 0, :frames] = magnitude[: frames * hop].reshape(-1, hop).mean(axis=1)
    return drawn, lengths
