"""The pictures that `dvc plots` shows, as SVG: they need no network, no script and no library to draw them. Pure.

Each picture is a list of bars, lines and texts, which ``templates/plot.svg.j2`` writes down, every text escaped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from jinja2 import Template

from pipeline.report import axis, html
from pipeline.report.histograms import Histogram
from pipeline.report.numbers import Report

_TEMPLATE = "plot.svg.j2"
_SAMPLE, _BEFORE, _POPULATION, _REJECTED = "#2f6db3", "#a9b8cd", "#dde3ec", "#b8573a"
_GROUPS = {"sample": _SAMPLE, "eligible": _BEFORE}
_MOST_STRATA = 30  # in one picture
_WIDTH, _RIGHT, _ROOM = 900, 60, 24  # in pixels: of the picture, beside the longest bar, above and below
_LEFT = 60  # beside the first bin of a histogram
_MOST_LABEL = 44  # characters
_CHARACTER = 6.7  # pixels of a label, nearly all of them
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2


@dataclass
class Drawing:
    """What is drawn, in pixels from the upper left corner."""

    title: str
    height: float = _ROOM
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)  # x, y, width, height, colour
    lines: list[tuple[float, float, float, float, str]] = field(default_factory=list)  # from x, y to x, y; colour
    texts: list[tuple[float, float, str, str, str]] = field(default_factory=list)  # x, y, anchor, class, text

    def text(self, x: float, y: float, text: str, anchor: str = "start", kind: str = "mark") -> None:
        """Write a text whose middle line is at `y`; a character that XML can't hold is replaced."""
        self.texts.append((round(x, 1), round(y, 1), anchor, kind, _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)))

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Draw a bar, to the left of `x` where its width is negative."""
        self.bars.append((round(min(x, x + width), 1), round(y, 1), round(abs(width), 1), round(height, 1), colour))

    def line(self, x: float, y: float, to_x: float, to_y: float, colour: str) -> None:
        """Draw a thin line."""
        self.lines.append((round(x, 1), round(y, 1), round(to_x, 1), round(to_y, 1), colour))

    def legend(self, names: dict[str, str]) -> None:
        """Say which colour is what, below all that is drawn."""
        x = 16.0
        for name, colour in names.items():
            self.bar(x, self.height - 5, 10, 10, colour)
            self.text(x + 15, self.height, name)
            x += 15 + len(name) * _CHARACTER + 20
        self.height += _ROOM


@dataclass(frozen=True)
class Series:
    """Numbers of one kind, one for each row of a panel, and what to write beside each bar."""

    values: Sequence[float]
    colour: str
    written: Sequence[str] = ()


def overview(report: Report) -> dict[str, str]:
    """Return the pictures of a report as SVG: the keys are those of `schema.PLOTS`."""
    drawn: dict[str, Callable[[], Drawing]] = {
        "columns": partial(_columns, report),
        "strata": partial(_strata, report),
        "deviation": partial(_deviation, report),
        "rejected": partial(_rejected, report),
        "disk_usage": partial(_disk_usage, report),
        "pitch": partial(_pitch, report),
        **{each.key: partial(_histogram, each) for each in (*report.histograms, *report.voices.histograms)},
    }
    template = html.environment().get_template(_TEMPLATE)
    return {name: _svg(template, draw()) for name, draw in drawn.items()}


def _svg(template: Template, drawing: Drawing) -> str:
    return template.render(drawing=drawing, width=_WIDTH)


def _columns(report: Report) -> Drawing:
    """Draw population, eligible and sample side by side, for each column of the strata."""
    drawing = Drawing("Shares of each value, in percent")
    totals = {name: max(1, report.metrics[name]) for name in ("population", "eligible")}
    totals["sample"] = max(1, report.metrics["accepted"])
    colours = {"population": _POPULATION, "eligible": _BEFORE, "sample": _SAMPLE}
    shares = {
        column.name: [
            Series([100 * getattr(level, name) / total for level in column.levels], colours[name])
            for name, total in totals.items()
        ]
        for column in report.columns
    }
    highest = max(value for panel in shares.values() for series in panel for value in series.values)
    for column in report.columns:
        drawing.text(16, drawing.height, column.name, kind="head")
        drawing.height += _ROOM
        _panel(drawing, [level.name for level in column.levels], shares[column.name], (0, highest), "share (%)")
    drawing.legend(colours)
    return drawing


def _strata(report: Report) -> Drawing:
    """Draw the share of each stratum among the eligible clips and in the sample, the largest strata first."""
    shown = report.strata[:_MOST_STRATA]
    eligible, accepted = report.metrics["eligible"], report.metrics["accepted"]
    before = Series([100 * stratum.eligible / eligible for stratum in shown], _BEFORE)
    sample = Series([100 * stratum.sample / max(1, accepted) for stratum in shown], _SAMPLE)
    drawing = Drawing(f"Shares of {_of(len(shown), len(report.strata), 'strata')}, in percent")
    limits = (0, max(*before.values, *sample.values))
    _panel(drawing, [stratum.name for stratum in shown], [before, sample], limits, "share (%)")
    drawing.legend({f"eligible ({eligible:,} clips)": _BEFORE, f"sample ({accepted:,} clips)": _SAMPLE})
    return drawing


def _deviation(report: Report) -> Drawing:
    """Draw how many clips each stratum is away from its exact share, the largest strata first."""
    shown = report.strata[:_MOST_STRATA]
    values = [float(stratum.deviation) for stratum in shown]
    drawing = Drawing(f"Deviation of {_of(len(shown), len(report.strata), 'strata')} from their exact shares")
    series = Series(values, _SAMPLE, [html.signed(value) for value in values])
    limits = (min(0, *values), max(0, *values))
    _panel(drawing, [stratum.name for stratum in shown], [series], limits, "clips more (or less) than the exact share")
    return drawing


def _rejected(report: Report) -> Drawing:
    """Draw how many clips were rejected for which reason."""
    counts = {name.removeprefix("rejected_"): n for name, n in report.metrics.items() if name.startswith("rejected_")}
    drawing = Drawing(f"{report.metrics['rejected']:,} of {report.metrics['examined']:,} clips rejected")
    series = Series(list(counts.values()), _REJECTED, [f"{count:,}" for count in counts.values()])
    _panel(drawing, list(counts), [series], (0, max(5, *counts.values())), "clips")  # whole clips at every mark
    return drawing


def _disk_usage(report: Report) -> Drawing:
    """Draw how many bytes the sample takes on disk, beside what other forms of it would."""
    names, sizes = zip(*report.disk_usage, strict=True)
    drawing = Drawing("Disk usage")
    series = Series([size / 1e6 for size in sizes], _SAMPLE, [f"{size / 1e6:,.1f}" for size in sizes])
    _panel(drawing, names, [series], (0, max(series.values)), "MB")
    return drawing


def _panel(
    drawing: Drawing, labels: Sequence[str], series: Sequence[Series], limits: tuple[float, float], unit: str
) -> None:
    """Draw a row of bars for each label, over an axis from the first to the second of `limits`."""
    named = [label if len(label) <= _MOST_LABEL else f"{label[: _MOST_LABEL - 1]}…" for label in labels]
    left = 28 + _CHARACTER * max(map(len, named))
    low, high = limits if limits[0] < limits[1] else (limits[0], limits[0] + 1)
    beside = _RIGHT if low < 0 else 0  # for what is written to the left of a bar
    scale = (_WIDTH - left - beside - _RIGHT) / (high - low)
    zero = left + beside - low * scale
    thick = 14 if len(series) == 1 else 8
    top, step = drawing.height - 8, thick * len(series) + 8
    bottom = top + step * len(named)
    for mark in axis.marks(low, high, 8):
        drawing.line(zero + mark * scale, top, zero + mark * scale, bottom, "#888" if mark == 0 else "#e3e6eb")
        drawing.text(zero + mark * scale, bottom + 12, axis.written(mark), "middle")
    for row, label in enumerate(named):
        drawing.text(left - 8, top + step * (row + 0.5), label, "end", "label")
        for place, each in enumerate(series):
            y, width = top + step * row + 4 + thick * place, each.values[row] * scale
            drawing.bar(zero, y, width, thick - 1, each.colour)
            if each.written:
                side = -1 if width < 0 else 1
                drawing.text(zero + width + 6 * side, y + thick / 2, each.written[row], "end" if side < 0 else "start")
    drawing.text(zero + (low + high) / 2 * scale, bottom + 30, unit, "middle")
    drawing.height = bottom + 30 + _ROOM


def _pitch(report: Report) -> Drawing:
    """Draw the histograms of pitch below each other, so that what is higher in one gender lies further to the right."""
    drawing = Drawing("Median pitch of a clip (Hz), by gender as speakers said it: share of its clips (%)")
    for gender, numbers in zip(report.voices.genders, report.voices.pitch, strict=True):
        name = gender.name if len(gender.name) <= _MOST_LABEL else f"{gender.name[: _MOST_LABEL - 1]}…"
        middle = f", median {gender.f0_quartiles_hz[1]:.0f} Hz" if gender.f0_quartiles_hz else ""
        drawing.text(16, drawing.height, f"{name}: {gender.voiced:,} clips with a voice{middle}", kind="head")
        drawing.height += _ROOM
        _bins(drawing, numbers, 120)
        drawing.height += _ROOM
    return drawing


def _histogram(numbers: Histogram) -> Drawing:
    """Draw the share of clips in each bin, the sample in front."""
    drawing = Drawing(f"{numbers.title} ({numbers.unit})")
    drawing.text(16, drawing.height - 14, "clips (%)")
    _bins(drawing, numbers, 280)
    drawing.text((_LEFT + _WIDTH - _RIGHT) / 2, drawing.height - 4, drawing.title, "middle")
    drawing.height += 20
    if numbers.apart:
        drawing.text(_LEFT, drawing.height, numbers.apart)
        drawing.height += _ROOM
    if len(numbers.counts) > 1:
        drawing.legend({name: _GROUPS[name] for name in numbers.counts})
    return drawing


def _bins(drawing: Drawing, numbers: Histogram, height: float) -> None:
    """Draw bars of so many pixels at most over an axis, with the axes' marks."""
    shares = numbers.shares()
    high = max(max(each) for each in shares.values()) or 1
    bottom = drawing.height + height
    step, scale = (_WIDTH - _LEFT - _RIGHT) / (len(numbers.edges) - 1), height / high
    for mark in axis.marks(0, high, 6 if height > 200 else 3):
        y = bottom - mark * scale
        drawing.line(_LEFT, y, _WIDTH - _RIGHT, y, "#e3e6eb" if mark else "#888")
        drawing.text(_LEFT - 8, y, axis.written(mark), "end")
    for percent, edge in html.ticks(numbers):
        drawing.text(_LEFT + percent / 100 * (_WIDTH - _LEFT - _RIGHT), bottom + 14, edge, "middle")
    for name, values in reversed(shares.items()):
        slim = 0.55 if name == "sample" and len(shares) > 1 else 0.94
        for place, value in enumerate(values):
            x = _LEFT + step * (place + (1 - slim) / 2)
            drawing.bar(x, bottom - value * scale, step * slim, value * scale, _GROUPS[name])
    drawing.height = bottom + 38


def _of(shown: int, total: int, what: str) -> str:
    return f"all {total:,} {what}" if shown == total else f"the {shown} largest of {total:,} {what}"
