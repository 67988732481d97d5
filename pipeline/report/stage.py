"""report: how the sample compares with what it was drawn from, as numbers, pictures, and clips to listen to."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clips import originals
from pipeline.core import atomic, schema
from pipeline.core.params import Params, load_params
from pipeline.report import card, html, numbers, plots
from pipeline.shards.folder import shard_paths
from pipeline.snapshot import tables
from pipeline.snapshot.description import describe
from pipeline.waveforms.reader import Waveforms, open_waveforms

_HUGGING_FACE = {"mozillaorg/common-voice": "common_voice"}  # Kaggle's name → Hugging Face's
_COUNTED = ["text", *schema.VOCABULARY]  # columns that are looked at whatever the strata are
_EXHIBITS = 6
_MOST_PLAYER_BYTES = 1_200_000  # of all MP3s in the page, which base64 makes a third larger


def run() -> str:
    """Write ``reports/``; return what to tell the user."""
    params = load_params()
    waveforms = open_waveforms()
    report = numbers.summarise(_material(params, waveforms), params.stratify.strata, params.stratify.allocation)
    pa.default_memory_pool().release_unused()  # the tables have been counted: a third of what is in memory
    about = _about(params, waveforms)
    exhibits = _exhibits(waveforms, pq.read_table(schema.SAMPLE, columns=["clip_id", "stratum"]).to_pandas())
    for name, png in plots.overview(report).items():
        with atomic.replacing(schema.PLOTS[name]) as temporary:
            temporary.write_bytes(png)
    atomic.write_text(schema.REPORT, html.render(report, about, exhibits))
    atomic.write_text(schema.CARD, card.render(report, about))
    atomic.write_text(schema.METRICS, json.dumps(report.metrics, indent=2, allow_nan=False) + "\n")
    metrics = report.metrics
    return (
        f"{metrics['accepted']} of {metrics['eligible']} eligible clips, {metrics['hours']:.2f} hours, "
        f"at most {metrics['largest_deviation_clips']:.2f} clips from the exact shares: {schema.REPORT}"
    )


def _material(params: Params, waveforms: Waveforms) -> numbers.Material:
    drawn_from = params.stratify.tables
    columns = [name for name in params.stratify.strata if name not in _COUNTED]
    layout = tables.served_layout()
    served = tables.find_tables((path.name for path in schema.TABLES.iterdir()), layout)
    shipped = [table for table in numbers.SHIPPED_SPLITS if table in served]
    clips = tables.read_clips(dict.fromkeys([*drawn_from, *shipped]), layout=layout)
    return numbers.Material(
        population=clips.loc[clips["table"].isin(drawn_from), [*_COUNTED, *columns]],
        shipped=clips.loc[clips["table"].isin(shipped), ["table", "text"]],
        eligible=pq.read_table(schema.RANKING, columns=[*_COUNTED, *columns, "stratum", "split"]).to_pandas(),
        sample=pq.read_table(schema.SAMPLE).to_pandas(),
        rejected=pd.read_csv(schema.REJECTED, keep_default_na=False),
        waveforms=waveforms.metadata(),
        bytes_mp3=originals.mp3_bytes(),
        bytes_clips=_size(schema.CLIPS),
        bytes_waveforms=_size(schema.WAVEFORMS),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in shard_paths(folder))


def _exhibits(waveforms: Waveforms, sample: pd.DataFrame) -> list[html.Exhibit]:
    """Return the first clips of as many strata as there is room for, in the order of the ranking."""
    first_of_each = ~sample["stratum"].duplicated()
    chosen = pd.concat([sample[first_of_each], sample[~first_of_each]]).head(_EXHIBITS).sort_index()
    clips = [waveforms[clip_id] for clip_id in chosen["clip_id"]]
    mp3s = originals.read_mp3s((clip.clip_id, clip.mp3_sha256) for clip in clips)
    exhibits, room = [], _MOST_PLAYER_BYTES
    for clip, mp3, stratum in zip(clips, mp3s, chosen["stratum"], strict=True):
        plays = len(mp3) <= room
        room -= len(mp3) if plays else 0
        waveform, spectrogram = (draw(clip.waveform, clip.sample_rate) for draw in (plots.waveform, plots.spectrogram))
        exhibits.append(html.Exhibit(clip, stratum, mp3 if plays else None, waveform, spectrogram))
    return exhibits


def _about(params: Params, waveforms: Waveforms) -> html.About:
    description = describe(params.snapshot)
    receipt = json.loads(schema.RECEIPT.read_bytes())
    decoder = {"pipeline": schema.VERSION, **waveforms.about["decoder"]}
    facts = {
        **{f"source {name}": value for name, value in receipt["source"].items()},
        **{f"archive {name.replace('_', ' ')}": value for name, value in receipt["validators"].items()},
        "versions": ", ".join(f"{name} {version}" for name, version in decoder.items()),
    }
    return html.About(
        title=description.title,
        license=description.license,
        citation=description.citation,
        snapshot=params.snapshot,
        facts=tuple((name, str(value)) for name, value in facts.items()),
        parameters=html.flattened(params.model_dump()),
        encoding=params.waveforms.encoding,
        sample_rate=waveforms.sample_rate,
        extends=_HUGGING_FACE.get(receipt["source"].get("dataset"), f"other-{params.snapshot}"),
    )
