"""Nobody forgets to raise a revision: what a fresh run of the demo gives, beside the revision that it belongs to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.clips.examine import Check
from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.engines.local import LocalProcesses
from pipeline.sampling.ranking import rank
from pipeline.sampling.splits import assign
from pipeline.shards.derive import derive
from pipeline.shards.sealed import Seal, Shard
from pipeline.shards.table import read_table
from pipeline.snapshot.description import describe
from pipeline.snapshot.join import Join
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.views.transcripts.engines import find_model
from pipeline.views.transcripts.recipe import TranscriptRecipe
from pipeline.waveforms.reader import open_waveforms
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.golden import assert_golden, golden, is_locked
from tests.support.project import REAL_TABLES, Project
from tests.support.waveforms import waveforms_of

CLIPS = {
    1: "625d2c528533fb97bc4c1be34d520fbb0e365b8032264523b939169c87fcaf41",
    2: "198022c85e20e18a86939565d1188bdc5f727329d22a0a74c363a0ebd630a0a8",
    3: "b935fab1660ac2ef237654d43180f876f2e7292ff638ff62a57951386daaea7d",  # no statistics of files
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
    3: "e5e2eb65b1615b50c152d6930a1ff9fb2221dc9ee3146764370ba5c0aedbb2ee",  # `recognised` beside `text`
}


# Of the values of `data/ranking.parquet`, on any machine: a ranking has no revision, since a sample never changes.
DEMO_RANKING = "9fa1e942eb925311430891fab7a248ffe48b890854538d5cff984867f7cc5b6c"
REAL_RANKING = "f2db40e1c094d05a29b8c49eb205ceba3014bfb39618ae20431bdcea553f0b18"


def digest_of_rows(ranking: pa.Table) -> str:
    """Return the SHA-256 of a table as tab-separated lines, empty where a value is missing."""
    rows = zip(*(column.to_pylist() for column in ranking.columns), strict=True)
    lines = ("\t".join("" if value is None else str(value) for value in row) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_golden_ranking_of_the_demo(staged_once: Project) -> None:
    assert digest_of_rows(read_table(staged_once.root / schema.RANKING, schema.ranking_schema)) == DEMO_RANKING


@pytest.mark.more
@pytest.mark.skipif(not REAL_TABLES.exists(), reason="the real tables are not here")
def test_golden_ranking_of_the_real_tables() -> None:
    """39,457 rows of five real tables, joined with an index that has a file of its own bytes for each."""
    tables = {path.name: path.read_bytes() for path in sorted(REAL_TABLES.iterdir())}
    clips = [line.split(",", 1)[0] for data in tables.values() for line in data.decode().splitlines()[1:]]
    names, sizes = [*tables, *clips], [*map(len, tables.values()), *[1] * len(clips)]
    index = pa.table({"name": names, "size_bytes": sizes, "crc32": range(len(names))})
    index = pa.Table.from_pylist(index.to_pylist(), schema=schema.MEMBERS)
    join = Join(index, describe("demo"), lambda member: tables[member["name"]])
    rows = pa.concat_tables(join.tables())
    split = assign(rows, {"train": 0.8, "dev": 0.1, "test": 0.1}, seed=2017)
    rows = rows.append_column("split", pa.array(split, pa.string()))
    ranked = rank(rows, ["gender", "age", "accent"], "proportional", seed=2017)
    assert digest_of_rows(ranked) == REAL_RANKING


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
