"""The recipe of transcripts: recognise a waveform, compare with the words that are said in it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, ClassVar

import pyarrow as pa

from pipeline.shards.recipe import Recipe
from pipeline.views.normalisation import word_error_rates
from pipeline.views.transcripts.engines import ENGINES, Model
from pipeline.waveforms.encodings import waveforms_of

_WORD = pa.struct([("word", pa.string()), ("start", pa.float32()), ("end", pa.float32())])  # seconds
_COLUMNS = pa.schema(
    [
        ("clip_id", pa.string()),
        ("rank", pa.int64()),
        ("text", pa.string()),  # the words that are said, as the tables have them
        ("recognised", pa.string()),
        ("words", pa.list_(_WORD)),  # as recognised
        ("wer", pa.float32()),  # null where the text has no words to compare
        ("engine", pa.string()),
        ("model", pa.string()),
        ("model_sha256", pa.string()),
    ]
)


@dataclass(frozen=True)
class TranscriptRecipe(Recipe):
    """Transcripts by a model."""

    model: Model
    text: str  # the column that has the words that are said
    audio: str = "waveform"  # the column that has the waveforms

    NAME: ClassVar[str] = "transcripts"
    REVISION: ClassVar[int] = 3
    copied = ("clip_id", "rank")
    ROW_GROUP_ROWS: ClassVar[int] = 16  # as many waveforms are in memory
    columns = _COLUMNS

    @property
    def inputs(self) -> tuple[str, ...]:
        """The waveforms and the words."""
        return (self.audio, self.text)

    def settings(self) -> dict[str, Any]:
        """Return the engine, its options and the model, but not the model's folder."""
        return {
            "engine": self.model.engine,
            "options": ENGINES[self.model.engine].OPTIONS,
            "model": self.model.name,
            "model_sha256": self.model.sha256,
        }

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that recognise and compare."""
        return {**self.model.versions(), **{name: version(name) for name in ("jiwer", "whisper-normalizer")}}

    def rows(self, source: pa.Table) -> pa.Table:
        """Recognise clips."""
        recogniser = self.model.load()
        waveforms = waveforms_of(source[self.audio].combine_chunks())
        recognitions = [recogniser.recognise(waveform) for waveform in waveforms]
        said, recognised = source[self.text].to_pylist(), [each.text for each in recognitions]
        columns = {
            "text": said,
            "recognised": recognised,
            "words": [[asdict(word) for word in each.words] for each in recognitions],
            "wer": word_error_rates(said, recognised),
            "engine": [self.model.engine] * len(recognitions),
            "model": [self.model.name] * len(recognitions),
            "model_sha256": [self.model.sha256] * len(recognitions),
        }
        return pa.table(
            [pa.array(values, _COLUMNS.field(name).type) for name, values in columns.items()], list(columns)
        )
