"""What each column is, in a sentence, with its unit: for the people and machines that read what is published."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pipeline.views.features import columns

_WAVEFORMS = {
    "clip_id": ("Table and file name of the clip in its source; unique.", None),
    "waveform": ("The samples of the clip, mono.", None),
    "audio": ("The clip as a FLAC file of 16 bits, mono.", None),
    "sample_rate": ("Samples of the waveform per second.", "Hz"),
    "num_samples": ("How many samples the waveform has.", None),
    "duration_seconds": ("num_samples / sample_rate.", "s"),
    "source_sample_rate": ("Of the MP3 that the waveform was decoded from.", "Hz"),
    "source_channels": ("Channels of that MP3.", None),
    "text": ("The sentence that the speaker was asked to read.", None),
    "age": ("Age group that the speaker stated; null where not stated.", None),
    "gender": ("Gender that the speaker stated; null where not stated.", None),
    "accent": ("Accent that the speaker stated; null where not stated.", None),
    "up_votes": ("Volunteers who found that the clip says the sentence.", None),
    "down_votes": ("Volunteers who found that it does not.", None),
    "table": ("The table of the source that lists the clip.", None),
    "split": ("train, dev or test; no sentence is in two of them.", None),
    "rank": ("Place in the ranking; the clips up to any rank are a stratified sample.", None),
    "peak_dbfs": ("Largest magnitude, relative to full scale.", "dB"),
    "rms_dbfs": ("Root mean square, relative to full scale.", "dB"),
    "clipped_samples": ("Samples that were clipped to fit 16 bits.", None),
    "mp3_sha256": ("SHA-256 of the MP3.", None),
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
    "words": "Words of the sentence",
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
    """Describe the columns of waveforms."""
    return [Column(field, *_WAVEFORMS[field.name]) for field in schema]


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
