"""Nobody forgets to raise a revision: what a fresh run of the demo gives, beside the revision that it belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.clips.examine import Check
from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive
from pipeline.shards.sealed import Seal, Shard
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.views.transcripts.engines import find_model
from pipeline.views.transcripts.recipe import TranscriptRecipe
from pipeline.waveforms.reader import open_waveforms
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.golden import assert_golden, golden, is_locked
from tests.support.project import Project
from tests.support.waveforms import waveforms_of

CLIPS = {
    1: "625d2c528533fb97bc4c1be34d520fbb0e365b8032264523b939169c87fcaf41",
    2: "198022c85e20e18a86939565d1188bdc5f727329d22a0a74c363a0ebd630a0a8",
}
WAVEFORMS = {
    "pcm16": {
        1: "5d445964670ac4ad14ad9b36970e884667b01d69af210bbb37f299585276c1f5",
        2: "14457d20b4d24309c34505db4dd5fec75e99175c5736291266d69fae3ef08450",
    },
    "float32": {
        1: "e8e9b1cb03c90e75804f41e16f07e96510693cca28a32f068f0d8541bbb22618",
        2: "51575c8ee4d6ec9e83a226726886f7784a4e0bf42be3a711ba15acf915711ecf",
    },
    "flac": {
        1: "cfaf3c5563297d67316a6d5cf7f30f058a49986443faddc7686cdfb3fa0458d1",
        2: "48aa75ba299695d93195e55d7c9e9f88405796925dab372f932b4ae8572d3dde",
    },
}
FEATURES = {
    1: "2fffedfd8e0a9602d346a0b345b29431b673e3dfe62def25dbfe6a7b478570a4",
    2: "24ac0afa0d72d9cf8a30a0f1811d4c6225c3038272c2efc0887e8772cba3bd51",
    3: "24ac0afa0d72d9cf8a30a0f1811d4c6225c3038272c2efc0887e8772cba3bd51",  # words of other scripts than the demo's
    4: "5adb4b09c892d9337927724f0b209f92f3df12255bef62233e1022c69e0ff5f3",
}
TRANSCRIPTS = {
    1: "11762426402e9c2e14490db9fb0c8c6f027b26eda67f6bfcf9e661dea2b5c3ab",
    2: "11762426402e9c2e14490db9fb0c8c6f027b26eda67f6bfcf9e661dea2b5c3ab",  # likewise
}


@golden
def test_golden_clips(staged_once: Project) -> None:
    assert_golden(staged_once.root / schema.CLIPS, "subsample", Check.REVISION, CLIPS)


@golden
@pytest.mark.parametrize("encoding", WAVEFORMS)
def test_golden_waveforms(staged_once: Project, tmp_path: Path, encoding: str) -> None:
    clips = staged_once.root / schema.CLIPS
    recipe = WaveformRecipe(16_000, encoding, tuple(fields(Shard(clips / "part-00000.parquet", Seal).columns)))
    derive(recipe, clips, tmp_path / "waveforms", LocalProcesses(1))
    assert_golden(tmp_path / "waveforms", f"encoding: {encoding}", recipe.REVISION, WAVEFORMS[encoding])


@golden
def test_golden_features(staged_once: Project) -> None:
    assert_golden(staged_once.root / schema.FEATURES, "features", FeatureRecipe.REVISION, FEATURES)


@pytest.mark.more
@golden
@pytest.mark.skipif(
    not is_locked("pocketsphinx", "jiwer", "whisper-normalizer"), reason="other versions, or none, of what recognises"
)
def test_golden_transcripts(staged_once: Project, tmp_path: Path) -> None:
    clips = list(open_waveforms(staged_once.root / schema.WAVEFORMS).head(4))
    waveforms_of(tmp_path / "waveforms", [clip.waveform for clip in clips], text=[clip.text for clip in clips])
    recipe = TranscriptRecipe(find_model("pocketsphinx"), "text")
    derive(recipe, tmp_path / "waveforms", tmp_path / "transcripts", LocalProcesses(1))
    assert_golden(tmp_path / "transcripts", "transcripts", recipe.REVISION, TRANSCRIPTS)
