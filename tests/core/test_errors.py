"""Errors say what they have to in one message."""

from __future__ import annotations

import errno
import importlib
import os
import re

import pytest

from pipeline.core.errors import explain, first_line


@pytest.mark.parametrize(
    ("message", "line"), [("a\nb", "a"), ("\n  a \r\nb", "a "), ("", "ValueError"), ("\n", "ValueError")]
)
def test_first_line_of_an_error_is_never_empty(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line


def test_explain_of_a_package_that_is_not_installed_names_the_extra_and_of_a_module_of_ours_nothing() -> None:
    with pytest.raises(ModuleNotFoundError) as missing:
        importlib.import_module("no_such_package.part")
    message, status = explain(missing.value)
    assert status == 1
    assert message is not None
    assert message.startswith("no_such_package is not installed")
    assert "make env" in message
    assert "'audio-subsample[make] @ git+URL'" in message
    with pytest.raises(ModuleNotFoundError) as ours:
        importlib.import_module("pipeline.no_such_wing")
    assert explain(ours.value) == (None, 1)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EDQUOT, "no space left in your quota"),
        (errno.EFBIG, "a file would be larger than"),
    ],
)
def test_explain_of_a_disk_that_takes_no_more_says_what_to_do(code: int, said: str) -> None:
    of_python = OSError(code, os.strerror(code), "data/a")
    of_arrow = OSError(f"Error writing bytes to file. Detail: [errno {code}] {os.strerror(code)}")
    for error, place in ((of_python, r" \(data/a\)"), (of_arrow, "")):
        message, status = explain(error)
        assert status == 1
        assert message is not None
        assert re.fullmatch(rf"{said}.*{place}\. .* run it again: what is done is kept\.", message)
