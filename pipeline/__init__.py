"""From a huge audio data set to a small, fair, reproducible one.

The way of the data, one DVC stage after the other (``dvc.yaml`` calls them, `pipeline.stages` holds them)::

    download    snapshots → archive        the snapshot's tables and an index of its members; never its clips
    stratify    metadata → ranking         all eligible clips in one fixed order that knows no sample size
    subsample   candidates → clips         down that order: fetch, check (mp3), until enough are good
    waveforms   waveforms → audio          each shard of MP3s becomes a shard of waveforms
    report      report → pictures → page    how the sample compares with what it was drawn from

The sample of n clips is the first n good clips of the ranking, so a larger sample contains the smaller one, and shards
are only ever appended. Later units read them with `open_waveforms`.
"""

from pipeline.reader import Clip, Waveforms, open_waveforms

__all__ = ["Clip", "Waveforms", "open_waveforms"]
