"""The numbers of the report: metrics with stable keys, and the tables and histograms that are shown. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline.core.columns import with_role
from pipeline.core.schema import Reason
from pipeline.report import comparison, sentences, voices
from pipeline.report.comparison import Column, Stratum
from pipeline.report.histograms import Histogram, histograms
from pipeline.report.material import Material
from pipeline.report.measurements import Measurements, finite, measurements, median, rounded
from pipeline.report.sentences import Apart
from pipeline.report.voices import Voices
from pipeline.sampling import shares
from pipeline.snapshot.segments import are_pieces


@dataclass(frozen=True)
class Report:
    """All that the report shows besides single clips."""

    metrics: dict[str, Any]
    columns: tuple[Column, ...]
    strata: tuple[Stratum, ...]
    measurements: Measurements
    histograms: tuple[Histogram, ...]
    voices: Voices
    apart: tuple[Apart, ...]
    splits: tuple[tuple[str, int, float], ...]  # name, clips, hours
    rejections: tuple[tuple[str, list[tuple[str, str]]], ...]  # reason; id and detail of each clip, in rank order
    disk_usage: tuple[tuple[str, int], ...]  # what, bytes
    formats: tuple[tuple[str, int], ...]  # of the files as published: name, clips
    label: str | None
    text: str | None


def summarise(material: Material, strata: Sequence[str], allocation: shares.Allocation) -> Report:
    """Count everything that the report shows; `strata` and `allocation` are those of the ranking."""
    sample, sources = material.sample, material.waveforms["source_sha256"]
    shares_of_strata = comparison.stratum_table(material, allocation)
    measured = measurements(material)
    label, text = (with_role(material.sample.schema, role) for role in ("label", "text"))
    labels, labels_of_all = np.full(len(material.sample), voices.ALL, dtype=object), Counter[str]()
    if label:
        labels = comparison.level_names(material.sample[label]).to_numpy()
        labels_of_all = comparison.count_values(material.population[label])
    apart = sentences.apart(material)
    split = material.waveforms["split"].to_numpy()
    splits = {name: measured.duration_seconds[split == name] for name in sorted(set(split))}
    rejected: dict[str, list[tuple[str, str]]] = {reason.value: [] for reason in Reason}
    for row in material.rejected.to_pylist():
        rejected[row["reason"]].append((row["clip_id"], row["detail"]))
    metrics = {
        **_counts(material, shares_of_strata, rejected),
        **_sound(material, measured),
        **voices.metrics(measured, labels, labels_of_all),
        **(_sentences(material, text, measured) if text else {}),
        **({"recordings": pc.count_distinct(sources).as_py()} if are_pieces(sample.schema) else {}),
        "undocumented_values": material.undocumented,
        "in_two_splits": {each.name: each.in_two_splits for each in apart},
        "in_two_tables": {each.name: each.in_two_tables for each in apart},
        "bytes_originals": material.bytes_originals,
        "bytes_clips": material.bytes_clips,
        "bytes_waveforms": material.bytes_waveforms,
        "bytes_float32": 4 * pc.sum(material.waveforms["num_samples"]).as_py(),
        **{f"split_{name}": len(each) for name, each in splits.items()},
    }
    return Report(
        metrics=metrics,
        columns=tuple(comparison.column_table(material, name) for name in comparison.compared(material, strata)),
        strata=shares_of_strata,
        measurements=measured,
        histograms=histograms(material, measured),
        voices=voices.summarise(measured, labels),
        apart=apart,
        splits=tuple((name, len(each), float(each.sum()) / 3600) for name, each in splits.items()),
        rejections=tuple((reason, clips) for reason, clips in rejected.items() if clips),
        disk_usage=(
            ("Waveforms as stored", material.bytes_waveforms),
            ("The same samples as float32", metrics["bytes_float32"]),
            ("The files they were decoded from", material.bytes_originals),
        ),
        formats=tuple(comparison.count_values(material.waveforms["source_format"]).most_common()),
        label=label,
        text=text,
    )


def _counts(
    material: Material, compared: Sequence[Stratum], rejected: Mapping[str, Sequence[object]]
) -> dict[str, Any]:
    """Count clips and strata.

    ``largest_deviation_clips`` is the largest difference, over all strata, between the number of clips in the sample
    and the exact share; the first clips of the ranking stay below 1, and each rejected one moves it by at most 1.
    """
    return {
        "population": len(material.population),
        "eligible": len(material.eligible),
        "strata": len(compared),
        "examined": len(material.sample) + len(material.rejected),
        "accepted": len(material.sample),
        "rejected": len(material.rejected),
        **{f"rejected_{reason}": len(clips) for reason, clips in rejected.items()},
        "largest_deviation_clips": round(float(max((abs(each.deviation) for each in compared), default=0)), 6),
        "strata_without_clips": sum(not stratum.sample for stratum in compared),
    }


def _sound(material: Material, measured: Measurements) -> dict[str, Any]:
    """Summarise durations (s), levels (dB of full scale; null where all is silence) and clipping."""
    seconds = measured.duration_seconds
    clipped = material.waveforms["clipped_samples"].to_numpy()
    return {
        "hours": round(float(np.sum(seconds)) / 3600, 6),
        "seconds_min": round(float(seconds.min()), 6),
        "seconds_median": rounded(median(seconds)),
        "seconds_mean": round(float(seconds.mean()), 6),
        "seconds_max": round(float(seconds.max()), 6),
        "peak_dbfs_median": rounded(median(measured.peak_dbfs)),
        "rms_dbfs_median": rounded(median(measured.rms_dbfs)),
        "silent_clips": int(np.isneginf(measured.peak_dbfs).sum()),
        "clipped_clips": int(np.count_nonzero(clipped)),
        "clipped_samples": int(clipped.sum()),
    }


def _sentences(material: Material, text: str, measured: Measurements) -> dict[str, Any]:
    """Count words and different sentences; the numbers of words are null where no sentence has a count."""
    counts = finite(measured.words)
    occurrences = sentences.occurrences(material.population[text])
    return {
        "words_per_second_median": rounded(median(measured.words_per_second)),
        "words_min": int(counts.min()) if len(counts) else None,
        "words_mean": round(float(counts.mean()), 6) if len(counts) else None,
        "words_max": int(counts.max()) if len(counts) else None,
        "population_sentences": len(occurrences),
        "sample_sentences": len(sentences.occurrences(material.sample[text])),
        "most_repeated": int(max(occurrences, default=0)),
    }
