"""The ranking: one order of all eligible clips, every prefix of which is a stratified sample. Pure.

Only salted hashes decide: never the order of the rows, the clock or a random generator. The method and its proof are in
docs/sampling.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import fields
from pipeline.core.schema import ranking_schema
from pipeline.sampling.schedule import schedule
from pipeline.sampling.shares import Allocation, Shares
from pipeline.sampling.splits import hashes

_QUOTED = str.maketrans({reserved: quote(reserved) for reserved in "%,=?"})


def strata_of(clips: pa.Table, strata: Sequence[str]) -> npt.NDArray[np.object_]:
    """Return the name of each clip's stratum, such as ``label=rain, fold=?`` where the fold is missing.

    Different values always give different names: the characters ``% , = ?`` of a value are percent-encoded. Without
    columns every clip is in the stratum ``all``.
    """
    names = np.full(clips.num_rows, "" if strata else "all", dtype=object)
    for place, column in enumerate(strata):
        cells = clips[column].combine_chunks().dictionary_encode()
        known = [f"{column}={str(value).translate(_QUOTED)}" for value in cells.dictionary.to_pylist()]
        codes = pc.fill_null(cells.indices, -1).to_numpy()  # of a missing value: the last name
        names += np.array([", " * bool(place) + name for name in [*known, f"{column}=?"]], dtype=object)[codes]
    return names


def rank(clips: pa.Table, strata: Sequence[str], allocation: Allocation, *, seed: int) -> pa.Table:
    """Put the clips into one order whose every prefix is a stratified sample.

    Laws 1, 2 and 3 of the design: samples nest; every prefix holds of every stratum within one clip of its exact
    share (`Shares`); a salted hash of its id decides which clip comes next within a stratum.

    Parameters
    ----------
    clips
        With the columns clip_id (unique), table, split (`pipeline.sampling.splits.assign`) and the declared ones. The
        order of the rows does not matter.
    strata
        Columns whose combinations are the strata; a missing value is a level of its own; none for a plain random
        order.
    allocation
        ``proportional``, ``equal`` or a power 0..1 of the stratum's size.

    Returns
    -------
    pyarrow.Table
        The columns of `schema.ranking_schema`, in rank order.
    """
    encoded = pa.array(strata_of(clips, strata), pa.string()).dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    starts = hashes(names, seed=seed, purpose="stratum")
    by_hash = np.lexsort((names, starts))  # no tie between strata is left to the order of the rows
    names, starts, place = names[by_hash], starts[by_hash], np.argsort(by_hash)[encoded.indices.to_numpy()]
    order = schedule(Shares(np.bincount(place).tolist(), allocation), (starts >> np.uint64(32)).tolist())

    by_clip = hashes(clips["clip_id"].to_pylist(), seed=seed, purpose="clip")
    keys = pa.table({"place": place, "hash": by_clip, "clip_id": clips["clip_id"]})
    within = pc.sort_indices(keys, [(key, "ascending") for key in keys.column_names]).to_numpy()
    rows = np.empty_like(within)
    rows[np.argsort(order, kind="stable")] = within  # the ranks of the first stratum, then of the second, …
    columns = ranking_schema(fields(clips.schema))
    ranked = clips.append_column("stratum", pa.array(names[place], pa.string())).take(pa.array(rows))
    ranked = ranked.append_column("rank", pa.array(np.arange(len(rows)), pa.int64()))
    return ranked.select(columns.names).cast(columns)
