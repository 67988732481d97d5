"""The numbers of the report: flat metrics with stable keys, and the tables and histograms that are drawn. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.core import schema
from pipeline.core.schema import Reason
from pipeline.sampling import shares
from pipeline.sampling.splits import normalise

SHIPPED_SPLITS = ("valid-train", "valid-dev", "valid-test")
MISSING = "(missing)"

_MOST_LEVELS = 24  # of a column; what is rarer is summed up
_MOST_BINS = 30


@dataclass(frozen=True)
class Material:
    """What a report is made from.

    Attributes
    ----------
    population
        All rows of the tables that were drawn from.
    shipped
        All rows of those of `SHIPPED_SPLITS` that the snapshot has.
    eligible
        The ranking.
    sample
        The accepted clips.
    rejected
        ``data/rejected.csv``.
    waveforms
        All columns of the waveforms but the audio.
    bytes_mp3
        What the sample's MP3s hold, in bytes.
    bytes_clips, bytes_waveforms
        What their shards and those of the waveforms take on disk.
    """

    population: pd.DataFrame
    shipped: pd.DataFrame
    eligible: pd.DataFrame
    sample: pd.DataFrame
    rejected: pd.DataFrame
    waveforms: pd.DataFrame
    bytes_mp3: int
    bytes_clips: int
    bytes_waveforms: int


@dataclass(frozen=True)
class Level:
    """A value of a column: how many clips have it, and how many of the sample would, were shares exact."""

    name: str
    population: int
    eligible: int
    sample: int
    exact: float


@dataclass(frozen=True)
class Column:
    """A column side by side; `rarer` values are summed up in the last level."""

    name: str
    levels: tuple[Level, ...]
    rarer: int = 0


@dataclass(frozen=True)
class Stratum:
    """A stratum: clips in it, its exact share of the sample, and what the sample holds."""

    name: str
    eligible: int
    exact: float
    sample: int

    @property
    def deviation(self) -> float:
        """Clips more (or less) than the exact share."""
        return self.sample - self.exact


@dataclass(frozen=True)
class Histogram:
    """How many clips lie between two edges, of one or two groups.

    Attributes
    ----------
    edges
        One more than there are bins, evenly spaced; a bin holds its lower edge.
    counts
        Of each group, one number for each bin.
    unit
        Of the edges.
    apart
        What no bin can hold, such as −∞ dB: how many, and what they are; empty where there is none.
    """

    key: str
    title: str
    unit: str
    edges: tuple[float, ...]
    counts: dict[str, tuple[int, ...]]
    apart: str = ""


@dataclass(frozen=True)
class Leak:
    """Sentences of two splits, and how many of them are in both."""

    first: str
    second: str
    first_sentences: int
    second_sentences: int
    shared: int


@dataclass(frozen=True)
class Refused:
    """Clips refused for one reason: their ids, each with its detail, in the order of the ranking."""

    reason: str
    clips: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Report:
    """All that the page shows beside its pictures of single clips."""

    metrics: dict[str, Any]
    columns: tuple[Column, ...]
    strata: tuple[Stratum, ...]
    histograms: tuple[Histogram, ...]
    shipped_leaks: tuple[Leak, ...]
    our_leaks: tuple[Leak, ...]
    splits: tuple[tuple[str, int, float], ...]  # name, clips, hours
    refused: tuple[Refused, ...]
    weights: tuple[tuple[str, int], ...]  # what, bytes
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
    compared = stratum_table(material, allocation)
    our_leaks = leaks(material.eligible["text"], material.eligible["split"])
    shipped_leaks = leaks(material.shipped["text"], material.shipped["table"], SHIPPED_SPLITS)
    outside = outside_vocabulary(material.population)
    seconds = material.waveforms["duration_seconds"].groupby(material.waveforms["split"])
    words = _words(material.waveforms["text"])
    sentences = material.population["text"].map(_normalised(material.population["text"]))
    metrics = {
        **_counts(material, compared, allocation),
        **_audio(material),
        "words_min": int(words.min()) if len(words) else 0,
        "words_mean": round(float(words.mean()), 6) if len(words) else 0.0,
        "words_max": int(words.max()) if len(words) else 0,
        "population_sentences": sentences.nunique(),
        "sample_sentences": material.sample["text"].map(_normalised(material.sample["text"])).nunique(),
        "most_repeated": max(_counted(sentences.dropna()).values(), default=0),
        "outside_vocabulary": sum(count for _, _, count in outside),
        "leak_shipped_sentences": repeated(material.shipped["text"], material.shipped["table"]),
        "leak_ours_sentences": repeated(material.eligible["text"], material.eligible["split"]),
        "bytes_mp3": material.bytes_mp3,
        "bytes_clips": material.bytes_clips,
        "bytes_waveforms": material.bytes_waveforms,
        "bytes_float32": 4 * int(material.waveforms["num_samples"].sum()),
        **{f"split_{name}": len(each) for name, each in seconds},
    }
    return Report(
        metrics=metrics,
        columns=tuple(column_table(material, name, compared) for name in strata or tuple(schema.VOCABULARY)),
        strata=compared,
        histograms=histograms(material),
        shipped_leaks=shipped_leaks,
        our_leaks=our_leaks,
        splits=tuple((str(name), len(each), float(each.sum()) / 3600) for name, each in seconds),
        refused=refused(material.rejected),
        weights=_weights(metrics),
        outside=outside,
    )


def _counts(material: Material, compared: Sequence[Stratum], allocation: shares.Allocation) -> dict[str, Any]:
    """Count clips and strata.

    ``largest_deviation_clips`` is the largest difference, over all strata, between the number of clips in the sample
    and the exact share; the first clips of the ranking stay below 1, and each rejected one moves it by at most 1.
    """
    sizes = {stratum.name: stratum.eligible for stratum in compared}
    deviation = shares.largest_deviation(material.sample["stratum"], sizes, allocation, prefixes=False)
    reasons = Counter(material.rejected["reason"])
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
    rms, peak = (material.waveforms[column].to_numpy(dtype=np.float64) for column in ("rms_dbfs", "peak_dbfs"))
    return {
        "hours": round(float(np.sum(seconds)) / 3600, 6),
        "seconds_min": round(float(seconds.min()), 6),
        "seconds_median": round(float(np.median(seconds)), 6),
        "seconds_mean": round(float(seconds.mean()), 6),
        "seconds_max": round(float(seconds.max()), 6),
        "peak_dbfs_median": _median_of_finite(peak),
        "rms_dbfs_median": _median_of_finite(rms),
        "silent_clips": int(np.isneginf(peak).sum()),
        "clipped_clips": int(np.count_nonzero(clipped)),
        "clipped_samples": int(clipped.sum()),
    }


def stratum_table(material: Material, allocation: shares.Allocation) -> tuple[Stratum, ...]:
    """Return every stratum of the ranking beside its exact share of the sample, the largest first."""
    counts = _counted(material.eligible["stratum"])
    sizes = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    drawn = _counted(material.sample["stratum"])
    exact = shares.Shares(list(sizes.values()), allocation)
    return tuple(
        Stratum(name, size, float(exact.of(place, len(material.sample))), drawn[name])
        for place, (name, size) in enumerate(sizes.items())
    )


def column_table(material: Material, name: str, compared: Sequence[Stratum]) -> Column:
    """Return the values of a column side by side, the most frequent ones first, a missing one last.

    The exact share of a value is what it has of the exact shares of all strata: a stratum's share, spread evenly over
    its eligible clips.
    """
    each = {stratum.name: stratum.exact / stratum.eligible for stratum in compared}
    together = material.eligible.groupby([name, "stratum"], dropna=False).size().reset_index(name="clips")
    exact: dict[str, float] = defaultdict(float)
    for value, stratum, clips in zip(_named(together[name]), together["stratum"], together["clips"], strict=True):
        exact[value] += clips * each[stratum]
    population, eligible, sample = (
        _counted(frame[name]) for frame in (material.population, material.eligible, material.sample)
    )
    names = sorted(population | eligible, key=lambda value: (value == MISSING, -population[value], value))
    levels = [Level(value, population[value], eligible[value], sample[value], exact[value]) for value in names]
    if len(levels) <= _MOST_LEVELS:
        return Column(name, tuple(levels))
    rest = levels[_MOST_LEVELS - 1 :]
    summed = Level(
        f"{len(rest)} others",
        sum(level.population for level in rest),
        sum(level.eligible for level in rest),
        sum(level.sample for level in rest),
        sum(level.exact for level in rest),
    )
    return Column(name, (*levels[: _MOST_LEVELS - 1], summed), len(rest))


def histograms(material: Material) -> tuple[Histogram, ...]:
    """Return durations, levels and lengths of sentences, each in bins of a round width."""
    waveforms = material.waveforms
    peak, rms = (waveforms[column].to_numpy(dtype=np.float64) for column in ("peak_dbfs", "rms_dbfs"))
    silent = int(np.isneginf(rms).sum())
    apart = f"{silent} of digital silence (−∞ dB) not shown" if silent else ""
    words = {"sample": _words(material.sample["text"]), "eligible": _words(material.eligible["text"])}
    seconds = waveforms["duration_seconds"].to_numpy()
    return (
        histogram("durations", "Duration", "s", {"sample": seconds}, (0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 20, 60)),
        histogram("peaks", "Peak level", "dB of full scale", {"sample": peak}, (0.5, 1, 2, 5, 10, 20), apart=apart),
        histogram("levels", "RMS level", "dB of full scale", {"sample": rms}, (0.5, 1, 2, 5, 10, 20), apart=apart),
        histogram("words", "Length of a sentence", "words", words, (1, 2, 5, 10, 20, 50, 100)),
    )


def histogram(
    key: str,
    title: str,
    unit: str,
    groups: dict[str, npt.NDArray[Any]],
    widths: Sequence[float],
    *,
    apart: str = "",
) -> Histogram:
    """Count the finite values of each group in bins of the first of `widths` that needs no more than 30 bins."""
    finite = {name: values[np.isfinite(values)] for name, values in groups.items()}
    together = np.concatenate([*finite.values(), [] if any(map(len, finite.values())) else [0.0]])
    low, high = float(together.min()), float(together.max())
    edges = next((made for width in widths if len(made := _edges(low, high, width)) <= _MOST_BINS + 1), None)
    if edges is None:
        edges = _edges(low, high, math.ceil((high - low) / (_MOST_BINS - 1)))
    counts = {
        name: np.bincount(np.searchsorted(edges, values, side="right") - 1, minlength=len(edges) - 1)
        for name, values in finite.items()
    }
    return Histogram(
        key,
        title,
        unit,
        tuple(edges),
        {name: tuple(map(int, count)) for name, count in counts.items()},
        apart,
    )


def _edges(low: float, high: float, width: float) -> list[float]:
    """Return multiples of `width`, as they are read: the first is not above `low`, the last above `high`."""
    first, last = math.floor(low / width), math.floor(high / width) + 1
    first -= round(first * width, 6) > low  # 0.3 / 0.1 is less than 3
    last += round(last * width, 6) <= high
    return [round(place * width, 6) for place in range(first, last + 1)]


def leaks(texts: pd.Series, splits: pd.Series, order: Sequence[str] = ()) -> tuple[Leak, ...]:
    """Return, of every two splits, how many sentences are in both; sentences agree as `normalise` says."""
    sentences = _sentences(texts, splits)
    names = [name for name in order if name in sentences] or sorted(sentences)
    return tuple(
        Leak(first, second, len(sentences[first]), len(sentences[second]), len(sentences[first] & sentences[second]))
        for first, second in combinations(names, 2)
    )


def repeated(texts: pd.Series, splits: pd.Series) -> int:
    """Count the sentences that occur in more than one split."""
    counts = Counter(sentence for sentences in _sentences(texts, splits).values() for sentence in sentences)
    return sum(count > 1 for count in counts.values())


def outside_vocabulary(clips: pd.DataFrame) -> tuple[tuple[str, str, int], ...]:
    """Return column, value and count of each value of age, gender and accent that Common Voice does not document."""
    found = []
    for column, known in schema.VOCABULARY.items():
        counts = _counted(clips[column].dropna())
        unknown = sorted(value for value in counts if value not in known)
        found += [(column, str(value), counts[value]) for value in unknown]
    return tuple(found)


def refused(rejected: pd.DataFrame) -> tuple[Refused, ...]:
    """Return the rejected clips by reason, in the order in which `Reason` lists them."""
    clips: dict[str, list[tuple[str, str]]] = {reason.value: [] for reason in Reason}
    for reason, clip_id, detail in zip(rejected["reason"], rejected["clip_id"], rejected["detail"], strict=True):
        clips[reason].append((str(clip_id), str(detail)))
    return tuple(Refused(reason, tuple(each)) for reason, each in clips.items() if each)


def _weights(metrics: dict[str, Any]) -> tuple[tuple[str, int], ...]:
    return (
        ("Waveforms as they lie on disk", metrics["bytes_waveforms"]),
        ("The same samples as float32", metrics["bytes_float32"]),
        ("The MP3s they were decoded from", metrics["bytes_mp3"]),
    )


def _sentences(texts: pd.Series, splits: pd.Series) -> dict[str, set[str]]:
    """Return the different sentences of each split; a missing text is none."""
    pairs = pd.DataFrame({"text": texts, "split": splits}).dropna().drop_duplicates()
    sentence_of = _normalised(pairs["text"])
    return {str(name): set(group.map(sentence_of)) for name, group in pairs["text"].groupby(pairs["split"])}


def _normalised(texts: pd.Series) -> dict[str, str]:
    return {text: normalise(text) for text in texts.dropna().unique()}


def _words(texts: pd.Series) -> npt.NDArray[np.int64]:
    counts = texts.value_counts()
    return np.repeat(np.array([len(text.split()) for text in counts.index], dtype=np.int64), counts)


def _counted(values: pd.Series) -> Counter[str]:
    counts = values.value_counts(dropna=False)
    return Counter(dict(zip(_named(counts.index.to_series()), counts.tolist(), strict=True)))


def _named(values: pd.Series) -> pd.Series:
    return values.astype("str").where(values.notna(), MISSING)


def _median_of_finite(values: npt.NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return round(float(np.median(finite)), 6) if len(finite) else None
