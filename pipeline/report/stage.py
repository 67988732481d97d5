"""report: how the sample compares with what it was drawn from, as numbers, pictures, and clips to listen to."""

from __future__ import annotations

import json

import pyarrow as pa

from pipeline.core import atomic, schema
from pipeline.core.params import Params, load_params
from pipeline.report import card, examples, html, material, numbers, plots
from pipeline.snapshot.description import describe
from pipeline.snapshot.receipt import Receipt, read_receipt, remarks
from pipeline.waveforms.reader import Waveforms, open_waveforms

# What of an archive's or folder's identity tells a person whether two are the same.
_IDENTITY = {
    "size_bytes": "archive size (bytes)",
    "directory_sha256": "archive index SHA-256",
    "sample_sha256": "archive pieces SHA-256",
    "members_sha256": "archive members SHA-256",
    "files": "files",
    "listing_sha256": "list of files SHA-256",
}


def run() -> str:
    """Write ``reports/``; return what to tell the user."""
    params = load_params()
    receipt = read_receipt()
    waveforms = open_waveforms()
    drawn = material.load(waveforms, receipt, params.stratify.tables)
    report = numbers.summarise(drawn, params.stratify.strata, params.stratify.allocation)
    places = examples.choose_examples(drawn.sample)
    outliers = examples.read_outliers(waveforms, report.voices.outliers)
    del drawn
    pa.default_memory_pool().release_unused()  # the tables have been counted: a third of what is in memory
    about = _about(params, waveforms, receipt)
    for name, table in plots.tables(report).items():
        atomic.write_text(schema.PLOTS[name], table)
    page = html.render(report, about, examples.read_examples(waveforms, places), outliers)
    atomic.write_text(schema.REPORT, page)
    atomic.write_text(schema.CARD, card.render(report, about))
    atomic.write_text(schema.METRICS, json.dumps(report.metrics, indent=2, allow_nan=False) + "\n")
    metrics = report.metrics
    return (
        f"{metrics['accepted']:,} of {metrics['eligible']:,} eligible clips, {metrics['hours']:.2f} hours, "
        f"at most {metrics['largest_deviation_clips']:.2f} clips from the exact shares: {schema.REPORT}"
    )


def _about(params: Params, waveforms: Waveforms, receipt: Receipt) -> html.About:
    description = describe(params.snapshot)
    decoder = {"pipeline": schema.VERSION, **waveforms.about["decoder"]}
    facts = {
        **{f"source {name}": value for name, value in receipt.source.items()},
        **{_IDENTITY[name]: value for name, value in receipt.identity.content().items() if name in _IDENTITY},
        "versions": ", ".join(f"{name} {version}" for name, version in decoder.items()),
    }
    return html.About(
        title=description.title,
        license=description.license,
        citation=description.citation,
        snapshot=params.snapshot,
        facts=tuple((name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in facts.items()),
        remarks=tuple(remarks(receipt)),
        splits=params.stratify.splits,
        parameters=html.flattened(params.as_dict()),
        encoding=params.waveforms.encoding,
        sample_rate=waveforms.sample_rate,
    )
