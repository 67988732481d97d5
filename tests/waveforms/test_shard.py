"""One shard of clips becomes one shard of waveforms."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from pipeline.audio import decode
from pipeline.core import schema
from pipeline.core.columns import Column, declared, fields
from pipeline.core.errors import ShardError
from pipeline.shards import sealed
from pipeline.shards.derive import make_shard
from pipeline.shards.sealed import Seal, Shard
from pipeline.waveforms.encodings import ENCODINGS
from pipeline.waveforms.shard import WaveformRecipe
from tests.support.miniatures.making import encoded
from tests.support.project import Project
from tests.support.seals import seal


def speech(seconds: float, rate: int, channels: int = 1, loudness: float = 0.2) -> bytes:
    """Return an MP3 of noise."""
    samples = np.random.default_rng(2017).normal(0, loudness, (round(seconds * rate), channels))
    return encoded(samples, rate, "MP3", "MPEG_LAYER_III")


WORDS = Column("words_said", roles=("text",), description="what was read")


def write_clips(path: Path, files: list[bytes], column: Column = WORDS) -> Path:
    """Write a shard of clips."""
    columns = schema.clips_schema([column.field])
    with sealed.writing(path, columns) as writer:
        for rank, data in enumerate(files):
            row = {"rank": rank, "clip_id": f"clip {rank}", "audio": {"bytes": data}, column.name: f"sentence {rank}"}
            writer.write(pa.Table.from_pylist([row], schema=columns))
        writer.seal(seal("of the clips"))
    return path


def recipe_for(clips: Path, encoding: str, sample_rate: int = 16000) -> WaveformRecipe:
    """Return what the stage makes of a shard of clips."""
    return WaveformRecipe(sample_rate, encoding, tuple(fields(Shard(clips, Seal).columns)))


@pytest.fixture(scope="module")
def clips(staged_once: Project) -> Path:
    return staged_once.root / "data/clips/part-00000.parquet"


@pytest.fixture(scope="module")
def unusual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shard of clips of other rates and channels, one of them much too loud."""
    kinds = [speech(1, 48000), speech(2, 44100, 2), speech(0.7, 22050), speech(1.3, 16000), speech(1, 48000, 1, 1.0)]
    return write_clips(tmp_path_factory.mktemp("unusual") / "part-00000.parquet", kinds * 4)


def made(clips: Path, folder: Path, encoding: str, sample_rate: int = 16000) -> Path:
    path = folder / f"{encoding}.parquet"
    rows = make_shard(recipe_for(clips, encoding, sample_rate), clips, path, folder / "nothing.parquet")
    assert rows == pq.read_metadata(clips).num_rows
    return path


@pytest.mark.more
@pytest.mark.parametrize("encoding", ["pcm16", "float32", "flac"])
def test_waveforms_a_fuller_shard_costs_what_is_new_and_has_the_same_bytes(tmp_path: Path, encoding: str) -> None:
    files = [speech(0.3 + number / 50, 48000) for number in range(37)]
    few, many = (write_clips(tmp_path / f"{count}.parquet", files[:count]) for count in (21, 37))
    recipe = recipe_for(few, encoding)
    earlier, grown, scratch, again = (tmp_path / f"{name}.parquet" for name in ("earlier", "grown", "scratch", "again"))
    assert make_shard(recipe, few, earlier, tmp_path / "nothing.parquet") == 21
    assert make_shard(recipe, many, scratch, tmp_path / "nothing.parquet") == 37
    assert make_shard(recipe, many, grown, earlier) == 16
    assert grown.read_bytes() == scratch.read_bytes()
    assert make_shard(recipe, few, again, scratch) == 0  # shrunk
    assert again.read_bytes() == earlier.read_bytes()


def test_waveforms_of_columns_that_are_declared_otherwise_are_copied_and_not_decoded(tmp_path: Path) -> None:
    files = [speech(0.5, 16000)]
    before = made(write_clips(tmp_path / "clips.parquet", files), tmp_path, "pcm16")
    other = replace(WORDS, description="what was said")
    clips = write_clips(tmp_path / "described.parquet", files, other)
    assert make_shard(recipe_for(clips, "pcm16"), clips, tmp_path / "again.parquet", before) == 0
    assert declared(Shard(tmp_path / "again.parquet", Seal).columns) == (other,)


@pytest.mark.more
@pytest.mark.parametrize("which", ["clips", "unusual"])
def test_waveforms_what_is_stored_is_what_was_decoded(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """float32 bit for bit, pcm16 and flac the nearest of 16 bits: law 5."""
    source = request.getfixturevalue(which)
    decoded = [decode.load(file["bytes"], 16000).waveform for file in pd.read_parquet(source)["audio"]]
    rounded = [np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16) for waveform in decoded]
    exact, pcm16, flac = (pd.read_parquet(made(source, tmp_path, name)) for name in ("float32", "pcm16", "flac"))
    for number, (waveform, nearest) in enumerate(zip(decoded, rounded, strict=True)):
        assert exact["waveform"][number].tobytes() == waveform.tobytes()
        assert pcm16["waveform"][number].dtype == np.int16
        assert np.array_equal(pcm16["waveform"][number], nearest)
        stored, rate = soundfile.read(io.BytesIO(flac["audio"][number]["bytes"]), dtype="int16")
        assert np.array_equal(stored, nearest)
        assert rate == 16000


def test_waveforms_its_facts_are_those_of_the_clip(unusual: Path, tmp_path: Path) -> None:
    files, frame = pd.read_parquet(unusual)["audio"], pd.read_parquet(made(unusual, tmp_path, "pcm16"))
    assert frame["num_samples"].tolist() == [len(waveform) for waveform in frame["waveform"]]
    assert (frame["duration_seconds"] == frame["num_samples"] / 16000).all()
    assert frame["source_sha256"].tolist() == [hashlib.sha256(file["bytes"]).hexdigest() for file in files]
    assert frame["source_format"].tolist() == ["MP3"] * 20
    assert frame["source_sample_rate"].tolist() == [48000, 44100, 22050, 16000, 48000] * 4
    assert frame["source_channels"].tolist() == [1, 2, 1, 1, 1] * 4
    assert frame["rank"].tolist() == list(range(20))
    assert frame["words_said"].tolist() == [f"sentence {number}" for number in range(20)]
    assert (frame["clipped_samples"] > 0).tolist() == [False, False, False, False, True] * 4
    assert (frame["peak_dbfs"] > 0).tolist() == [False, False, False, False, True] * 4
    assert (frame["rms_dbfs"] < frame["peak_dbfs"]).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_waveforms_columns_are_those_of_the_schema_in_small_row_groups(
    clips: Path, tmp_path: Path, encoding: str
) -> None:
    path = made(clips, tmp_path, encoding)
    footer = pq.read_metadata(path)
    assert pq.read_schema(path).remove_metadata().equals(recipe_for(clips, encoding).columns, check_metadata=True)
    assert {footer.row_group(group).num_rows for group in range(footer.num_row_groups)} == {16}


def test_waveforms_pcm16_is_delta_encoded_and_a_third_of_float32(clips: Path, tmp_path: Path) -> None:
    path = made(clips, tmp_path, "pcm16")
    row_group = pq.read_metadata(path).row_group(0)
    columns = [row_group.column(number) for number in range(row_group.num_columns)]
    samples = next(column for column in columns if column.path_in_schema.startswith("waveform"))
    assert "DELTA_BINARY_PACKED" in samples.encodings
    assert samples.compression == "UNCOMPRESSED"
    assert not samples.is_stats_set
    plain = tmp_path / "plain.parquet"
    pd.read_parquet(made(clips, tmp_path, "float32"))[["waveform"]].to_parquet(plain)
    assert path.stat().st_size < 0.4 * plain.stat().st_size


def test_waveforms_flac_says_what_hugging_face_datasets_looks_for(clips: Path, tmp_path: Path) -> None:
    """`datasets` 5.2 opened such a shard with an Audio feature; that it does is not tested here."""
    path = made(clips, tmp_path, "flac")
    features = json.loads(pq.ParquetFile(path).schema_arrow.metadata[b"huggingface"])["info"]["features"]
    assert features["audio"] == {"sampling_rate": 16000, "_type": "Audio"}
    assert set(features) == set(pq.read_schema(path).names)
    types = {column["dtype"] for name, column in features.items() if name != "audio"}
    assert types == {"string", "int32", "int64", "float32", "float64"}
    assert pq.read_table(path)["audio"][0].as_py()["path"].endswith(".flac")


def test_waveforms_a_clip_that_does_not_decode_as_declared_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    good = speech(1, 16000)
    clips = write_clips(tmp_path / "part-00000.parquet", [good, good[: len(good) // 2], good])
    with pytest.raises(ShardError, match=r"clip 1 .*(?s:.*)exclude: \[clip 1\]"):
        made(clips, tmp_path, "pcm16")
    assert list(tmp_path.iterdir()) == [clips]
