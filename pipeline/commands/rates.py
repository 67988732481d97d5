"""How fast this machine decodes and measures, timed in less than a second on a clip made in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time

import numpy as np
import pyarrow as pa
import soundfile

from pipeline.core.params import Params
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.waveforms.encodings import ENCODINGS, encoding_named
from pipeline.waveforms.shard import WaveformRecipe

_TIMES, _SECONDS, _RATE = 8, 4, 48_000  # an MP3, which takes longer than other formats


@dataclass(frozen=True)
class Rates:
    """Processor seconds per second of audio."""

    decode: float
    measure: float


def measured_rates(params: Params) -> Rates:
    """Time the recipes of `waveforms` and `features` on some copies of a clip, in processor time.

    Raises ParameterError if the encoding is unknown.
    """
    encoding_named(params.waveforms.encoding)
    waveforms = WaveformRecipe(params.waveforms.sample_rate, params.waveforms.encoding)
    audio = ENCODINGS[params.waveforms.encoding].FIELD.name
    features = FeatureRecipe(params.features.f0_hz, audio=audio)
    clips = pa.table({"clip_id": ["clip"] * _TIMES, "audio": [{"bytes": _clip(), "path": None}] * _TIMES})
    decoded, decode_seconds = _timed(waveforms.rows, clips)
    _, measure_seconds = _timed(features.rows, decoded)
    return Rates(decode_seconds / (_TIMES * _SECONDS), measure_seconds / (_TIMES * _SECONDS))


def _timed(rows: Callable[[pa.Table], pa.Table], source: pa.Table) -> tuple[pa.Table, float]:
    """Return what a recipe makes of `source`, and its processor seconds once its libraries are loaded."""
    rows(source.slice(0, 1))
    began = process_time()
    made = rows(source)
    return made, process_time() - began


def _clip() -> bytes:
    """Return an MP3 of a voice-like sound: the harmonics of 120 Hz, and some noise."""
    times = np.arange(_SECONDS * _RATE) / _RATE
    waveform = sum(np.sin(2 * np.pi * 120 * each * times) / each for each in range(1, 20))
    waveform += 0.05 * np.random.default_rng(120).standard_normal(len(times))
    file = io.BytesIO()
    soundfile.write(file, (waveform / 8).astype(np.float32), _RATE, format="MP3")
    return file.getvalue()
