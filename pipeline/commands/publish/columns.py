"""What each column is, in a sentence, with its unit: for the people and machines that read what is published."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pipeline.core.columns import declared
from pipeline.views.features import columns

_WAVEFORMS = {
    "clip_id": ("The name of the clip; unique.", None),
    "waveform": ("The samples of the clip, mono.", None),
    "audio": ("The clip as a FLAC file of 16 bits, mono.", None),
    "sample_rate": ("Samples of the waveform per second.", "Hz"),
    "num_samples": ("How many samples the waveform has.", None),
    "duration_seconds": ("num_samples / sample_rate.", "s"),
    "source_format": ("Format of the file that the waveform was decoded from.", None),
    "source_sample_rate": ("Sample rate of that file.", "Hz"),
    "source_channels": ("Channels of that file.", None),
    "source_sha256": ("SHA-256 of that file.", None),
    "table": ("The table of the source that lists the clip.", None),
    "split": ("The split that the clip belongs to.", None),
    "rank": ("Place in the ranking; the clips up to any rank are a stratified sample.", None),
    "start_seconds": ("Where in its file the waveform begins.", "s"),
    "peak_dbfs": ("Largest magnitude, relative to full scale.", "dB"),
    "rms_dbfs": ("Root mean square, relative to full scale.", "dB"),
    "clipped_samples": ("Samples that were clipped to fit 16 bits.", None),
}
_FEATURES = {
    "f0": "Fundamental frequency of the voiced frames",
    "voiced_fraction": "Share of the frames that are voiced",
    "mfcc": "Mel-frequency cepstral coefficient",
    "centroid": "Spectral centroid",
    "bandwidth": "Spectral bandwidth",
    "rolloff": "Spectral roll-off",
    "flatness": "Spectral flatness",
    "zcr": "Zero-crossing rate",
    "rms": "Root mean square of the frames",
    "speech_start_seconds": "Where speech begins",
    "speech_end_seconds": "Where speech ends",
    "words": "Words of the text",
    "words_per_second": "Words over the time between the bounds of speech",
}
_STATISTICS = {"mean": "mean", "std": "standard deviation", "median": "median", "p05": "5th percentile"}
_STATISTICS |= {"p95": "95th percentile"}


@dataclass(frozen=True)
class Column:
    """A column as it is published: its Arrow field, what it is, and the unit of its values, if they have one."""

    field: pa.Field
    description: str
    unit: str | None

    @property
    def name(self) -> str:
        """Of the column."""
        return str(self.field.name)


def waveform_columns(schema: pa.Schema) -> list[Column]:
    """Describe the columns of waveforms; the snapshot's description has what is known of the declared ones."""
    known = dict(_WAVEFORMS)
    for column in declared(schema):
        described = column.description or f"{column.name}, as the source has it"
        known[column.name] = (f"{described.removesuffix('.')}; null where missing.", column.unit)
    return [Column(field, *known[field.name]) for field in schema]


def feature_columns() -> list[Column]:
    """Describe the columns of the table of features."""
    return [_feature(field) for field in columns.COLUMNS]


def _feature(field: pa.Field) -> Column:
    unit = (field.metadata or {}).get(b"unit", b"1").decode()  # a UCUM code; 1 is a pure number
    if field.name in _WAVEFORMS:
        return Column(field, *_WAVEFORMS[field.name])
    if field.name in _FEATURES:
        described = f"{_FEATURES[field.name]}."
    else:
        what, *details = field.name.removesuffix("_hz").split("_")
        numbers = [f"number {int(detail)}" for detail in details if detail.isdecimal()]
        statistics = [_STATISTICS[detail] for detail in details if not detail.isdecimal()]
        described = f"{', '.join([_FEATURES[what], *numbers, *statistics])}."
    return Column(field, f"{described} Null where there is nothing to measure.", None if unit == "1" else unit)
