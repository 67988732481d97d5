"""The data card in the form of Hugging Face and Kaggle: Markdown with a YAML head. Pure.

It states what was counted and the known limits of Common Voice v1.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from pipeline.core.terminal import amount
from pipeline.report.comparison import Column
from pipeline.report.html import About, counted, environment, number
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
        splits=[(name, number(clips), f"{hours:.3f}") for name, clips, hours in report.splits],
        levels=_levels,
        drawn=drawn(report.metrics),
        limits=limits(report.metrics),
    )


def drawn(metrics: Mapping[str, Any]) -> str:
    """Return a description of the sampling in words; `metrics` are those of the report."""
    deviation = f"{metrics['largest_deviation_clips']:.2f}"
    examined, rejected = number(metrics["examined"]), number(metrics["rejected"])
    return (
        f"{number(metrics['strata'])} strata, each within {deviation} clips of its exact share. "
        f"{rejected} of {examined} examined clips were rejected and replaced by the next in the ranking."
    )


def limits(metrics: Mapping[str, Any]) -> list[str]:
    """Return the limits of the sample, a sentence or two each; `metrics` are those of the report."""
    names = ("population_sentences", "most_repeated", "sample_sentences", "outside_vocabulary")
    sentences, most_repeated, in_sample, undocumented = (number(metrics[name]) for name in names)
    return [
        "Age, gender and accent are as stated by the speakers. Requiring a value excludes speakers who stated none.",
        (
            "Common Voice v1 does not identify speakers. One person may have spoken many of these clips, and may be in "
            "two splits: only sentences are kept apart."
        ),
        (
            f"Sentences repeat: the tables have {sentences} different ones in {counted(metrics['population'], 'clip')}"
            f", the most frequent {most_repeated} times; the sample has {in_sample} different ones."
        ),
        ("The sample represents the eligible clips (by `stratify.allocation`), not any population of people."),
        "Clips were validated by votes of volunteers: the speech may still differ from the sentence.",
        (
            "Values of age, gender and accent in the tables that Common Voice does not document: "
            f"{undocumented}. They are kept unchanged."
        ),
    ]


def _head(report: Report, about: About) -> str:
    """Return the YAML between the lines of dashes; it is not HTML, so nothing in it is escaped."""
    head: dict[str, Any] = {
        "license": license_of(about.license).hugging_face,
        "language": ["en"],
        "pretty_name": f"{about.title}: a sample of {amount(report.metrics['accepted'], 'clip')}",
        "size_categories": [next((name for most, name in _SIZES if report.metrics["accepted"] < most), "1M<n<10M")],
        "source_datasets": [f"extended|{about.extends}"],
        "task_categories": ["automatic-speech-recognition"],
    }
    yaml = YAML()
    yaml.width = 4096
    buffer = io.StringIO()
    yaml.dump(head, buffer)
    return buffer.getvalue()


def _levels(column: Column) -> list[tuple[str, ...]]:
    return [(each.name, number(each.population), number(each.eligible), number(each.sample)) for each in column.levels]


def plain(text: str) -> str:
    """Return a text on one line with its Markdown escaped: markup, links and the ends of table cells.

    The template escapes HTML afterwards. CommonMark 0.31, section 2.4; GitHub Flavored Markdown, section 6.9, for
    addresses that become links by themselves.
    """
    return _ADDRESS.sub(r"\g<0>\\", _MARKUP.sub(r"\\\g<0>", " ".join(text.split())))
