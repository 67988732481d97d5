"""Layouts of real data sets that the catalogue (tests/laws/test_catalogue.py) does not have."""

from __future__ import annotations

from typing import Any

import pytest

from tests.snapshot.test_join import Files, Snapshot

LAYOUTS: dict[str, tuple[Files, dict[str, Any], list[str], list[tuple[Any, ...]]]] = {
    "LibriSpeech": (
        {
            "LibriSpeech/train-clean-100/19/198/19-198-0000.flac": "",
            "LibriSpeech/SPEAKERS.TXT": ";ID |SEX| SUBSET\n14   | F | train-clean-360\n19   | M | train-clean-100\n",
        },
        {
            "audio": "{table}/{speaker:d}/{chapter:d}/{name}.flac",
            "id": "{name}",
            "lookups": [
                {
                    "tables": "SPEAKERS.TXT",
                    "dialect": {"separator": "|", "comment": ";", "trim": True, "header": ["id", "sex", "subset"]},
                    "on": {"id": "{speaker}"},
                    "columns": {"sex": {"map": {"M": "male", "F": "female"}}},
                }
            ],
            "columns": {"speaker": None},
            "apart": ["speaker"],
        },
        ["clip_id", "table", "speaker", "sex"],
        [("19-198-0000", "train-clean-100", "19", "male")],
    ),
    "FMA": (
        {"fma_small/000/000002.mp3": "", "fma_metadata/genres.csv": "track,genre\n2,Hip-Hop\n"},
        {
            "audio": "{_:d}/{name:d}.mp3",
            "tables": "genres.csv",
            "clip": "{track|pad:6}.mp3",
            "columns": {"label": "genre"},
        },
        ["clip_id", "label", "path"],
        [("000002", "Hip-Hop", "fma_small/000/000002.mp3")],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_of_a_real_data_set_is_described_in_a_few_lines(name: str) -> None:
    files, keys, columns, rows = LAYOUTS[name]
    assert Snapshot(files, keys).rows(*columns) == rows
