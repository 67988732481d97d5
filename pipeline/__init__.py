"""Draw a small, fair, reproducible sample from a huge audio data set, on Kaggle or anywhere.

A data set is described in ``configs/snapshots/NAME.yaml``; behind `snapshot`, no wing knows it by name.

The wings of this package, in the order in which data flows::

    core         what every wing may import
    audio        bytes of any audio format → samples, spectrograms; touches no disk
    shards       Parquet files that know what they were made from
    engines      where work runs; cannot change a byte
    snapshot     the data set as published, one table    dvc.yaml: download
    sampling     one fixed order of all eligible clips   dvc.yaml: stratify
    clips        the first n good ones of that order     dvc.yaml: subsample
    waveforms    the clips decoded, and their reader     dvc.yaml: waveforms
    views        the same clips as a table, pictures, series, text
    report       how the sample compares                 dvc.yaml: report
    commands     questions about a sample, and ways to hand it on

The sample of n clips is the first n good clips of an order that does not depend on n, so a larger sample contains the
smaller one, and shards are only ever appended. Later units read them with `open_waveforms`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.waveforms.reader import Clip, Waveforms, open_waveforms

__all__ = ["Clip", "Waveforms", "open_waveforms"]


def __getattr__(name: str) -> Any:
    """Import the reader lazily, at first use (PEP 562): the command line starts without pandas and pyarrow."""
    if name in __all__:
        return getattr(importlib.import_module("pipeline.waveforms.reader"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
