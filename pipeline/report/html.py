"""The report as one HTML file that needs no network, no script and no other file. Pure.

Whatever stands in a table is shown as text.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.report import axis, sound
from pipeline.report.examples import Example, OutlierExample
from pipeline.report.histograms import Histogram
from pipeline.report.numbers import Report

_TEMPLATE = "report.html.j2"
_MOST_STRATA = 20  # shown at once; the others are folded away
_MOST_REJECTED = 100  # of one reason
_MOST_OUTSIDE = 30


@dataclass(frozen=True)
class About:
    """What was sampled from what.

    Attributes
    ----------
    title, license, citation
        Of the snapshot's description.
    snapshot
        Its name in ``configs/snapshots/``.
    facts
        What recognises the snapshot, and the versions of what decoded it: name, value.
    parameters
        Path of each key of ``params.yaml``, and its value.
    encoding, sample_rate
        Of the waveforms, in Hz.
    extends
        The data set that the snapshot is, by the name that Hugging Face has for it.
    """

    title: str
    license: str
    citation: str
    snapshot: str
    facts: tuple[tuple[str, str], ...]
    parameters: tuple[tuple[str, str], ...]
    encoding: str
    sample_rate: int
    extends: str


def render(report: Report, about: About, exhibits: Sequence[Example], furthest: Sequence[OutlierExample]) -> str:
    """Return the page."""
    return (
        environment()
        .get_template(_TEMPLATE)
        .render(
            report=report,
            numbers=report.metrics,
            about=about,
            exhibits=exhibits,
            furthest=furthest,
            ticks=ticks,
            summary=summary,
            heights=heights,
            guides=guides,
            box=(sound.OUTLINE_WIDTH, sound.OUTLINE_HEIGHT),
            palette=[f"rgb({red} {green} {blue})" for red, green, blue in sound.palette().tolist()[::7]],
            most_strata=_MOST_STRATA,
            most_rejected=_MOST_REJECTED,
            most_outside=_MOST_OUTSIDE,
        )
    )


@cache
def environment(*more: Callable[..., Any]) -> Environment:
    """Return what renders this package's templates, with `more` filters by their names.

    Everything is escaped, and a name that is not there an error.
    """
    made = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    formats = (number, percent, megabytes, signed, decibels, data_url, axis.written)
    made.filters.update({each.__name__: each for each in (*formats, *more)})
    return made


def number(value: float) -> str:
    """Return a number for people: 12,345 or 1.25."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def percent(part: float, whole: float) -> str:
    """Return a share as 12.3%; of nothing, a dash."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def megabytes(size_bytes: int) -> str:
    """Return a size in MB (10⁶ bytes)."""
    return f"{size_bytes / 1e6:,.2f}\N{NO-BREAK SPACE}MB"


def signed(value: float) -> str:
    """Return a difference, with a sign that is as wide as a digit."""
    rounded = round(value, 2) + 0.0
    return f"{'+' if rounded > 0 else '−' if rounded < 0 else '±'}{abs(rounded):.2f}"


def decibels(value: float | None) -> str:
    """Return a level; −∞ for digital silence."""
    if value is None or math.isinf(value):
        return "−∞\N{NO-BREAK SPACE}dB"
    return f"{'−' if value < 0 else ''}{abs(value):.1f}\N{NO-BREAK SPACE}dB"


def data_url(data: bytes, kind: str) -> str:
    """Return bytes as a URL that needs nothing else."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def ticks(histogram: Histogram) -> list[tuple[float, str]]:
    """Return up to six marks below a histogram: how far from the left, in percent, and the edge there."""
    bins = len(histogram.edges) - 1
    step = math.ceil(bins / 5)
    return [(round(100 * place / bins, 3), axis.written(histogram.edges[place])) for place in range(0, bins + 1, step)]


def heights(counts: Sequence[int], histogram: Histogram) -> list[float]:
    """Return the height of each bar, in percent of the highest of all groups, as shares of its group."""
    return [round(100 * count / max(1, sum(counts)) / _highest(histogram), 2) for count in counts]


def guides(histogram: Histogram) -> list[tuple[float, str]]:
    """Return up to five lines behind the bars: how far up, in percent, and the share of clips there."""
    highest = 100 * _highest(histogram)
    return [(round(100 * share / highest, 2), f"{axis.written(share)}%") for share in axis.marks(0, highest, 5)]


def _highest(histogram: Histogram) -> float:
    return max(max(each) / max(1, sum(each)) for each in histogram.counts.values()) or 1


def summary(histogram: Histogram) -> str:
    """Return what a histogram shows, in words, for those who do not see it."""
    said = []
    for name, counts in histogram.counts.items():
        total = sum(counts)
        if not total:
            said.append(f"{name}: nothing to show")
            continue
        filled = [place for place, count in enumerate(counts) if count]
        top = counts.index(max(counts))
        low, high = (axis.written(histogram.edges[place]) for place in (filled[0], filled[-1] + 1))
        most = " to ".join(axis.written(edge) for edge in histogram.edges[top : top + 2])
        said.append(
            f"{name}: {total} clips from {low} to {high} {histogram.unit}, most of them ({counts[top]}) from {most}"
        )
    return f"Histogram. {histogram.title}. {'; '.join(said)}. All numbers are in the table below it."


def flattened(parameters: dict[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Return nested parameters as paths and values, without those that are not set."""
    rows: list[tuple[str, str]] = []
    for key, value in parameters.items():
        if isinstance(value, dict) and value:
            rows += flattened(value, f"{prefix}{key}.")
        elif isinstance(value, dict | list | tuple):
            written = ["null" if each is None else str(each) for each in value]
            rows.append((f"{prefix}{key}", ", ".join(written) or "none"))
        elif value is not None:
            rows.append((f"{prefix}{key}", str(value)))
    return tuple(rows)
