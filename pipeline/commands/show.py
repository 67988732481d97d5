"""One clip in words and as a picture."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from pipeline.clips import reader
from pipeline.clips.rejected import read_rejected
from pipeline.commands import drawing
from pipeline.core import atomic, schema
from pipeline.core.columns import Column, Value
from pipeline.core.errors import SampleError
from pipeline.core.terminal import amount, printable
from pipeline.shards.table import read_table
from pipeline.waveforms.reader import Clip, Waveforms, open_waveforms

_FIRST_VALUES = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add which clip, and where to draw it."""
    parser.add_argument("clip_id", metavar="CLIP_ID", help="such as valid-test/sample-000003")
    parser.add_argument("--out", type=_png, metavar="FILE.png", help=f"where to draw it (default: in {schema.DRAWN}/)")


def _png(text: str) -> Path:
    if not text.endswith(".png"):
        raise argparse.ArgumentTypeError(f"should be a file whose name ends in .png; got {text!r}")
    return Path(text)


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    yield show(options.clip_id, options.out)


def show(clip_id: str, out: Path | None = None) -> str:
    """Draw a clip into the file `out` (or one in `schema.DRAWN`); return what is known of it.

    Raises SampleError if the sample has no such clip: the message says why it was rejected, or names the nearest ones.
    """
    clips = open_waveforms()
    clip = find(clips, clip_id)
    (original,) = reader.read_originals([(clip_id, clip.source_sha256)])
    path = out or schema.DRAWN / f"{clip_id.replace('/', '-')}.png"
    atomic.write_bytes(path, drawing.png(clip.waveform, clip.sample_rate))
    return described(clip, len(original.data), clips.declared, measured(clips, clip_id) | {"picture": str(path)})


def find(clips: Waveforms, clip_id: str) -> Clip:
    """Return the clip of this id, or say why it was rejected or which ids are near it."""
    if clip_id in clips:
        return clips[clip_id]
    if schema.REJECTED.exists():
        for row in read_rejected().to_pylist():
            if row["clip_id"] == clip_id:
                reason = ", ".join(filter(None, (row["reason"], row["detail"])))
                raise SampleError(f"{clip_id} was rejected: {reason}")
    ids = clips.metadata()["clip_id"].tolist()
    near = difflib.get_close_matches(clip_id, ids, n=3) or ids[:3]
    raise SampleError(f"{clip_id} is not among the {len(ids)} clips of the sample. Nearest: {', '.join(near)}")


def measured(clips: Waveforms, clip_id: str) -> dict[str, str]:
    """Return pitch and speaking rate, where features were made, and for how many eligible clips this one stands."""
    lines = {}
    if schema.FEATURES.is_dir():
        table = clips.where(clip_id=clip_id).feature_table(["f0_median_hz", "words_per_second"])
        f0_hz, rate = (table[name][0].as_py() for name in ("f0_median_hz", "words_per_second"))
        lines["pitch"] = "(no voice found)" if f0_hz is None else f"{f0_hz:.0f} Hz, median of the voiced frames"
        lines["speech"] = "(no words counted)" if rate is None else f"{rate:.1f} words per second"
    if schema.SAMPLE.exists():
        sample = read_table(schema.SAMPLE, schema.sample_schema, ["clip_id", "weight"])
        weights = dict(zip(sample["clip_id"].to_pylist(), sample["weight"].to_pylist(), strict=True))
        if clip_id in weights:
            lines["weight"] = f"stands for {amount(weights[clip_id], 'eligible clip')}"
    return lines


def described(
    clip: Clip, source_bytes: int, declared: Sequence[Column], also: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return a line for each fact of a clip: its array, its file, its declared columns, and `also`."""
    values = np.array2string(clip.waveform[:_FIRST_VALUES], separator=", ", precision=8, max_line_width=200)
    more = ", …]" if len(clip.waveform) > _FIRST_VALUES else "]"
    source = f"{clip.source_format}, {clip.source_sample_rate} Hz, channels: {clip.source_channels}"
    rows = {
        "clip": clip.clip_id,
        "waveform": values.removesuffix("]") + more,
        "samples": clip.num_samples,
        "rate": f"{clip.sample_rate} Hz",
        "duration": f"{clip.duration_seconds:.3f} s",
        "level": f"peak {clip.peak_dbfs:.1f} dB, RMS {clip.rms_dbfs:.1f} dB of full scale",
        "clipped": f"{clip.clipped_samples} samples",
        "source": f"{source}, {source_bytes} bytes",
        **({} if clip.start_seconds is None else {"begins": f"{clip.start_seconds:.3f} s after the file does"}),
        "SHA-256": clip.source_sha256,
        **{column.name: _with_unit(clip.columns[column.name], column.unit) for column in declared},
        "table": clip.table,
        "split": clip.split,
        "rank": clip.rank,
        **also,
    }
    width = max(12, *map(len, rows))
    return "\n".join(f"{name:<{width}}  {printable(str(value))}" for name, value in rows.items())


def _with_unit(value: Value | None, unit: str | None) -> str:
    return "(missing)" if value is None else f"{value} {unit}" if unit else str(value)
