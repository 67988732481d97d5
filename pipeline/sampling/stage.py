"""stratify: the snapshot's tables → one fixed order of all eligible clips, the ranking."""

from __future__ import annotations

import logging

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core import atomic, schema
from pipeline.core.errors import SampleError
from pipeline.core.params import Stratify, load_params
from pipeline.sampling import eligibility, ranking
from pipeline.snapshot import tables
from pipeline.snapshot.receipt import read_members, read_receipt

_MANY_LEVELS = 1000

log = logging.getLogger(__name__)


def run() -> str:
    """Write ``data/ranking.parquet``; return what to tell the user."""
    params = load_params().stratify
    layout = read_receipt().format
    clips = tables.read_clips(params.tables, layout=layout)
    if params.estimated_seconds is not None:
        members = tables.index_clips(read_members(), layout)
        clips["estimated_seconds"] = tables.estimated_seconds(clips["clip_id"], members, layout)
    for column, levels in eligibility.levels(clips, params.strata).items():
        if levels >= _MANY_LEVELS:
            log.warning("stratify.strata: %s has %d levels; most strata will hold a clip or two", column, levels)
    eligible, taken = draw_from(clips, params)
    if eligible.empty:
        filters = ", ".join(f"{name} {rows}" for name, rows in taken.items()) or "no filter, the tables are empty"
        raise SampleError(
            f"no clip of {', '.join(params.tables)} is eligible: of {len(clips)} rows these filters took: {filters}.\n"
            "Loosen them in params.yaml, under stratify."
        )
    ranked = ranking.rank(
        eligible, strata=params.strata, allocation=params.allocation, seed=params.seed, splits=params.splits
    )
    table = pa.Table.from_pandas(ranked, schema=schema.RANKING_SCHEMA, preserve_index=False)
    with atomic.replacing(schema.RANKING) as temporary:
        pq.write_table(table, temporary, compression="zstd", store_schema=False)
    strata = ranked["stratum"].nunique()
    apart = len(eligible) - len(ranked)
    without = f"; {apart} more have their sentence and their speaker in different splits" if apart else ""
    return f"{len(ranked)} of {len(clips)} clips are eligible, in {strata} strata{without}"


def draw_from(clips: pd.DataFrame, params: Stratify) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows that may be drawn, and how many rows each filter took."""
    return eligibility.eligible(
        clips,
        require=params.require,
        min_up_votes=params.min_up_votes,
        max_down_votes=params.max_down_votes,
        min_net_votes=params.min_net_votes,
        seconds=params.estimated_seconds,
    )
