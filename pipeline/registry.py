"""The registry of stages and commands: the command line, folders in ``data`` and `verify` follow from it.

A view that is a stage is its folder in `pipeline/views`, one line here, and one stage in dvc.yaml.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """A stage or command.

    Its module has `run`, and unless it is a stage `arguments`. It is imported when it runs: `--help` needs none.
    """

    module: str
    description: str
    source: str | None = None  # the folder that a stage derives the shards of data/NAME from


STAGES = {
    "download": Command("pipeline.snapshot.stage", "open the snapshot: one table of its clips, and a receipt"),
    "stratify": Command("pipeline.sampling.stage", "put all eligible clips into one fixed order"),
    "subsample": Command("pipeline.clips.stage", "fetch and check the first good clips of that order"),
    "waveforms": Command("pipeline.waveforms.stage", "decode them to mono waveforms in Parquet shards", "clips"),
    "features": Command("pipeline.views.features.stage", "measure them: pitch, timbre, level, words", "waveforms"),
    "report": Command("pipeline.report.stage", "compare the sample with what it was drawn from"),
}
COMMANDS = {
    "describe": Command("pipeline.commands.describe.command", "guess the description of a data set, from its index"),
    "estimate": Command("pipeline.commands.estimate", "say what the sample will cost, before any clip is fetched"),
    "doctor": Command("pipeline.commands.doctor", "see whether this machine has what a run needs"),
    "show": Command("pipeline.commands.show", "say what is known of a clip, and draw it"),
    "export": Command("pipeline.commands.export", "write clips as audio files, with a table beside them"),
    "verify": Command("pipeline.commands.verify.audit", "say whether what lies in a folder is whole and consistent"),
    "publish": Command("pipeline.commands.publish.publication", "make a folder that is ready to upload, and say how"),
    "transcribe": Command("pipeline.commands.transcribe", "recognise what is said, and compare it with the text"),
}
# The folder in ``data`` of the shards that a stage or command makes.
SHARDS = {"subsample": "clips", "transcribe": "transcripts"} | {name: name for name in STAGES if STAGES[name].source}
# Folders of shards that are made of another folder's, and which; a command makes the transcripts.
DERIVED = {name: stage.source for name, stage in STAGES.items() if stage.source} | {"transcripts": "waveforms"}
