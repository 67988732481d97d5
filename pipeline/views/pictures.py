"""Pictures: log-mel spectrograms of one size, as image networks take them.

They are computed while the waveforms are read, and not stored.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Future

import numpy as np
import numpy.typing as npt

from pipeline.core.errors import WorkerError, naming_the_extra
from pipeline.core.progress import progress
from pipeline.views import padding
from pipeline.waveforms.reader import Waveforms

with naming_the_extra():
    from PIL import Image

    from pipeline.audio.front_ends import FRONT_ENDS, REFERENCES, FrontEnd
    from pipeline.core.params import load_runtime
    from pipeline.engines.local import LocalProcesses

__all__ = ["batches", "png", "spectrograms"]

Float32 = npt.NDArray[np.float32]
Lengths = npt.NDArray[np.int64]

_TASK_CLIPS = 256  # 12 MB of pictures of 3 s travel back from a worker at a time
_FEW_CLIPS = 1024  # fewer are done before worker processes have started


def spectrograms(
    clips: Waveforms,
    front_end: str = "mel-128",
    seconds: float = 3.0,
    reference: str | None = None,
    processes: int | None = None,
) -> tuple[Float32, Lengths]:
    """Return the log-mel spectrograms of the first `seconds` of each clip.

    Parameters
    ----------
    clips
        Any view.
    front_end
        ``mel-128``: 128 mels, frames of 2,048 samples every 512, in dB, as ``librosa.feature.melspectrogram`` and
        ``librosa.power_to_db`` have it. ``whisper-80``, ``whisper-128``: frames of 400 samples every 160 at 16 kHz, as
        Whisper's encoders take them.
    seconds
        Longer clips are cut, shorter ones filled with the floor.
    reference
        ``full-scale``: levels relative to full scale, so that a quiet clip is darker than a loud one; the
        floor is −100 dB. ``clip``: levels are relative to each clip's loudest, down to −80 dB (Whisper: −8 powers of
        ten). The default is the published one: `full-scale` for mel-128, `clip` for Whisper.
    processes
        Worker processes; by default as many as `configs/runtime.yaml` says, or one for few clips. A script that asks
        for more than one needs ``if __name__ == "__main__":``, as for all of Python's multiprocessing.

    Returns
    -------
    pictures : numpy.ndarray
        float32 of shape (n, mels, frames), low frequencies first.
    lengths : numpy.ndarray
        int64 of shape (n,): frames of the clip; the others are floor.

    Raises
    ------
    ValueError
        Unknown front end or reference, `seconds` out of range, or the front end is not defined for the clips' sample
        rate.
    MemoryError
        The array is larger than this machine's memory; take `batches`.
    WorkerError
        A worker process ended.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import pictures
    >>> drawn, lengths = pictures.spectrograms(open_waveforms().head(4), seconds=1.5)
    >>> drawn.shape, drawn.dtype, lengths
    ((4, 128, 47), dtype('float32'), array([47, 47, 33, 28]))
    """
    chosen, level = _checked(front_end, reference, clips.sample_rate)
    shape = (chosen.mels, chosen.frames(padding.samples_in(seconds, clips.sample_rate)))
    pictures = padding.filled((len(clips), *shape))
    lengths = np.zeros(len(clips), dtype=np.int64)
    done = 0
    for some, of_some in batches(clips, front_end, seconds, level, processes, clips_per_batch=_TASK_CLIPS):
        pictures[done : done + len(some)] = some
        lengths[done : done + len(some)] = of_some
        done += len(some)
    return pictures, lengths


def batches(
    clips: Waveforms,
    front_end: str = "mel-128",
    seconds: float = 3.0,
    reference: str | None = None,
    processes: int | None = None,
    *,
    clips_per_batch: int = _TASK_CLIPS,
) -> Iterator[tuple[Float32, Lengths]]:
    """Yield what `spectrograms` returns, a batch of clips at a time, in order: for more than fits in memory.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import pictures
    >>> [drawn.shape for drawn, lengths in pictures.batches(open_waveforms(), clips_per_batch=50)]
    [(50, 128, 94), (50, 128, 94), (20, 128, 94)]
    """
    chosen, level = _checked(front_end, reference, clips.sample_rate)
    samples = padding.samples_in(seconds, clips.sample_rate)
    views = clips.batches(clips_per_batch)
    if processes is None:
        processes = load_runtime().processes if len(clips) >= _FEW_CLIPS else 1
    return _in_order([(view, chosen.name, samples, level) for view in views], processes)


def png(picture: Float32, front_end: str = "mel-128", reference: str | None = None) -> bytes:
    """Return a spectrogram as a PNG of 8 bit grey, a pixel for each band and frame, low frequencies at the bottom.

    Black is the floor of the front end and reference, white a sine at full scale, or the clip's loudest.

    Parameters
    ----------
    picture
        float32 of shape (mels, frames), from `spectrograms` with this front end and reference.

    Examples
    --------
    >>> from pipeline import open_waveforms
    >>> from pipeline.views import pictures
    >>> drawn, lengths = pictures.spectrograms(open_waveforms().head(1))
    >>> pictures.png(drawn[0])[1:4]
    b'PNG'
    """
    chosen, level = _checked(front_end, reference)
    floor, ceiling = chosen.floors[level], chosen.ceilings[level]
    grey = np.clip(np.rint((picture[::-1] - floor) * (255 / (ceiling - floor))), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG")
    return buffer.getvalue()


def compute(clips: Waveforms, front_end: str, samples: int, reference: str) -> tuple[Float32, Lengths]:
    """Return the pictures of the first `samples` of each clip, and their lengths; in this process."""
    chosen = FRONT_ENDS[front_end]
    pictures = padding.filled((len(clips), chosen.mels, chosen.frames(samples)), chosen.floors[reference])
    lengths = np.zeros(len(clips), dtype=np.int64)
    for place, waveform in enumerate(clips.samples()):
        picture = chosen.spectrogram(waveform[:samples], clips.sample_rate, reference)
        lengths[place] = picture.shape[1]
        pictures[place, :, : lengths[place]] = picture
    return pictures, lengths


def _in_order(tasks: list[tuple[Waveforms, str, int, str]], processes: int) -> Iterator[tuple[Float32, Lengths]]:
    """Yield the results of `compute` in the order of the tasks, a few of which are prefetched."""
    futures: deque[Future[tuple[Float32, Lengths]]] = deque()
    todo = iter(tasks)
    with (
        progress("pictures", sum(len(clips) for clips, *_ in tasks), "clips") as bar,
        LocalProcesses(processes).start(compute, len(tasks)) as (executor, in_flight),
    ):
        try:
            while True:
                for _, task in zip(range(2 * in_flight - 1 - len(futures)), todo, strict=False):
                    futures.append(executor.submit(compute, *task))
                if not futures:
                    return
                pictures, lengths = futures.popleft().result()
                bar.update(len(lengths))
                yield pictures, lengths
        except BrokenExecutor:
            raise WorkerError(
                "a worker process ended while it drew pictures: it was killed, memory ran out, or the script that asks "
                'for them lacks its `if __name__ == "__main__":`. Ask again with processes=1 to do it in this process.'
            ) from None


def _checked(front_end: str, reference: str | None, sample_rate: int | None = None) -> tuple[FrontEnd, str]:
    """Return a front end, and its reference; raise ValueError where there is none, or it has another sample rate."""
    if front_end not in FRONT_ENDS:
        raise ValueError(f"there is no front end {front_end!r}; there are {', '.join(FRONT_ENDS)}")
    chosen = FRONT_ENDS[front_end]
    level = chosen.default_reference if reference is None else reference
    if level not in REFERENCES:
        raise ValueError(f"there is no reference {level!r}; there are {', '.join(REFERENCES)}")
    if sample_rate and chosen.sample_rate not in {None, sample_rate}:
        raise ValueError(
            f"{front_end} is defined for {chosen.sample_rate} Hz, and these waveforms have {sample_rate} Hz"
        )
    return chosen, level
