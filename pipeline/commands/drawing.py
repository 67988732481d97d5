"""A clip as one PNG: its waveform, and its mel spectrogram below it, over the same axis of time. Pure."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.report import sound
from pipeline.report.sound import Float32

_WIDTH, _HEIGHT = 1200, 600
_LEFT, _RIGHT = 84, 1176  # of both fields, in pixels
_WAVEFORM, _SPECTROGRAM = (32, 274), (308, 550)  # top and bottom of each
_INK, _QUIET, _LINE, _BLUE = "#1b1f26", "#59616e", "#dfe3e9", "#2459a6"
_FONT_PIXELS = 14


def png(samples: Float32, sample_rate: int) -> bytes:
    """Draw a waveform of shape (n,), n ≥ 1, nominally in −1…1, sampled at `sample_rate` Hz: 1200 × 600 pixels."""
    drawn = sound.draw(samples, sample_rate)
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    pen.font = ImageFont.load_default(_FONT_PIXELS)
    _draw_grid(pen, drawn)
    _draw_waveform(pen, samples / np.float32(drawn.edge))
    _paste_spectrogram(image, drawn)
    for top, bottom in (_WAVEFORM, _SPECTROGRAM):
        pen.rectangle((_LEFT - 1, top - 1, _RIGHT, bottom), outline=_LINE)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def _draw_grid(pen: ImageDraw.ImageDraw, drawn: sound.Sound) -> None:
    for percent, mark in drawn.time_marks:
        x = _LEFT + percent / 100 * (_RIGHT - _LEFT)
        pen.line((x, _WAVEFORM[0], x, _WAVEFORM[1]), fill=_LINE)
        pen.text((x, _SPECTROGRAM[1] + 6), mark, fill=_QUIET, anchor="ma")
    pen.text(((_LEFT + _RIGHT) / 2, _HEIGHT - 6), "time (s)", fill=_INK, anchor="md")
    amplitudes = ((0, f"{-drawn.edge:g}"), (50, "0"), (100, f"{drawn.edge:g}"))
    for (top, bottom), marks, unit in (
        (_WAVEFORM, amplitudes, "amplitude"),
        (_SPECTROGRAM, drawn.frequency_marks, "frequency (Hz)"),
    ):
        for percent, mark in marks:
            y = bottom - percent / 100 * (bottom - top)
            anchor = "rs" if percent == 0 else "ra" if percent == 100 else "rm"
            pen.text((_LEFT - 10, y), mark, fill=_QUIET, anchor=anchor)
        pen.text((_LEFT, top - 8), unit, fill=_INK, anchor="ls")


def _draw_waveform(pen: ImageDraw.ImageDraw, samples: Float32) -> None:
    top, bottom = _WAVEFORM
    middle, half = (top + bottom) / 2, (bottom - top) / 2 - 1
    lowest, highest = (np.rint(middle - half * each).tolist() for each in sound.extremes(samples, _RIGHT - _LEFT))
    for x, (low, high) in enumerate(zip(lowest, highest, strict=True), start=_LEFT):
        pen.line((x, high, x, low), fill=_BLUE)


def _paste_spectrogram(image: Image.Image, drawn: sound.Sound) -> None:
    """Stretch the spectrogram over its field; what lies outside of the clip's time is cut off."""
    top, bottom = _SPECTROGRAM
    width = _RIGHT - _LEFT
    stretched = Image.open(io.BytesIO(drawn.spectrogram)).convert("RGB")
    stretched = stretched.resize((max(1, round(drawn.width / 100 * width)), bottom - top), Image.Resampling.BILINEAR)
    start = round(-drawn.left / 100 * width)
    image.paste(stretched.crop((start, 0, start + width, bottom - top)), (_LEFT, top))
