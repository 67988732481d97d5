"""Pictures for `dvc plots` and of single clips, as PNG. Pure: the same numbers give the same bytes on any machine."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image

from pipeline.audio.mel import FLOOR_DB, mel_spectrogram
from pipeline.report.numbers import Histogram, Report

_SAMPLE, _BEFORE, _REJECTED = "#2f6db3", "#b8c4d6", "#c2603d"
_GROUPS = {"sample": _SAMPLE, "eligible": _BEFORE}
_MOST_STRATA = 30  # in one picture
_DPI = 100
_COLOURS = 128  # of a palette, which halves a PNG
_MOST_STEPS = 4 * 1032  # of a waveform: four in each pixel
_HERTZ_TICKS = (0, 500, 1000, 2000, 4000, 8000, 16000)

# Where the axes lie in a picture of 12 × 3 inches: the same for both, so that time lies below time.
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.065, 0.925, 0.19, 0.95


def overview(report: Report) -> dict[str, bytes]:
    """Return the pictures of a report as PNG: the keys are those of `schema.PLOTS`."""
    drawn: dict[str, Callable[[], Figure]] = {
        "strata": partial(_strata, report),
        "columns": partial(_columns, report),
        "deviation": partial(_deviation, report),
        "rejected": partial(_rejected, report),
        "weights": partial(_weights, report),
        **{each.key: partial(_histogram, each) for each in report.histograms},
    }
    with _plain():
        return {name: _png(draw()) for name, draw in drawn.items()}


def waveform(samples: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    """Draw a waveform of shape (n,), n ≥ 1, in −1…1, 12 × 3 inches, over time in seconds; return it as PNG."""
    with _plain():
        figure, axes = _strip()
        axes.plot(*_outline(samples, sample_rate), linewidth=0.6, color=_SAMPLE)
        axes.set(xlim=(0, len(samples) / sample_rate), xlabel="time (s)", ylabel="amplitude")
        axes.grid(alpha=0.25)
        return _png(figure)


def spectrogram(samples: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    """Draw a mel spectrogram, 12 × 3 inches: time in seconds, frequency in Hz, level in dB; return it as PNG.

    What is loud is dark, as on paper; the page inverts the colours where the reader's screen is dark.
    """
    levels = mel_spectrogram(samples, sample_rate)
    hop = levels.hop_seconds
    frames = (np.arange(levels.decibels.shape[1] + 1) - 0.5) * hop
    with _plain():
        figure, axes = _strip()
        bands = np.arange(len(levels.edges_hertz))
        mesh = axes.pcolorfast(frames, bands, levels.decibels, cmap="Blues", vmin=FLOOR_DB, vmax=0)
        ticks = [hertz for hertz in _HERTZ_TICKS if hertz <= sample_rate / 2]
        axes.set_yticks(np.interp(ticks, levels.edges_hertz, bands), map(str, ticks))
        axes.set(xlim=(0, len(samples) / sample_rate), xlabel="time (s)", ylabel="frequency (Hz)")
        beside = figure.add_axes((_RIGHT + 0.01, _BOTTOM, 0.012, _TOP - _BOTTOM))
        figure.colorbar(mesh, cax=beside, ticks=range(round(FLOOR_DB), 1, 20)).set_label("level (dB)")
        return _png(figure)


def clip(samples: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    """Draw a waveform with its spectrogram below it, 12 × 6 inches; return it as PNG."""
    drawn = [Image.open(io.BytesIO(draw(samples, sample_rate))).convert("RGB") for draw in (waveform, spectrogram)]
    width, height = drawn[0].size
    both = Image.new("RGB", (width, 2 * height))
    for place, picture in enumerate(drawn):
        both.paste(picture, (0, place * height))
    buffer = io.BytesIO()
    both.save(buffer, format="PNG", dpi=(_DPI, _DPI))
    return buffer.getvalue()


def _outline(samples: npt.NDArray[np.float32], sample_rate: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return times and amplitudes to draw: of many samples the lowest and highest of each step, as no more is seen."""
    step = len(samples) // _MOST_STEPS
    seconds = np.arange(len(samples)) / sample_rate
    if step < 4:
        return seconds, samples
    starts = np.arange(0, len(samples), step)
    both = np.stack([np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)], axis=1)
    return np.repeat(seconds[starts], 2), both.ravel()


def _strata(report: Report) -> Figure:
    """Draw the share of each stratum among the eligible clips and in the sample, the largest strata first."""
    shown = report.strata[:_MOST_STRATA]
    eligible, accepted = report.metrics["eligible"], report.metrics["accepted"]
    figure, axes = _figure(1.5 + 0.3 * len(shown))
    places = np.arange(len(shown))
    shares = [100 * stratum.eligible / eligible for stratum in shown]
    axes.barh(places - 0.2, shares, 0.4, label=f"eligible ({eligible} clips)", color=_BEFORE)
    shares = [100 * stratum.sample / max(1, accepted) for stratum in shown]
    axes.barh(places + 0.2, shares, 0.4, label=f"sample ({accepted} clips)", color=_SAMPLE)
    axes.set_yticks(places, [_plain_text(stratum.name) for stratum in shown])
    axes.invert_yaxis()
    axes.set(xlabel="share (%)", title=_of(len(shown), len(report.strata), "strata"))
    axes.legend(loc="lower right")
    return figure


def _columns(report: Report) -> Figure:
    """Draw population, eligible and sample side by side, for each column of the strata."""
    heights = [1 + len(column.levels) for column in report.columns]
    figure = Figure(figsize=(9, 1 + 0.42 * sum(heights)), layout="constrained", dpi=_DPI)
    every_axes = figure.subplots(len(heights), squeeze=False, height_ratios=heights)[:, 0]
    totals = {name: max(1, report.metrics[name]) for name in ("population", "eligible")}
    totals["sample"] = max(1, report.metrics["accepted"])
    colours = {"population": "#dfe4ec", "eligible": _BEFORE, "sample": _SAMPLE}
    for axes, column in zip(every_axes, report.columns, strict=True):
        places = np.arange(len(column.levels))
        for step, (name, total) in enumerate(totals.items()):
            shares = [100 * getattr(level, name) / total for level in column.levels]
            axes.barh(places + (step - 1) * 0.27, shares, 0.27, label=name, color=colours[name])
        axes.set_yticks(places, [_plain_text(level.name) for level in column.levels])
        axes.invert_yaxis()
        axes.set(title=column.name)
    every_axes[-1].set(xlabel="share (%)")
    every_axes[0].legend(loc="lower right")
    return figure


def _deviation(report: Report) -> Figure:
    """Draw how many clips each stratum is away from its exact share, the largest strata first."""
    shown = report.strata[:_MOST_STRATA]
    figure, axes = _figure(1.5 + 0.25 * len(shown))
    axes.barh(range(len(shown)), [stratum.deviation for stratum in shown], color=_SAMPLE)
    axes.axvline(0, color="0.4", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [_plain_text(stratum.name) for stratum in shown])
    axes.invert_yaxis()
    axes.set(xlabel="clips more (or less) than the exact share", title=_of(len(shown), len(report.strata), "strata"))
    return figure


def _histogram(numbers: Histogram) -> Figure:
    """Draw the share of clips in each bin, the sample in front."""
    figure, axes = _figure(4, 0.7)
    for name, counts in reversed(numbers.counts.items()):
        share = 100 * np.array(counts) / max(1, sum(counts))
        step = numbers.edges[1] - numbers.edges[0]
        middles = np.array(numbers.edges[:-1]) + step / 2
        slim = name == "sample" and len(numbers.counts) > 1
        axes.bar(middles, share, step * (0.55 if slim else 0.96), label=name, color=_GROUPS[name])
    axes.set(xlabel=f"{numbers.title} ({numbers.unit})", ylabel="clips (%)", title=numbers.apart)
    if len(numbers.counts) > 1:
        axes.legend()
    return figure


def _rejected(report: Report) -> Figure:
    """Draw how many clips were refused for which reason."""
    counts = {name.removeprefix("rejected_"): n for name, n in report.metrics.items() if name.startswith("rejected_")}
    figure, axes = _figure(4, 1.2)
    bars = axes.barh(list(counts), list(counts.values()), color=_REJECTED)
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    title = f"{report.metrics['rejected']} clips rejected"
    axes.set(xlabel="clips", title=title, xlim=(0, max(1, *counts.values()) * 1.1))
    return figure


def _weights(report: Report) -> Figure:
    """Draw what the sample weighs."""
    figure, axes = _figure(2.6, 2.6)
    names, sizes = zip(*report.weights, strict=True)
    bars = axes.barh(names, [size / 1e6 for size in sizes], color=_SAMPLE)
    axes.bar_label(bars, fmt="%.1f", padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="MB", xlim=(0, max(sizes) / 1e6 * 1.1))
    return figure


def _of(shown: int, total: int, what: str) -> str:
    return f"{total} {what}" if shown == total else f"the {shown} largest of {total} {what}"


def _plain_text(name: str) -> str:
    """Return a name that matplotlib does not take for mathematics, shortened to fit."""
    short = name if len(name) <= 60 else f"{name[:59]}…"
    return short.replace("$", r"\$")


@contextmanager
def _plain() -> Iterator[None]:
    """Draw in matplotlib's own style, whatever this machine's is."""
    with style.context({"axes.spines.top": False, "axes.spines.right": False}, after_reset=True):
        yield


def _figure(height: float, left: float | None = None) -> tuple[Figure, Any]:
    """Return a figure of its own, without pyplot's state, 9 inches wide and `height` high.

    `left` inches are for the labels; without it they are measured, which takes as long as drawing them.
    """
    if left is None:
        figure = Figure(figsize=(9, height), layout="constrained", dpi=_DPI)
        return figure, figure.subplots()
    figure = Figure(figsize=(9, height), dpi=_DPI)
    return figure, figure.add_axes((left / 9, 0.6 / height, 1 - (left + 0.2) / 9, 1 - 1 / height))


def _strip() -> tuple[Figure, Any]:
    """Return a figure of 12 × 3 inches, its axes where those of the others are."""
    figure = Figure(figsize=(12, 3), dpi=_DPI)
    return figure, figure.add_axes((_LEFT, _BOTTOM, _RIGHT - _LEFT, _TOP - _BOTTOM))


def _png(figure: Figure) -> bytes:
    """Return a figure as PNG with a palette, which is a third of the bytes, and without what drew it and when."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="raw")
    width, height = figure.canvas.get_width_height()
    pixels = Image.frombytes("RGBA", (width, height), buffer.getvalue()).convert("RGB")
    palette = pixels.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    colours = palette.getpalette() or []
    paper = 3 * np.asarray(palette)[0, 0]
    colours[paper : paper + 3] = (255, 255, 255)  # the octree mixes it with what is nearly white
    palette.putpalette(colours)
    picture = io.BytesIO()
    palette.save(picture, format="PNG", dpi=(_DPI, _DPI))
    return picture.getvalue()
