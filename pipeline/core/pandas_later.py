"""pandas where it is used, and not where pyarrow would import it on the chance that somebody uses it."""

from __future__ import annotations

import sys

import pyarrow as pa


class _NotNow:
    """Says of pandas that it is not there."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def put_off() -> None:
    """Let pyarrow do without pandas until a table becomes a frame; nothing happens where it is imported already.

    With the first array that it makes, pyarrow imports pandas to see whether it was given a series: a fifth of a second
    in a process that has none. Where pandas is not there, pyarrow looks again when it has to, as in `Table.to_pandas`
    (`_PandasAPIShim._check_import` in pyarrow/pandas-shim.pxi), and until then takes a series for any other sequence.
    So this is for a process whose modules are imported, and have not asked for pandas; where code of others is imported
    later, `catch_up` comes first.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NotNow)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(_NotNow)


def catch_up() -> None:
    """Let pyarrow know pandas from now on."""
    pa.array([]).to_pandas()
