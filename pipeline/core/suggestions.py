"""Messages about an unknown name or value: the nearest one, and the existing ones. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.core.terminal import listed

_MOST_VALUES_SHOWN = 20


def did_you_mean(wanted: object, names: Iterable[object]) -> str:
    """Return `` (did you mean wren?)`` if a name is near to the wanted one, otherwise an empty text."""
    close = difflib.get_close_matches(str(wanted), [*map(str, names)], n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def no_clip_has(value: object, counts: Mapping[Any, int], missing: str) -> str:
    """Return that no clip has a value of a column, and which there are: `counts` of clips by value.

    None is a missing value, which is written as `missing` where the user wrote the value.
    """
    frequent = dict(sorted(counts.items(), key=lambda item: -item[1]))
    names = {_spelled(each, missing): f"{count:,}" for each, count in frequent.items()}
    shown = listed([f"{name} ({count})" for name, count in names.items()], _MOST_VALUES_SHOWN)
    wanted = _spelled(value, missing)
    return f"no clip has {wanted}{did_you_mean(wanted, names)}; there are {shown or 'none, the tables are empty'}"


def _spelled(value: object, missing: str) -> str:
    """Return a value as a user writes it; pandas turns whole numbers with gaps into floats."""
    if value is None:
        return missing
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
