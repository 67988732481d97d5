"""The data card in the form that Hugging Face and Kaggle understand: Markdown with a YAML head. Pure.

What it states is counted, or is a known limit of Common Voice v1.
"""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML

from pipeline.report.comparison import Column
from pipeline.report.html import About, environment, number
from pipeline.report.numbers import Report

_TEMPLATE = "dataset_card.md.j2"
_LICENSES = {"CC0-1.0": "cc0-1.0"}  # of our snapshots, to the identifiers that Hugging Face lists
# https://github.com/huggingface/hub-docs/blob/main/datasetcard.md
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_MARKUP = re.compile(r"[\\`*\[\]~|$@]|(?<![^\W_])_|_(?![^\W_])")  # a _ within a word is none
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
    )


def _head(report: Report, about: About) -> str:
    """Return the YAML between the lines of dashes: it is no HTML, so that nothing in it is escaped as such."""
    head: dict[str, Any] = {
        "license": _LICENSES.get(about.license, "other"),
        "language": ["en"],
        "pretty_name": f"{about.title}: a sample of {report.metrics['accepted']} clips",
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
    """Return a text that Markdown shows as it is, on one line: no markup, no link, no cell of a table ends in it.

    What HTML would read is escaped after this, as everywhere in the templates. CommonMark 0.31, 2.4; GitHub Flavored
    Markdown 6.9 for addresses that would become links by themselves.
    """
    return _ADDRESS.sub(r"\g<0>\\", _MARKUP.sub(r"\\\g<0>", " ".join(text.split())))
