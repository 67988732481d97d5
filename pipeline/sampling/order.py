"""The ranking that params.yaml asks for, from the snapshot's table of clips."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.columns import apart
from pipeline.core.errors import ParameterError, SampleError
from pipeline.core.params import Stratify
from pipeline.sampling.eligibility import eligible, problems
from pipeline.sampling.ranking import rank
from pipeline.sampling.splits import assign
from pipeline.snapshot.clips import are_copies, read_clips
from pipeline.snapshot.receipt import read_receipt
from pipeline.snapshot.segments import are_pieces, with_recordings
from pipeline.snapshot.tables import first_of_each

_MANY_LEVELS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """All eligible clips in their order."""

    ranking: pa.Table  # `schema.ranking_schema`, in rank order
    rows: int  # of the tables
    copies: int  # clips that are left out because their file is a copy of another's
    crossed: int  # clips that are left out because their values of `apart` are in different splits
    apart: tuple[str, ...]  # columns


def make_order(wanted: Stratify) -> Order:
    """Read the table of clips, keep the eligible rows, and rank them.

    Raises
    ------
    ParameterError
        Two of the tables share a clip, a column is not declared, or no row has a value that ``stratify.where`` lists;
        names all of these, and what there is.
    SampleError
        No clip is eligible (the message says how many rows each filter took), or the splits cannot be dealt.
    """
    clips = read_clips(read_receipt(), wanted.tables).combine_chunks()
    lines = [*_shared(clips)]
    lines += problems(clips, strata=wanted.strata, require=wanted.require, where=wanted.where)
    if lines:
        raise ParameterError(str(schema.PARAMS), lines)
    for column in wanted.strata:
        if (levels := pc.count_distinct(clips[column], mode="all").as_py()) >= _MANY_LEVELS:
            log.warning("stratify.strata: %s has %d levels; most strata will hold a clip or two", column, levels)

    is_eligible, removed = eligible(clips, require=wanted.require, where=wanted.where)
    is_copy = are_copies(clips)
    removed["copies"] = int(np.count_nonzero(is_eligible & is_copy))
    is_eligible &= ~is_copy
    if not is_eligible.any():
        filters = ", ".join(f"{name} {rows}" for name, rows in removed.items() if rows) or "none, the tables are empty"
        raise SampleError(
            f"no clip of {', '.join(wanted.tables) or 'any table'} is eligible: of {clips.num_rows} rows these filters "
            f"took: {filters}.\nLoosen them in params.yaml, under stratify."
        )
    named = with_recordings(clips)
    split = assign(named, wanted.splits, seed=wanted.seed)  # of all rows: no filter moves a clip to another split
    clips = clips.append_column("split", pa.array(split, pa.string())).filter(pa.array(is_eligible))
    columns = apart(named.schema)
    if clips["split"].null_count == clips.num_rows:
        raise SampleError(
            f"none of {clips.num_rows} clips has its {' and '.join(columns)} in the same split; ask for fewer splits "
            "(stratify.splits), so that more of them do"
        )
    ranked = rank(clips.filter(clips["split"].is_valid()), wanted.strata, wanted.allocation, seed=wanted.seed)
    return Order(ranked, len(is_eligible), removed["copies"], clips.num_rows - ranked.num_rows, columns)


def _shared(clips: pa.Table) -> list[str]:
    """Return what is wrong where two tables have an id or a file in common, or nothing; pieces may share a file."""
    tables = clips["table"].combine_chunks()
    for column in ("clip_id",) if are_pieces(clips.schema) else ("clip_id", "path"):
        cells = clips[column].combine_chunks()
        first = first_of_each(cells)
        others = tables.take(pa.array(first))
        again = pc.not_equal(tables, others)
        if pc.any(again).as_py():
            names = sorted({*tables.filter(again).to_pylist(), *others.filter(again).to_pylist()})
            both = f"{', '.join(names[:-1])} and {names[-1]}"
            shared = cells.filter(again)[0]
            return [f"stratify.tables: {both} share clips, such as {shared}; name tables that share none"]
    return []
