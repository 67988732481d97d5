"""The ranking that params.yaml asks for, from the tables of the snapshot."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from pipeline.core import schema
from pipeline.core.errors import ParameterError, SampleError
from pipeline.core.params import Stratify
from pipeline.sampling import eligibility, ranking
from pipeline.snapshot import formats, tables
from pipeline.snapshot.receipt import read_members, read_receipt

_MANY_LEVELS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """All eligible clips in their order.

    Attributes
    ----------
    ranking
        `schema.RANKING_SCHEMA`, in rank order.
    rows
        Rows of the tables.
    apart
        Eligible clips that are left out because their sentence and their speaker belong to different splits.
    """

    ranking: pa.Table
    rows: int
    apart: int


def make_order(wanted: Stratify) -> Order:
    """Read the tables, keep the eligible rows, and rank them.

    Raises
    ------
    ParameterError
        No row has a value that ``stratify.where`` lists; names all of these, and the values there are.
    SampleError
        No clip is eligible; the message says how many rows each filter took.
    """
    receipt = read_receipt()
    format_name = receipt.format
    clips = tables.read_clips(wanted.tables, format_name=format_name)
    for path in formats.paths_of(wanted.tables, format_name):
        receipt.verify(path)
    if wanted.estimated_seconds is not None:
        members = formats.index_clips(read_members(), format_name)
        clips["estimated_seconds"] = tables.estimated_seconds(clips["clip_id"], members, format_name)
    for column in wanted.strata:
        if (levels := clips[column].nunique(dropna=False)) >= _MANY_LEVELS:
            log.warning("stratify.strata: %s has %d levels; most strata will hold a clip or two", column, levels)
    eligible = _eligible(clips, wanted)
    ranked = ranking.rank(
        eligible, strata=wanted.strata, allocation=wanted.allocation, seed=wanted.seed, splits=wanted.splits
    )
    table = pa.Table.from_pandas(ranked, schema=schema.RANKING_SCHEMA, preserve_index=False)
    return Order(table, len(clips), len(eligible) - len(ranked))


def _eligible(clips: pd.DataFrame, wanted: Stratify) -> pd.DataFrame:
    problems = eligibility.unknown_values(clips, wanted.where)
    if problems:
        raise ParameterError(str(schema.PARAMS), problems)
    eligible, taken = eligibility.eligible(
        clips,
        require=wanted.require,
        where=wanted.where,
        min_up_votes=wanted.min_up_votes,
        max_down_votes=wanted.max_down_votes,
        min_net_votes=wanted.min_net_votes,
        seconds=wanted.estimated_seconds,
    )
    if eligible.empty:
        filters = ", ".join(f"{name} {rows}" for name, rows in taken.items()) or "no filter, the tables are empty"
        raise SampleError(
            f"no clip of {', '.join(wanted.tables)} is eligible: of {len(clips)} rows these filters took: {filters}.\n"
            "Loosen them in params.yaml, under stratify."
        )
    return eligible
