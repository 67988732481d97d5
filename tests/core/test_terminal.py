"""What a terminal is told to show, it does not obey."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.terminal import amount, listed, printable, printable_lines


@pytest.mark.parametrize("text", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\r", "\x00", "\n"])
def test_printable_escapes_control_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text) != text


@given(st.text())
def test_printable_lines_keep_lines_and_escape_the_rest(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n")
    assert shown.replace("\n", "").isprintable()
    assert printable_lines(shown) == shown


def test_listed_names_the_first_and_counts_the_rest() -> None:
    assert [listed("abc"[:number], most=2) for number in range(4)] == ["", "a", "a, b", "a, b and 1 more"]
    assert listed(range(4000), most=2, separator=" or ") == "0 or 1 and 3,998 more"


def test_amount_of_one_is_singular() -> None:
    assert [amount(number, "shard") for number in (0, 1, 2)] == ["0 shards", "1 shard", "2 shards"]
    assert [amount(number, "stratum", "strata") for number in (1, 3)] == ["1 stratum", "3 strata"]
