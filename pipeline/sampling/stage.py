"""stratify: the table of clips becomes one fixed order of all that are eligible, the ranking."""

from __future__ import annotations

import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.params import load_params
from pipeline.core.terminal import amount
from pipeline.sampling.order import make_order
from pipeline.shards.table import write_table


def run() -> str:
    """Write ``data/ranking.parquet``; return what to tell the user."""
    order = make_order(load_params().stratify)
    write_table(schema.RANKING, order.ranking)
    strata = pc.count_distinct(order.ranking["stratum"]).as_py()
    said = [f"{order.ranking.num_rows} of {order.rows} clips are eligible, in {amount(strata, 'stratum', 'strata')}"]
    if order.copies:
        said.append(f"{order.copies} more are copies of another clip")
    if order.crossed:
        said.append(f"{order.crossed} more have their {' and '.join(order.apart)} in different splits")
    return "; ".join(said)
