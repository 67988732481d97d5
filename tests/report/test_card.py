"""The data card: a head that YAML reads, and a text in which nothing of a table is live Markdown or HTML."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from pipeline.report import card
from tests.report.materials import ABOUT, ODD, material, odd_report, report_of, with_columns

# What DVC's own dependency reads Markdown with; tables and strikethrough are GitHub's.
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LIVE = (
    "[a link](https://example.org)",
    "![a picture](x.png)",
    "*strong* **words** __and__ _more_ ~~less~~",
    "`code` ``and``",
    "a | cell | more",
    "# a heading",
    "<b>bold</b> &amp; <!-- gone -->",
    "<https://example.org>",
    "line one\n\n# line two",
    "a\\|b \\*c",
    "[a][b]",
)


@pytest.mark.parametrize("name", ODD)
def test_card_has_a_head_that_yaml_reads_and_no_html(name: str) -> None:
    text = card.render(odd_report(name), ABOUT)
    _, head, body = text.split("---\n", 2)
    said = YAML(typ="safe").load(head)
    assert said["license"] == "cc0-1.0"
    assert said["pretty_name"].startswith(ABOUT.title)
    assert said["size_categories"] == ["n<1K"]
    assert "<" not in body
    assert ("sentence" in text) == (said["task_categories"][:1] == ["automatic-speech-recognition"])
    for line in body.splitlines():  # a | in a cell would end it
        assert not line.startswith("|") or len(re.findall(r"(?<!\\)\|", line)) in (3, 4, 5, 6)


def shown(text: str) -> str:
    """Return a text in the middle of a line as Markdown renders it."""
    return str(MARKDOWN.renderInline(f"x {html.escape(card.plain(text))} y"))


@pytest.mark.parametrize("text", LIVE)
def test_card_escapes_markup_in_a_title_a_citation_and_a_level(text: str) -> None:
    about = replace(ABOUT, title=text, citation=text, facts=(("archive etag", text),), parameters=(("where", text),))
    made = with_columns(material(), "population", "eligible", "sample", age=text)
    body = card.render(report_of(made), about).split("---\n", 2)[2]
    page = MARKDOWN.render(body)
    page = page.replace("<code>stratify.allocation</code>", "stratify.allocation")  # the template's own
    assert set(re.findall(r"<([a-z0-9]+)", page)) == {
        *("h1", "h2", "p", "ul", "li"),
        *("table", "thead", "tbody", "tr", "th", "td"),
    }
    said = " ".join(text.split())
    assert html.unescape(page).count(said) == 6  # the title stands there twice


@given(st.text())
def test_card_shows_any_text_unchanged(text: str) -> None:
    said = " ".join(text.split()).replace("\0", "\N{REPLACEMENT CHARACTER}")  # as CommonMark has it
    assert html.unescape(shown(text)) == " ".join(f"x {said} y".split(" "))


@pytest.mark.parametrize(
    "address", ["https://example.org", "HTTP://example.org", "www.example.org", "ftp://example.org"]
)
def test_card_makes_no_link_of_an_address(address: str) -> None:
    assert card.plain(f"see {address}") != f"see {address}"
    assert html.unescape(shown(address)) == f"x {address} y"


def test_card_says_where_a_piece_ends_and_where_its_waveform_begins_which_may_be_an_excerpt() -> None:
    said = card.limits({"recordings": 18, "undocumented_values": 0}, [])[0]
    assert said.startswith("A clip is a piece of one of 18 recordings: its waveform begins at `start_seconds`, ")
    assert said.endswith("and the piece ends at `end_seconds`.")
