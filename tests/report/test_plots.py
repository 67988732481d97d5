"""The data of plots is what the report shows, and DVC draws two experiments into one chart."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from pipeline.core import schema
from pipeline.report import numbers, plots
from tests.report.materials import ODD, material, odd_report, report_of, with_columns
from tests.support.project import ROOT, Project


def tables(report: numbers.Report) -> dict[str, pd.DataFrame]:
    return {key: pd.read_csv(io.StringIO(text)) for key, text in plots.tables(report).items()}


def test_plots_hold_the_numbers_of_the_report() -> None:
    other_population = with_columns(material(90), "population", gender="gender0")
    report = report_of(other_population)
    made = tables(report)
    assert made.keys() == schema.PLOTS.keys()
    strata, levels = made["strata"], made["levels"]
    assert strata["stratum"].tolist() == [stratum.name for stratum in report.strata]
    assert strata["sample_clips"].sum() == report.metrics["accepted"]
    assert strata["exact_clips"].sum() == pytest.approx(report.metrics["accepted"])
    assert strata["deviation_clips"].abs().max() == report.metrics["largest_deviation_clips"]
    assert levels["level"].str.split(": ").str[0].unique().tolist() == ["gender", "age", "accent"]
    assert levels.filter(like="_percent").sum().tolist() == pytest.approx([300] * 3)  # three columns
    np.testing.assert_allclose(
        levels["sample_minus_population"], levels["sample_percent"] - levels["population_percent"], atol=1e-5
    )
    assert made["rejected"]["clips"].sum() == report.metrics["rejected"]


def test_plots_of_distributions_are_quantiles_of_what_was_measured() -> None:
    report = report_of(material(60))
    drawn = tables(report)["distributions"]
    assert drawn["percent_of_clips"].tolist() == list(range(101))
    f0 = report.measurements.f0_median_hz
    assert drawn["f0_median_hz"][[0, 25, 50, 100]].tolist() == pytest.approx(np.percentile(f0, [0, 25, 50, 100]))


@pytest.mark.parametrize("name", ODD)
def test_plots_of_an_odd_sample_have_the_same_columns_and_finite_numbers(name: str) -> None:
    usual = tables(report_of(material()))
    odd = tables(odd_report(name))
    for key, table in odd.items():
        assert list(table) == list(usual[key])
        assert len(table) <= 101
        assert not np.isinf(table.select_dtypes("number")).any(axis=None)


@pytest.mark.more
def test_plots_of_two_experiments_are_in_one_chart(made: Project) -> None:
    """`dvc plots diff` draws every definition of dvc.yaml from both revisions, with columns that are in the files."""
    made.set(subsample__clips=60)
    made.run("dvc", "repro")
    diff = json.loads(made.run("dvc", "plots", "diff", "HEAD", "--json"))
    assert not diff.get("errors")
    assert set((made.root / "reports/plots").iterdir()) == {made.root / path for path in schema.PLOTS.values()}
    for name, (chart,) in diff["data"].items():
        rows = chart["content"]["data"]["values"]
        assert {row["rev"] for row in rows} == {"workspace", "HEAD"}, name
        encoding = chart["content"]["encoding"]
        assert encoding["x"]["field"] in rows[0]
        assert encoding["color"]["field"] == "rev"
    assert len(diff["data"]) == (ROOT / "dvc.yaml").read_text(encoding="utf-8").count("template: ")
