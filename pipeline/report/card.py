"""The data card in the form of Hugging Face and Kaggle: Markdown with a YAML head. Pure.

It states what the description says, what was counted, and the limits that follow from it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML

from pipeline.report.comparison import Column
from pipeline.report.html import About, counted, environment, number, percent, split_rows, why_above_one
from pipeline.report.numbers import Report
from pipeline.snapshot.licenses import license_of

_TEMPLATE = "dataset_card.md.j2"
# https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_MARKUP = re.compile(r"[\\`*\[\]~|$@]|(?<![^\W_])_|_(?![^\W_])")  # _ inside a word marks nothing up
_ADDRESS = re.compile(r"\b(?:https?|ftp)(?=:)|\bwww(?=\.)", re.IGNORECASE)


def render(report: Report, about: About) -> str:
    """Return the data card."""
    template = environment(plain).get_template(_TEMPLATE)
    return template.render(
        report=report,
        numbers=report.metrics,
        about=about,
        head=_head(report, about),
        splits=[
            (name, percent(share, 1), percent(clips, report.metrics["accepted"]), number(clips), f"{hours:,.3f}")
            for name, share, clips, hours in split_rows(report, about)
        ],
        levels=_levels,
        apart=[
            (each.name, *map(number, (each.values, each.in_two_splits, each.in_two_tables))) for each in report.apart
        ],
        drawn=drawn(report.metrics),
        limits=limits(report.metrics, [each.name for each in report.apart]),
    )


def drawn(metrics: Mapping[str, Any]) -> str:
    """Return a description of the sampling in words; `metrics` are those of the report."""
    deviation = f"{metrics['largest_deviation_clips']:.2f}"
    why = why_above_one(metrics)
    examined, rejected = number(metrics["examined"]), number(metrics["rejected"])
    return (
        f"{number(metrics['strata'])} strata, each within {deviation} clips of its exact share. "
        f"Rejected and replaced by the next in the ranking: {rejected} of {examined} examined clips. {why}"
    ).rstrip()


def limits(metrics: Mapping[str, Any], apart: Sequence[str]) -> list[str]:
    """Return the limits of the sample, a sentence or two each; `metrics` are those of the report."""
    kept = f"No value of {' or '.join(apart)} is in two splits" if apart else "Clips are split one by one"
    if "recordings" in metrics:
        kept = f"{kept}, and no recording is" if apart else "No recording is in two splits"
    stated = [
        "The sample represents the eligible clips (by `stratify.allocation`), not any larger population.",
        f"{kept}; nothing else is kept apart, such as speakers or recording sessions that the columns do not name.",
    ]
    if "recordings" in metrics:
        recordings = counted(metrics["recordings"], "recording")
        # Not from one to the other: the waveform may be an excerpt, which ends before the piece does.
        places = "its waveform begins at `start_seconds`, and the piece ends at `end_seconds`"
        stated.insert(0, f"A clip is a piece of one of {recordings}: {places}.")
    if "population_sentences" in metrics:
        names = ("population_sentences", "most_repeated", "sample_sentences")
        sentences, most_repeated, in_sample = (number(metrics[name]) for name in names)
        stated.append(
            f"Sentences repeat: the tables have {sentences} different ones in {counted(metrics['population'], 'clip')}"
            f", the most frequent {most_repeated} times; the sample has {in_sample} different ones."
        )
    if undocumented := metrics["undocumented_values"]:
        stated.append(f"Values outside of the documented ones: {number(undocumented)}. They are kept unchanged.")
    return stated


def _head(report: Report, about: About) -> str:
    """Return the YAML between the lines of dashes; it is not HTML, so nothing in it is escaped."""
    tasks = {"automatic-speech-recognition": report.text is not None, "audio-classification": report.label is not None}
    head: dict[str, Any] = {
        "license": license_of(about.license).hugging_face,
        "pretty_name": f"{about.title}: a sample of {counted(report.metrics['accepted'], 'clip')}",
        "size_categories": [next((name for most, name in _SIZES if report.metrics["accepted"] < most), "1M<n<10M")],
        "source_datasets": [f"extended|other-{about.snapshot}"],
        "task_categories": [task for task, is_possible in tasks.items() if is_possible],
    }
    yaml = YAML()
    yaml.width = 4096
    buffer = io.StringIO()
    yaml.dump(head, buffer)
    return buffer.getvalue()


def _levels(column: Column) -> list[tuple[str, ...]]:
    return [(name, *map(number, counts)) for name, *counts in column.levels]


def plain(text: str) -> str:
    """Return a text on one line with its Markdown escaped: markup, links and the ends of table cells.

    The template escapes HTML afterwards. CommonMark 0.31, section 2.4; GitHub Flavored Markdown, section 6.9, for
    addresses that become links by themselves.
    """
    return _ADDRESS.sub(r"\g<0>\\", _MARKUP.sub(r"\\\g<0>", " ".join(text.split())))
