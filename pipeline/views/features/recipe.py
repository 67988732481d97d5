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
    """How waveforms become features.

    Attributes
    ----------
    f0_hz
        Range of the pitch search.
    """

    f0_hz: tuple[float, float]

    NAME: ClassVar[str] = "features"
    REVISION: ClassVar[int] = 4
    inputs = ("waveform", "sample_rate", "text")
    copied = tuple(columns.COPIED.names)
    ROW_GROUP_ROWS: ClassVar[int] = 64  # clips whose pitch is followed side by side; 16 take a seventh longer

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
        """Return options that store the Arrow schema, since Parquet's own has no place for units."""
        return {"store_schema": True, "use_dictionary": ["split"]}

    def rows(self, source: pa.Table) -> pa.Table:
        """Measure clips."""
        sample_rate = source["sample_rate"][0].as_py()
        waveforms = waveforms_of(source[self.inputs[0]].combine_chunks())
        return measure(waveforms, sample_rate, source["text"].to_pylist(), self.f0_hz)


@dataclass(frozen=True)
class FlacFeatureRecipe(FeatureRecipe):
    """The same for waveforms stored as FLAC files."""

    inputs = ("audio", "sample_rate", "text")
