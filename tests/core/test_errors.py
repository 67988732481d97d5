"""Errors say what they have to in one message."""

from __future__ import annotations

import pytest

from pipeline.core.errors import first_line


@pytest.mark.parametrize(
    ("message", "line"), [("a\nb", "a"), ("\n  a \r\nb", "a "), ("", "ValueError"), ("\n", "ValueError")]
)
def test_first_line_of_an_error_is_never_empty(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line
