"""The numbers of the report: flat metrics with stable keys, and the tables and histograms that are shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline.core import schema
from pipeline.core.schema import Reason
from pipeline.report import comparison, sentences, voices
from pipeline.report.comparison import Column, Stratum
from pipeline.report.histograms import Histogram, histograms, median_of_finite
from pipeline.report.material import SHIPPED_SPLITS, Material
from pipeline.report.sentences import Leak
from pipeline.report.voices import Voices
from pipeline.sampling import shares


@dataclass(frozen=True)
class Rejections:
    """Clips rejected for one reason: their ids, each with its detail, in the order of the ranking."""

    reason: str
    clips: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Report:
    """All that the page shows beside single clips."""

    metrics: dict[str, Any]
    columns: tuple[Column, ...]
    strata: tuple[Stratum, ...]
    histograms: tuple[Histogram, ...]
    voices: Voices
    shipped_leaks: tuple[Leak, ...]
    our_leaks: tuple[Leak, ...]
    splits: tuple[tuple[str, int, float], ...]  # name, clips, hours
    rejections: tuple[Rejections, ...]
    disk_usage: tuple[tuple[str, int], ...]  # what, bytes
    outside: tuple[tuple[str, str, int], ...]  # column, value, clips


def summarise(material: Material, strata: Sequence[str], allocation: shares.Allocation) -> Report:
    """Count everything that the report shows.

    Parameters
    ----------
    material
        What to count.
    strata, allocation
        As the ranking was made (`pipeline.sampling.ranking.rank`).
    """
    compared = comparison.stratum_table(material, allocation)
    ours = sentences.by_split(material.eligible["text"], material.eligible["split"])
    shipped = sentences.by_split(material.shipped["text"], material.shipped["table"])
    outside = comparison.outside_vocabulary(material.population)
    seconds = material.waveforms["duration_seconds"].to_numpy()
    splits = {name: seconds[rows] for name, rows in comparison.rows_of(material.waveforms["split"]).items()}
    metrics = {
        **_counts(material, compared),
        **_audio(material),
        **voices.metrics(material),
        **_sentences(material),
        "outside_vocabulary": sum(count for _, _, count in outside),
        "leak_shipped_sentences": sentences.repeated(shipped),
        "leak_ours_sentences": sentences.repeated(ours),
        "bytes_mp3": material.bytes_mp3,
        "bytes_clips": material.bytes_clips,
        "bytes_waveforms": material.bytes_waveforms,
        "bytes_float32": 4 * pc.sum(material.waveforms["num_samples"]).as_py(),
        **{f"split_{name}": len(each) for name, each in splits.items()},
    }
    return Report(
        metrics=metrics,
        columns=tuple(comparison.column_table(material, name, compared) for name in strata or tuple(schema.VOCABULARY)),
        strata=compared,
        histograms=histograms(material),
        voices=voices.summarise(material),
        shipped_leaks=sentences.leaks(shipped, SHIPPED_SPLITS),
        our_leaks=sentences.leaks(ours),
        splits=tuple((name, len(each), float(each.sum()) / 3600) for name, each in splits.items()),
        rejections=_rejections(material),
        disk_usage=(
            ("Waveforms as they lie on disk", material.bytes_waveforms),
            ("The same samples as float32", metrics["bytes_float32"]),
            ("The MP3s they were decoded from", material.bytes_mp3),
        ),
        outside=outside,
    )


def _counts(material: Material, compared: Sequence[Stratum]) -> dict[str, Any]:
    """Count clips and strata.

    ``largest_deviation_clips`` is the largest difference, over all strata, between the number of clips in the sample
    and the exact share; the first clips of the ranking stay below 1, and each rejected one moves it by at most 1.
    """
    reasons = comparison.counted(material.rejected["reason"])
    deviation = max((abs(stratum.deviation) for stratum in compared), default=0)
    return {
        "population": len(material.population),
        "eligible": len(material.eligible),
        "strata": len(compared),
        "examined": len(material.sample) + len(material.rejected),
        "accepted": len(material.sample),
        "rejected": len(material.rejected),
        **{f"rejected_{reason.value}": reasons[reason.value] for reason in Reason},
        "largest_deviation_clips": round(float(deviation), 6),
        "strata_without_clips": sum(not stratum.sample for stratum in compared),
    }


def _audio(material: Material) -> dict[str, Any]:
    """Measure durations (s), levels (dB of full scale; null where there is none) and clipping."""
    seconds = material.waveforms["duration_seconds"].to_numpy()
    clipped = material.waveforms["clipped_samples"].to_numpy()
    rms, peak = (np.asarray(material.waveforms[column], dtype=np.float64) for column in ("rms_dbfs", "peak_dbfs"))
    return {
        "hours": round(float(np.sum(seconds)) / 3600, 6),
        "seconds_min": round(float(seconds.min()), 6),
        "seconds_median": round(float(np.median(seconds)), 6),
        "seconds_mean": round(float(seconds.mean()), 6),
        "seconds_max": round(float(seconds.max()), 6),
        "peak_dbfs_median": median_of_finite(peak),
        "rms_dbfs_median": median_of_finite(rms),
        "silent_clips": int(np.isneginf(peak).sum()),
        "clipped_clips": int(np.count_nonzero(clipped)),
        "clipped_samples": int(clipped.sum()),
    }


def _sentences(material: Material) -> dict[str, Any]:
    words = sentences.words(material.sample["text"])
    counted = words[np.isfinite(words)]
    occurrences = sentences.occurrences(material.population["text"])
    return {
        "words_min": int(counted.min()) if len(counted) else None,
        "words_mean": round(float(counted.mean()), 6) if len(counted) else None,
        "words_max": int(counted.max()) if len(counted) else None,
        "population_sentences": len(occurrences),
        "sample_sentences": len(sentences.occurrences(material.sample["text"])),
        "most_repeated": int(max(occurrences, default=0)),
    }


def _rejections(material: Material) -> tuple[Rejections, ...]:
    """Return the rejected clips by reason, in the order in which `Reason` lists them."""
    clips: dict[str, list[tuple[str, str]]] = {reason.value: [] for reason in Reason}
    for row in material.rejected.to_pylist():
        clips[row["reason"]].append((row["clip_id"], row["detail"]))
    return tuple(Rejections(reason, tuple(each)) for reason, each in clips.items() if each)
