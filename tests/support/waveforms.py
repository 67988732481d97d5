"""Folders of waveforms made of arrays, of any length, as `waveforms` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.columns import Column
from pipeline.shards import sealed
from pipeline.shards.folder import shard_name
from pipeline.shards.recipe import DerivedSeal
from pipeline.waveforms.reader import Waveforms, open_waveforms
from pipeline.waveforms.shard import WaveformRecipe

Float32 = npt.NDArray[np.float32]


def voice(samples: int, rate: int = 16_000, hertz: float = 140) -> Float32:
    """Harmonics that fade in and out over noise 60 dB below, in whole steps of 16 bits."""
    times = np.arange(samples) / rate
    harmonics = sum(np.sin(2 * np.pi * hertz * number * times) / number for number in range(1, 20))
    noise = np.random.default_rng(samples).standard_normal(samples) * 1e-3
    steps = np.rint((harmonics * np.sin(2 * np.pi * 3 * times) ** 2 + noise) * 0.3 * 32767)
    return (steps / 32768).astype(np.float32)


def waveforms_of(
    folder: Path, arrays: Sequence[Float32], *, rate: int = 16_000, shard: int = 32, **columns: Sequence[Any]
) -> Waveforms:
    """Write waveforms as pcm16 shards and open them.

    `columns` replace what the others say of the clips; those that no shard has are declared, `text` with its role.
    """
    others = [name for name in columns if name not in WaveformRecipe(rate, "pcm16").columns.names]
    declared = tuple(Column(name, roles=("text",) if name == "text" else ()).field for name in others)
    recipe = WaveformRecipe(rate, "pcm16", declared)
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(arrays), shard)):
        seal = DerivedSeal(
            snapshot="tests",
            title="Made of arrays",
            license="CC0-1.0",
            fingerprint=f"{number:064}",
            recipe=recipe.NAME,
            revision=recipe.REVISION,
            settings=recipe.settings(),
            decoder={},
        )
        with sealed.writing(folder / shard_name(number), recipe.columns, **recipe.parquet()) as writer:
            for first in range(start, min(start + shard, len(arrays)), recipe.ROW_GROUP_ROWS):
                places = range(first, min(first + recipe.ROW_GROUP_ROWS, start + shard, len(arrays)))
                writer.write(_rows(recipe.columns, [arrays[place] for place in places], places, rate, columns))
            writer.seal(seal)
    return open_waveforms(folder)


def _rows(
    schema: pa.Schema, arrays: list[Float32], places: range, rate: int, columns: dict[str, Sequence[Any]]
) -> pa.Table:
    pcm = [np.rint(array * 32768).astype(np.int16) for array in arrays]
    values = {
        "clip_id": [f"valid-test/sample-{place:06}" for place in places],
        "waveform": pcm,
        "sample_rate": [rate] * len(pcm),
        "num_samples": [len(samples) for samples in pcm],
        "duration_seconds": [len(samples) / rate for samples in pcm],
        "rank": list(places),
        "split": ["train"] * len(pcm),
    } | {name: [given[place] for place in places] for name, given in columns.items()}
    return pa.table(
        {name: pa.array(values.get(name, [None] * len(pcm)), schema.field(name).type) for name in schema.names},
        schema=schema,
    )
