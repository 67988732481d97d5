"""The recipe of features: a row of numbers for each waveform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import scipy

from pipeline.shards.recipe import Recipe
from pipeline.views.features import columns
from pipeline.views.features.measure import measure
from pipeline.waveforms.encodings import waveforms_of


@dataclass(frozen=True)
class FeatureRecipe(Recipe):
    """How waveforms become features."""

    f0_hz: tuple[float, float]  # range of the pitch search
    text: str | None = None  # the column that has the words that are said
    audio: str = "waveform"  # the column that has the waveforms

    NAME: ClassVar[str] = "features"
    REVISION: ClassVar[int] = 4
    copied = tuple(columns.COPIED.names)
    ROW_GROUP_ROWS: ClassVar[int] = 64  # clips whose pitch is followed side by side; 16 take a seventh longer

    @property
    def inputs(self) -> tuple[str, ...]:
        """The waveforms, and the words if there are any."""
        return (self.audio, "sample_rate", *([self.text] if self.text else []))

    @property
    def columns(self) -> pa.Schema:
        """The columns of the table, with their units."""
        return columns.COLUMNS

    def settings(self) -> dict[str, Any]:
        """Return the range of pitch."""
        return {"f0_hz": list(self.f0_hz)}

    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that compute."""
        return {"numpy": np.__version__, "scipy": scipy.__version__}

    def parquet(self) -> dict[str, Any]:
        """Return which column has a dictionary."""
        return {"use_dictionary": ["split"]}

    def rows(self, source: pa.Table) -> pa.Table:
        """Measure clips."""
        sample_rate = source["sample_rate"][0].as_py()
        waveforms = waveforms_of(source[self.audio].combine_chunks())
        texts = source[self.text].to_pylist() if self.text else [None] * source.num_rows
        return measure(waveforms, sample_rate, texts, self.f0_hz)
