"""The data that `dvc plots` draws, as CSV: dvc.yaml says which columns, and with which of DVC's templates. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np

from pipeline.core.schema import Reason
from pipeline.report.measurements import Measurements, finite
from pipeline.report.numbers import Report

_MOST_STRATA = 30  # in one chart


def tables(report: Report) -> dict[str, str]:
    """Return the CSV files of a report, by the keys of `schema.PLOTS`."""
    strata = [
        (each.name, each.eligible, round(float(each.exact), 6), each.sample, round(float(each.deviation), 6))
        for each in report.strata[:_MOST_STRATA]
    ]
    return {
        "levels": _levels(report),
        "strata": _csv(("stratum", "eligible_clips", "exact_clips", "sample_clips", "deviation_clips"), strata),
        "distributions": _distributions(report.measurements),
        "rejected": _csv(("reason", "clips"), [(each.value, report.metrics[f"rejected_{each}"]) for each in Reason]),
    }


def _levels(report: Report) -> str:
    """Return the share of each value of a column in the tables, among the eligible clips, and in the sample.

    The last column is what DVC draws: percentage points that the sample has more than the population. Its bars start
    at zero, whereas DVC's axis of bars starts at the smallest of them.
    """
    totals = [max(1, report.metrics[name]) for name in ("population", "eligible", "accepted")]
    rows = []
    for column in report.columns:
        for level in column.levels:
            counts = (level.population, level.eligible, level.sample)
            shares = [100 * count / total for count, total in zip(counts, totals, strict=True)]
            points = [round(share, 6) for share in (*shares, shares[2] - shares[0])]
            rows.append((f"{column.name}: {level.name}", *points))
    header = ("level", "population_percent", "eligible_percent", "sample_percent", "sample_minus_population")
    return _csv(header, rows)


def _distributions(measured: Measurements) -> str:
    """Return how many percent of the clips have a measurement of so much or less, in steps of one percent.

    Quantiles of two samples can be put into one chart, which histograms with bins of their own cannot.
    """
    percent = np.arange(101)
    columns = {
        name: np.quantile(known, percent / 100).round(6).tolist() if len(known := finite(values)) else [None] * 101
        for name, values in asdict(measured).items()
    }
    return _csv(("percent_of_clips", *columns), zip(percent.tolist(), *columns.values(), strict=True))


def _csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()
