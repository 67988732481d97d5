"""The columns of the table, with their units: ``field.metadata[b"unit"]``."""

from __future__ import annotations

import pyarrow as pa

from pipeline.audio.spectrum import MFCCS

SHAPES = {"centroid": "Hz", "bandwidth": "Hz", "rolloff": "Hz", "flatness": "1", "zcr": "1", "rms": "1"}
"""Measurements of each frame besides its MFCCs, with their units: UCUM codes, in which 1 is a pure number."""


def _field(name: str, unit: str, kind: pa.DataType | None = None) -> pa.Field:
    return pa.field(name, kind or pa.float32(), metadata={"unit": unit})


COPIED = pa.schema([("clip_id", pa.string()), ("rank", pa.int64()), ("split", pa.string())])
MEASURED = pa.schema(
    [
        *(_field(f"f0_{statistic}_hz", "Hz") for statistic in ("mean", "median", "std", "p05", "p95")),
        _field("voiced_fraction", "1"),
        *(_field(f"mfcc_{number:02}_{statistic}", "dB") for number in range(MFCCS) for statistic in ("mean", "std")),
        *(
            _field(f"{shape}_{statistic}{'_hz' if unit == 'Hz' else ''}", unit)
            for shape, unit in SHAPES.items()
            for statistic in ("mean", "std")
        ),
        _field("speech_start_seconds", "s"),
        _field("speech_end_seconds", "s"),
        _field("words", "1", pa.int32()),
        _field("words_per_second", "1/s"),
    ]
)
COLUMNS = pa.schema([*COPIED, *MEASURED])
