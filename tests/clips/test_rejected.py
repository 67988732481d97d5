"""The list of rejected clips is read as it was written, and a damaged one is an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.clips.rejected import Rejection, read_rejected, rejected_csv
from pipeline.core.errors import TableError

HEADER = b"rank,clip_id,reason,detail\n"


def test_rejected_clips_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    rejected = [Rejection(1, "a/b", "missing", 'NA, and "more"'), Rejection(7, "null", "too_long", "")]
    path.write_text(rejected_csv(rejected))
    assert path.read_bytes() == HEADER + b'1,a/b,missing,"NA, and ""more"""\n7,null,too_long,\n'
    assert read_rejected(path).select(["clip_id", "detail"]).to_pylist() == [
        {"clip_id": "a/b", "detail": 'NA, and "more"'},
        {"clip_id": "null", "detail": ""},
    ]


@pytest.mark.parametrize(
    "damaged", [b"", b"rank,clip_id\n", HEADER + b"1,a/b,missing\n", HEADER + b"1,a/b,missing,\xff\n"]
)
def test_rejected_clips_that_are_damaged_are_an_error_that_names_the_file(tmp_path: Path, damaged: bytes) -> None:
    """What can be read and is not what `subsample` wrote, the report finds by the seals of the clips."""
    path = tmp_path / "rejected.csv"
    path.write_bytes(damaged)
    with pytest.raises(TableError, match=r"rejected\.csv: is damaged"):
        read_rejected(path)
