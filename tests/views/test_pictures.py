"""Pictures are the front end's spectrograms, cut or filled to one size, in any number of processes."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.audio.front_ends import FRONT_ENDS
from pipeline.core.errors import WorkerError
from pipeline.views import pictures
from pipeline.waveforms.reader import Waveforms
from tests.support.waveforms import voice, waveforms_of

LENGTHS = [0, 1, 160, 511, 512, 513, 16_000, 48_000, 70_000, 20_000]
RATE = 16_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Waveforms:
    folder = tmp_path_factory.mktemp("pictures") / "waveforms"
    return waveforms_of(folder, [voice(length) for length in LENGTHS], shard=4)


@pytest.mark.parametrize(("name", "reference"), [("mel-128", "full-scale"), ("mel-128", "clip"), ("whisper-80", None)])
@pytest.mark.parametrize("seconds", [0.05, 3.0])
def test_pictures_are_the_spectrograms_of_their_clips_on_a_floor(
    clips: Waveforms, name: str, reference: str | None, seconds: float
) -> None:
    made, lengths = pictures.spectrograms(clips, front_end=name, seconds=seconds, reference=reference)
    front_end, samples = FRONT_ENDS[name], round(seconds * RATE)
    level = reference or front_end.default_reference
    assert made.shape == (len(LENGTHS), front_end.mels, front_end.frames(samples))
    assert made.dtype == np.float32
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [front_end.frames(min(length, samples)) for length in LENGTHS]
    for picture, length, clip in zip(made, lengths.tolist(), clips, strict=True):
        expected = front_end.spectrogram(clip.waveform[:samples], RATE, level)
        np.testing.assert_array_equal(picture[:, :length], expected)
        assert (picture[:, length:] == np.float32(front_end.floors[level])).all()


def test_pictures_have_the_published_defaults(clips: Waveforms) -> None:
    assert pictures.spectrograms(clips)[0].shape == (10, 128, 94)
    assert pictures.spectrograms(clips, "whisper-128")[0].shape == (10, 128, 300)
    np.testing.assert_array_equal(
        pictures.spectrograms(clips)[0], pictures.spectrograms(clips, reference="full-scale")[0]
    )


@pytest.mark.more
def test_pictures_are_the_same_by_processes_and_in_batches(clips: Waveforms, monkeypatch: pytest.MonkeyPatch) -> None:
    view = clips[::-1][np.arange(10) != 3]
    expected, lengths = pictures.spectrograms(view, seconds=1.0, processes=1)
    for processes in (1, 2):
        batches = list(pictures.batches(view, seconds=1.0, processes=processes, clips_per_batch=2))
        assert [len(some) for some, _ in batches] == [2, 2, 2, 2, 1]
        np.testing.assert_array_equal(np.concatenate([some for some, _ in batches]), expected)
        np.testing.assert_array_equal(np.concatenate([some for _, some in batches]), lengths)
    monkeypatch.setattr(pictures, "_TASK_CLIPS", 4)
    np.testing.assert_array_equal(pictures.spectrograms(view, seconds=1.0, processes=2)[0], expected)
    assert pictures.spectrograms(view.head(0))[0].shape == (0, 128, 94)


def test_pictures_are_prefetched_only_a_little(clips: Waveforms, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    compute = pictures.compute

    def counting(view: Waveforms, *rest: object) -> object:
        computed.append(len(view))
        return compute(view, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pictures, "compute", counting)
    batches = pictures.batches(clips, processes=1, clips_per_batch=2)
    assert computed == []
    next(batches)
    assert computed == [2]


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.more
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this platform has no SIGKILL")
def test_pictures_by_a_worker_that_dies_are_an_error(clips: Waveforms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "compute", killed)
    with pytest.raises(WorkerError, match="worker process ended"):
        list(pictures.batches(clips, processes=2, clips_per_batch=2))


def test_pictures_that_cannot_be_drawn_are_an_error(clips: Waveforms, tmp_path: Path) -> None:
    slow = waveforms_of(tmp_path / "waveforms", [voice(8000, 8000)], rate=8000)
    for view, options, facts in (
        (clips, {"front_end": "mel-64"}, "'mel-64'.*mel-128, whisper-80, whisper-128"),
        (clips, {"reference": "max"}, "'max'.*full-scale, clip"),
        (clips, {"seconds": 0}, "^seconds"),
        (slow, {"front_end": "whisper-80"}, "whisper-80.*16000 Hz.*8000 Hz"),
    ):
        for draw in (pictures.spectrograms, pictures.batches):
            with pytest.raises(ValueError, match=facts):
                draw(view, **options)


@pytest.mark.parametrize(("name", "reference"), [("mel-128", "full-scale"), ("mel-128", "clip"), ("whisper-80", None)])
def test_png_has_a_pixel_for_each_band_and_frame(clips: Waveforms, name: str, reference: str | None) -> None:
    (picture,), _ = pictures.spectrograms(clips[6:7], front_end=name, reference=reference)
    with Image.open(io.BytesIO(pictures.png(picture, name, reference))) as image:
        grey = np.asarray(image).astype(float)
    assert image.mode == "L"
    assert grey.shape == picture.shape
    assert (grey[:, -1] == 0).all()  # the floor that fills a short clip
    front_end = FRONT_ENDS[name]
    level = reference or front_end.default_reference
    floor, ceiling = front_end.floors[level], front_end.ceilings[level]
    np.testing.assert_allclose(grey[::-1] / 255 * (ceiling - floor) + floor, picture, atol=(ceiling - floor) / 500)
