"""Clips as a manifest that lhotse loads: a `CutSet` with a recording and a supervision for each. Pure.

One JSON object a line, as `lhotse.CutSet.to_jsonl` (lhotse 1.33) writes them. Paths are relative to the manifest:
``CutSet.from_file("DIR/cuts.jsonl").with_recording_path_prefix("DIR")``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MANIFEST = "cuts.jsonl"
AUDIO_FORMAT = "flac"

_CUSTOM = ("split", "rank", "table", "source_sha256")


def manifest(
    clips: Sequence[Mapping[Any, Any]], files: Sequence[str], columns: Sequence[str], text: str | None
) -> Iterator[str]:
    """Yield the lines of the manifest: each clip is a cut, with the words that are said as its supervision.

    `clips` has the metadata of each by the names of the columns of waveforms; what is None is left out. `files` has the
    audio. The declared `columns` become custom fields of the cut; `text` is the one with the words.
    """
    custom = (*(name for name in columns if name != text), *_CUSTOM)
    for clip, file in zip(clips, files, strict=True):
        span = {"start": 0, "duration": clip["num_samples"] / clip["sample_rate"], "channel": 0}
        recording = {
            "id": clip["clip_id"],
            "sources": [{"type": "file", "channels": [0], "source": file}],
            "sampling_rate": clip["sample_rate"],
            "num_samples": clip["num_samples"],
            "duration": span["duration"],
            "channel_ids": [0],
        }
        spoken = {"text": clip[text]} if text and clip[text] is not None else {}
        cut = {
            "id": clip["clip_id"],
            **span,
            "supervisions": [{"id": clip["clip_id"], "recording_id": clip["clip_id"], **span, **spoken}],
            "recording": recording,
            "custom": {name: clip[name] for name in custom if clip[name] is not None},
            "type": "MonoCut",
        }
        yield json.dumps(cut, ensure_ascii=False, separators=(",", ":")) + "\n"
