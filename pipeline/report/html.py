"""The report as one HTML file that needs no network, no script and no other file. Pure.

All text of tables is escaped.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.report import axis, sound
from pipeline.report.examples import Example
from pipeline.report.histograms import Histogram
from pipeline.report.numbers import Report

_TEMPLATE = "report.html.j2"
_MOST_STRATA = 20  # shown at once; the others are folded away
_MOST_REJECTED = 100  # of one reason


@dataclass(frozen=True)
class About:
    """The snapshot and the parameters that the sample was drawn with."""

    title: str  # of the snapshot's description, as licence and citation are
    license: str
    citation: str
    snapshot: str  # its name in configs/snapshots/
    facts: tuple[tuple[str, str], ...]  # its source and identity, and the versions of the decoder: name, value
    remarks: tuple[str, ...]  # what of its tables and members does not fit
    splits: Mapping[str, float]  # the share of the clips that is asked for each split, by its name
    parameters: tuple[tuple[str, str], ...]  # path of each key of params.yaml, and its value
    encoding: str  # of the waveforms
    sample_rate: int  # Hz


def render(report: Report, about: About, examples: Sequence[Example], outliers: Sequence[Example]) -> str:
    """Return the page."""
    template = environment().get_template(_TEMPLATE)
    return template.render(
        report=report,
        numbers=report.metrics,
        about=about,
        splits=split_rows(report, about),
        why_above_one=why_above_one(report.metrics),
        examples=examples,
        outliers=outliers,
        ticks=ticks,
        summary=summary,
        heights=heights,
        guides=guides,
        box=(sound.OUTLINE_WIDTH, sound.OUTLINE_HEIGHT),
        palette=[f"rgb({red} {green} {blue})" for red, green, blue in sound.palette().tolist()[::7]],
        most_strata=_MOST_STRATA,
        most_rejected=_MOST_REJECTED,
    )


@cache
def environment(*more: Callable[..., Any]) -> Environment:
    """Return the environment of this package's templates, with `more` filters by their names.

    All values are escaped; an unknown name is an error.
    """
    templates = Environment(
        loader=PackageLoader("pipeline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    formats = (number, counted, percent, megabytes, signed, decibels, data_url, axis.format_mark)
    templates.filters.update({each.__name__: each for each in (*formats, *more)})
    return templates


def split_rows(report: Report, about: About) -> list[tuple[str, float, int, float]]:
    """Return each split that is asked for: its name, the share asked, the clips there are, and their hours."""
    there = {name: (clips, hours) for name, clips, hours in report.splits}
    return [(name, share, *there.get(name, (0, 0.0))) for name, share in sorted(about.splits.items())]


def why_above_one(metrics: Mapping[str, Any]) -> str:
    """Return why a stratum is a clip or more from its exact share; nothing where none is.

    The first clips of the ranking never are (docs/sampling.md): only rejected ones can be why.
    """
    if metrics["largest_deviation_clips"] < 1:
        return ""
    were = "clip was" if metrics["rejected"] == 1 else "clips were"
    return (
        f"In the ranking itself it is always below 1; {number(metrics['rejected'])} {were} rejected, and the next one "
        "takes the place of each, whichever stratum it is of."
    )


def number(value: float) -> str:
    """Return a number for people: 12,345 or 1.25."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def counted(value: int, noun: str) -> str:
    """Return a number of things for people: 1 clip, 12,345 clips."""
    return f"{number(value)} {noun if value == 1 else f'{noun}s'}"


def percent(part: float, whole: float) -> str:
    """Return a share as 12.3%, or a dash where the whole is 0."""
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
    """Return bytes as a URL that contains them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def ticks(histogram: Histogram) -> list[tuple[float, str]]:
    """Return up to six marks below a histogram: the distance from the left, in percent, and the edge there."""
    bins = len(histogram.edges) - 1
    step = math.ceil(bins / 5)
    return [
        (round(100 * place / bins, 3), axis.format_mark(histogram.edges[place])) for place in range(0, bins + 1, step)
    ]


def heights(counts: Sequence[int], histogram: Histogram) -> list[float]:
    """Return the height of each bar, the share of its group, in percent of the highest bar of all groups."""
    return [round(100 * count / max(1, sum(counts)) / _highest(histogram), 2) for count in counts]


def guides(histogram: Histogram) -> list[tuple[float, str]]:
    """Return up to five lines behind the bars: the height, in percent, and the share of clips there."""
    highest = 100 * _highest(histogram)
    return [(round(100 * share / highest, 2), f"{axis.format_mark(share)}%") for share in axis.marks(0, highest, 5)]


def _highest(histogram: Histogram) -> float:
    return max(max(each) / max(1, sum(each)) for each in histogram.counts.values()) or 1


def summary(histogram: Histogram) -> str:
    """Return a description of a histogram in words, for screen readers."""
    sentences = []
    for name, counts in histogram.counts.items():
        total = sum(counts)
        if not total:
            sentences.append(f"{name}: nothing to show")
            continue
        filled = [place for place, count in enumerate(counts) if count]
        top = counts.index(max(counts))
        low, high = (axis.format_mark(histogram.edges[place]) for place in (filled[0], filled[-1] + 1))
        most = " to ".join(axis.format_mark(edge) for edge in histogram.edges[top : top + 2])
        sentences.append(
            f"{name}: {counted(total, 'clip')} from {low} to {high} {histogram.unit}, "
            f"most of them ({number(counts[top])}) from {most}"
        )
    return f"Histogram. {histogram.title}. {'; '.join(sentences)}. All numbers are in the table below it."


def flattened(parameters: dict[str, Any], prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Return nested parameters as paths and values, without those that are null."""
    rows: list[tuple[str, str]] = []
    for key, value in parameters.items():
        if isinstance(value, dict) and value:
            rows += flattened(value, f"{prefix}{key}.")
        elif isinstance(value, dict | list | tuple):
            texts = ["null" if each is None else str(each) for each in value]
            rows.append((f"{prefix}{key}", ", ".join(texts) or ("{}" if isinstance(value, dict) else "[]")))
        elif value is not None:
            rows.append((f"{prefix}{key}", str(value)))
    return tuple(rows)
