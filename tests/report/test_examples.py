"""Examples and outliers: which clips are chosen, and which of them have a player of which type."""

from __future__ import annotations

import pytest

from pipeline.report import examples
from pipeline.report.voices import Outlier
from pipeline.waveforms.reader import open_waveforms
from tests.report.materials import material
from tests.support.project import Project


def test_examples_are_the_first_clips_of_different_strata() -> None:
    assert examples.choose_examples(material(60).sample) == [0, 1, 2, 3, 4, 5]
    sample = material(60, strata=()).sample
    assert examples.choose_examples(sample) == [0, 1, 2, 3, 4, 5]
    assert examples.choose_examples(sample.slice(0, 2)) == [0, 1]


@pytest.mark.parametrize(
    ("source_format", "mime_type"),
    [
        *(("MP3", "audio/mpeg"), ("FLAC/PCM_24", "audio/flac"), ("OGG/VORBIS", "audio/ogg"), ("OGG/OPUS", "audio/ogg")),
        *(("WAV/PCM_16", "audio/wav"), ("WAV/FLOAT", "audio/wav"), ("WAV/MS_ADPCM", None), ("AU/PCM_16", None)),
        *(("AIFF/PCM_16", None), ("W64/PCM_16", None), ("NIST/PCM_16", None), ("CAF/ALAC_16", None)),
    ],
)
def test_player_is_of_the_type_of_the_format_where_browsers_play_it(source_format: str, mime_type: str | None) -> None:
    player = examples.player_of(source_format, b"data", 4)
    assert (player.data, player.mime_type) == ((b"data", mime_type) if mime_type else (None, player.mime_type))
    assert (source_format in player.reason) == (mime_type is None)
    assert examples.player_of(source_format, b"data", 3).data is None


def test_outliers_are_read_in_their_order_with_players_up_to_a_bound(
    reported_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(reported_once.root)
    monkeypatch.setattr(examples, "_MOST_OUTLIER_BYTES", 30_000)
    waveforms = open_waveforms()
    outliers = [Outlier("Slowest speech", "", place) for place in (9, 2, 5, 9)]
    found = examples.read_outliers(waveforms, outliers)
    assert [each.clip.rank for each in found] == [waveforms[each.place].rank for each in outliers]
    sizes = {each.clip.rank: len(each.player.data) for each in found if each.player.data}
    assert 0 < sum(sizes.values()) <= 30_000
    assert found[1].player.data  # of the head of the ranking first
    assert not found[0].player.data
