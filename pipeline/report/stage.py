"""report: how the sample compares with what it was drawn from, as numbers, pictures, and clips to listen to."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.clips import originals
from pipeline.core import atomic, schema
from pipeline.core.errors import TableError
from pipeline.core.params import Params, load_params
from pipeline.report import card, html, numbers, plots
from pipeline.shards import sealed
from pipeline.snapshot import tables
from pipeline.snapshot.description import describe
from pipeline.snapshot.receipt import read_receipt
from pipeline.waveforms.reader import Waveforms, open_waveforms

_HUGGING_FACE = {"mozillaorg/common-voice": "common_voice"}  # Kaggle's name → Hugging Face's
_COUNTED = ["text", *schema.VOCABULARY]  # columns that are looked at whatever the strata are
_EXHIBITS = 6
_MOST_PLAYER_BYTES = 1_200_000  # of all MP3s in the page, which base64 makes a third larger

log = logging.getLogger(__name__)


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
    layout = read_receipt().format
    served = tables.find_tables((path.name for path in schema.TABLES.iterdir()), layout)
    shipped = [table for table in numbers.SHIPPED_SPLITS if table in served]
    clips = tables.read_clips(drawn_from, layout=layout)
    return numbers.Material(
        population=clips[[*_COUNTED, *columns]],
        shipped=_shipped(clips, shipped, layout),
        eligible=pq.read_table(schema.RANKING, columns=[*_COUNTED, *columns, "stratum", "split"]).to_pandas(),
        sample=pq.read_table(schema.SAMPLE).to_pandas(),
        rejected=pd.read_csv(schema.REJECTED, keep_default_na=False),
        waveforms=waveforms.metadata(),
        bytes_mp3=originals.mp3_bytes(),
        bytes_clips=_size(schema.CLIPS),
        bytes_waveforms=_size(schema.WAVEFORMS),
    )


def _shipped(clips: pd.DataFrame, shipped: list[str], layout: str) -> pd.DataFrame:
    """Return ``table`` and ``text`` of the tables `shipped`; one that is not drawn from may be damaged."""
    texts = [clips.loc[clips["table"].isin(shipped), ["table", "text"]]]
    for table in [table for table in shipped if table not in set(clips["table"])]:
        try:
            texts.append(tables.read_clips([table], layout=layout)[["table", "text"]])
        except TableError as error:
            log.warning("%s. No clip is drawn from it; the report does without it", error)
    return pd.concat(texts, ignore_index=True)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in sealed.shard_paths(folder))


def _exhibits(waveforms: Waveforms, sample: pd.DataFrame) -> list[html.Exhibit]:
    """Return the first clips of as many strata as there is room for, in the order of the ranking."""
    first_of_each = ~sample["stratum"].duplicated()
    chosen = pd.concat([sample[first_of_each], sample[~first_of_each]]).head(_EXHIBITS).sort_index()
    mp3s = originals.read_mp3s(chosen["clip_id"])
    exhibits, room = [], _MOST_PLAYER_BYTES
    for clip_id, stratum in zip(chosen["clip_id"], chosen["stratum"], strict=True):
        clip, mp3 = waveforms[clip_id], mp3s[clip_id]
        plays = len(mp3) <= room
        room -= len(mp3) if plays else 0
        waveform, spectrogram = (draw(clip.waveform, clip.sample_rate) for draw in (plots.waveform, plots.spectrogram))
        exhibits.append(html.Exhibit(clip, stratum, mp3 if plays else None, waveform, spectrogram))
    return exhibits


def _about(params: Params, waveforms: Waveforms) -> html.About:
    description = describe(params.snapshot)
    receipt = read_receipt()
    decoder = {"pipeline": schema.VERSION, **waveforms.about["decoder"]}
    facts = {
        **{f"source {name}": value for name, value in receipt.source.items()},
        **{f"archive {name.replace('_', ' ')}": value for name, value in receipt.identity.content().items()},
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
        extends=_HUGGING_FACE.get(str(receipt.source.get("dataset")), f"other-{params.snapshot}"),
    )
