"""Rows that are pieces of recordings: their start and end, their ids, and their recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import Column
from pipeline.core.params import Text
from pipeline.core.schema import PIECE
from pipeline.core.settings import Settings
from pipeline.snapshot.layout import ColumnSource
from pipeline.snapshot.tables import typed

RECORDING = "the recording"  # not a name that a description can declare

# What `segment` declares, besides the description's own columns.
COLUMNS = {
    name: ColumnSource(type="number", unit="s", description=f"where in its recording the piece {verb}")
    for name, verb in zip(PIECE, ("begins", "ends"), strict=True)
}

_MOST_MILLISECONDS = 1e12  # some thirty years; no recording is longer
_CLOCK = r"^(?:(?P<hours>[0-9]{1,4}):)?(?P<minutes>[0-9]{1,6}):(?P<seconds>[0-9]{1,2}(?:\.[0-9]*)?)$"


class Segment(Settings, frozen=True):
    """The columns with the times at which a row's piece starts and ends in its recording.

    Attributes
    ----------
    start, end
        Columns with the start and the end of the piece.
    unit
        Of these times: seconds, milliseconds, or ``clock`` (hours, minutes and seconds: 00:01:05.5, or 1:05.5 without
        hours).
    """

    start: Text
    end: Text
    unit: Literal["s", "ms", "clock"] = "s"


def milliseconds(cells: pa.StringArray, unit: str) -> pa.Int64Array:
    """Return times in whole milliseconds; null for a cell that is no time, or is negative."""
    if unit == "clock":
        read = pc.extract_regex(cells, _CLOCK).flatten()
        hours, minutes, seconds = (_numbers(pc.if_else(pc.equal(each, ""), "0", each)) for each in read)
        fit = pc.and_(pc.less(seconds, 60), pc.or_(pc.equal(read[0], ""), pc.less(minutes, 60)))
        values = pc.add(pc.multiply(pc.add(pc.multiply(hours, 60), minutes), 60), seconds)
    else:
        values = _numbers(cells)
        fit = pc.greater_equal(values, 0)
    values = pc.round(values if unit == "ms" else pc.multiply(values, 1000))
    return pc.if_else(pc.and_(fit, pc.less(values, _MOST_MILLISECONDS)), values, None).cast(pa.int64())


def _numbers(cells: pa.StringArray) -> pa.DoubleArray:
    return typed(ColumnSource(type="number"), cells)[0]


def pieces(segment: Segment, starts: pa.StringArray, ends: pa.StringArray) -> Mapping[str, pa.Array]:
    """Return starts, ends and lengths of pieces in seconds, and the suffixes of their ids after the @.

    All of these are null if a piece has no start or no end, or ends before it starts.
    """
    start, end = (milliseconds(cells, segment.unit) for cells in (starts, ends))
    fit = pc.less(start, end)
    start, end = (pc.if_else(fit, each, None) for each in (start, end))
    suffix = pc.binary_join_element_wise(start.cast(pa.string()), end.cast(pa.string()), "-")
    in_seconds = [pc.divide(each.cast(pa.float64()), 1000) for each in (start, end, pc.subtract(end, start))]
    return dict(zip((*PIECE, "seconds"), in_seconds, strict=True)) | {"suffix": suffix}


def are_pieces(schema: pa.Schema) -> bool:
    """Return whether the rows of a table are pieces of recordings."""
    return PIECE[0] in schema.names


def recording_ids(clip_ids: pa.ChunkedArray) -> pa.StringArray:
    """Return the ids of pieces without ``@START-END``."""
    return pc.replace_substring_regex(clip_ids.combine_chunks(), "@[0-9]+-[0-9]+$", "")


def with_recordings(clips: pa.Table) -> pa.Table:
    """Return the table of clips; if they are pieces, add a column to keep apart, their recording.

    Files of equal length and CRC-32 are one recording. Its name is the first of its ids without the piece, by code
    points; not its path, which depends on how somebody packed the archive.
    """
    if not are_pieces(clips.schema):
        return clips
    ids = recording_ids(clips["clip_id"])
    path, size, crc = (clips[name].combine_chunks() for name in ("path", "size_bytes", "crc32"))
    content = pc.binary_join_element_wise(size.cast(pa.string()), crc.cast(pa.string()), "\0")
    file = pc.coalesce(pc.if_else(pc.greater(size, 0), content, None), path, ids)
    order = pc.sort_indices(ids)
    first = pc.index_in(file, file.take(order))
    return clips.append_column(Column(RECORDING, is_apart=True).field, ids.take(order).take(first))
