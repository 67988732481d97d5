"""The registry of stages, in the order of dvc.yaml: STAGES of the command line, folders and `verify` follow from it.

A view that is a stage is its folder in `pipeline/views`, one line here, and one stage in dvc.yaml.
"""

from __future__ import annotations

from typing import NamedTuple


class Stage(NamedTuple):
    """The module that has its `run`, what it does, and where it makes one folder of shards from another.

    Attributes
    ----------
    source
        The folder in ``data`` whose shards become those of the folder called as the stage.
    """

    module: str
    description: str
    source: str | None = None


STAGES = {
    "download": Stage("pipeline.snapshot.stage", "open the snapshot: one table of its clips, and a receipt"),
    "stratify": Stage("pipeline.sampling.stage", "put all eligible clips into one fixed order"),
    "subsample": Stage("pipeline.clips.stage", "fetch and check the first good clips of that order"),
    "waveforms": Stage("pipeline.waveforms.stage", "decode them to mono waveforms in Parquet shards", "clips"),
    "features": Stage("pipeline.views.features.stage", "measure them: pitch, timbre, level, words", "waveforms"),
    "report": Stage("pipeline.report.stage", "compare the sample with what it was drawn from"),
}
# Each folder of derived shards, and the one that it is made of; transcripts are made by a command.
DERIVED = {name: stage.source for name, stage in STAGES.items() if stage.source} | {"transcripts": "waveforms"}
