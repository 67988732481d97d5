"""Histograms have round edges, and each finite value in the bin around it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report.histograms import histogram


@given(st.lists(st.integers(-90_000, 900_000).map(lambda n: n / 1000) | st.just(float("-inf")), max_size=50))
def test_histogram_has_every_finite_value_in_the_bin_between_whose_edges_it_lies(values: list[float]) -> None:
    array = np.array(values, dtype=np.float64)
    made = histogram("Title", "s", {"sample": array}, (0.5, 1, 2, 5, 10, 20, 50))
    finite = array[np.isfinite(array)]
    assert len(made.edges) <= 31
    widths = np.diff(made.edges)
    assert np.allclose(widths, widths[0])
    assert made.counts["sample"] == tuple(
        int(((finite >= low) & (finite < high)).sum()) for low, high in zip(made.edges, made.edges[1:], strict=False)
    )
    assert sum(made.counts["sample"]) == len(finite)
