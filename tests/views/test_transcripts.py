"""Transcripts are cached by recipe and compared with the sentence; each failure is one message."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.__main__ import main
from pipeline.commands import transcribe
from pipeline.commands.verify import audit
from pipeline.core.errors import MissingPackage, ParameterError
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive
from pipeline.views.transcripts import engines
from pipeline.views.transcripts.engines import EngineError, find_model
from pipeline.views.transcripts.recipe import TranscriptRecipe
from tests.support.project import Project
from tests.support.waveforms import voice, waveforms_of

SENTENCES = ["yes no", "a b c d", None, "", "stop", "good day"]
LENGTHS = [16_000, 8000, 4000, 2000, 0, 12_000]
CALLS: list[int] = []


class FakeWhisperModel:
    """Stands in for `faster_whisper.WhisperModel`, whose weights come from a hub: hears the number of samples."""

    def __init__(self, folder: str, **options: Any) -> None:
        assert options["local_files_only"]
        if (Path(folder) / "model.bin").read_bytes() != b"weights":
            raise RuntimeError("Unsupported model binary version")
        if (Path(folder) / "tokenizer.json").read_bytes() != b"{}":
            raise Exception("EOF while parsing an object at line 1 column 1")

    def transcribe(self, waveform: npt.NDArray[np.float32], **options: Any) -> tuple[Any, None]:
        assert waveform.dtype == np.float32
        assert options["word_timestamps"]
        CALLS.append(len(waveform))
        words = [SimpleNamespace(word=" yes", start=0.0, end=0.25), SimpleNamespace(word=" no", start=0.25, end=0.5)]
        return iter(
            [SimpleNamespace(text=" Yes,", words=words[:1]), SimpleNamespace(text=" no.", words=words[1:])]
        ), None


def download(name: str) -> str:
    if name == "tiny.en":
        raise FileNotFoundError("Got: ConnectError: no such host\nAn error happened while trying to locate the files")
    raise ValueError(f"Invalid model size '{name}', expected one of: tiny.en, tiny")


@pytest.fixture
def whisper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the folder of a model that the fake loads."""
    pytest.importorskip("jiwer")
    pytest.importorskip("whisper_normalizer")
    package, tools = ModuleType("faster_whisper"), ModuleType("faster_whisper.utils")
    package.WhisperModel, tools.download_model = FakeWhisperModel, download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "faster_whisper", package)
    monkeypatch.setitem(sys.modules, "faster_whisper.utils", tools)
    monkeypatch.setattr(engines, "version", lambda name: f"{name} of the test")
    folder = tmp_path / "models/my-tiny"
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "model.bin").write_bytes(b"weights")
    CALLS.clear()
    engines._loaded.cache_clear()
    return folder


def test_transcripts_are_compared_with_the_sentences(whisper: Path, tmp_path: Path) -> None:
    waveforms_of(tmp_path / "waveforms", [voice(length) for length in LENGTHS], text=SENTENCES)
    recipe = TranscriptRecipe(find_model("whisper", str(whisper)), "text")
    made = derive(recipe, tmp_path / "waveforms", tmp_path / "transcripts", LocalProcesses(1))
    assert (made.rows, made.computed) == (6, 6)
    assert [length for length in LENGTHS if length] == CALLS
    table = transcribe.read_transcripts(tmp_path / "transcripts")
    assert list(table) == ["clip_id", "rank", "text", "recognised", "words", "wer", "engine", "model", "model_sha256"]
    assert table["text"].fillna("(missing)").tolist() == ["(missing)" if each is None else each for each in SENTENCES]
    assert table["recognised"].tolist() == ["Yes, no."] * 4 + ["", "Yes, no."]
    assert table["wer"].iloc[[0, 1, 4, 5]].tolist() == [0, 1, 1, 1]
    assert table["wer"].iloc[[2, 3]].isna().all()
    assert list(table["words"][0]) == [
        {"word": "yes", "start": 0.0, "end": 0.25},
        {"word": "no", "start": 0.25, "end": 0.5},
    ]
    assert len(table["words"][4]) == 0
    assert set(zip(table["engine"], table["model"], strict=True)) == {("whisper", "my-tiny")}
    again = derive(recipe, tmp_path / "waveforms", tmp_path / "transcripts", LocalProcesses(1))
    assert again.computed == 0
    said = transcribe.summary(table)
    assert said[0] == "word error rate 0.778"  # of 9 words 2 are right
    assert said[2] == "   1.00  valid-test/sample-000001  'a b c d', recognised 'Yes, no.'"
    assert len(said) == 5


def test_transcripts_are_made_again_by_another_model_not_by_another_folder(whisper: Path, tmp_path: Path) -> None:
    waveforms_of(tmp_path / "waveforms", [voice(8000)] * 2, text=["yes no"] * 2)

    def computed(folder: Path) -> int:
        recipe = TranscriptRecipe(find_model("whisper", str(folder)), "text")
        return derive(recipe, tmp_path / "waveforms", tmp_path / "transcripts", LocalProcesses(1)).computed

    assert computed(whisper) == 2
    moved = whisper.rename(tmp_path / "my-tiny")
    assert computed(moved) == 0
    (moved / "config.json").write_text('{"tuned": true}')
    assert computed(moved) == 2


def test_models_that_are_not_available_are_one_message(whisper: Path) -> None:
    with pytest.raises(
        EngineError, match=r"tiny\.en is not on this disk and could not be fetched \(Got: ConnectError.*\)"
    ):
        find_model("whisper")
    with pytest.raises(ParameterError, match=r"--model nobody: neither a folder nor a model .*tiny\.en, tiny"):
        find_model("whisper", "nobody")
    model = find_model("whisper", str(whisper))
    (whisper / "model.bin").write_bytes(b"cut of")
    with pytest.raises(EngineError, match=r"cannot be loaded by whisper \(Unsupported model binary version\)"):
        model.load()
    (whisper / "model.bin").write_bytes(b"weights")
    (whisper / "tokenizer.json").write_bytes(b"{")
    with pytest.raises(EngineError, match=r"cannot be loaded by whisper \(EOF while parsing an object"):
        model.load()
    (whisper / "model.bin").unlink()
    with pytest.raises(EngineError, match=r"no whole model of faster-whisper: it lacks model\.bin"):
        find_model("whisper", str(whisper))


def test_engines_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("faster_whisper", "faster_whisper.utils", "pocketsphinx"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage, match=r"pip install faster-whisper jiwer whisper-normalizer$"):
        find_model("whisper")
    with pytest.raises(MissingPackage, match=r"pip install pocketsphinx jiwer whisper-normalizer$"):
        find_model("pocketsphinx")


@pytest.mark.more
def test_transcribe_prints_the_rate_and_the_clips_that_differ_most(
    whisper: Path, staged: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(staged.root)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    before = staged.outputs()
    assert main(["transcribe", "--model", str(whisper)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "transcribe: 120 clips, 120 recognised now"
    assert said[1].startswith("word error rate ")
    assert len(said) == 3 + 10
    after = staged.outputs()
    assert {path: data for path, data in after.items() if "transcripts" not in path} == before
    assert sum("data/transcripts/part-" in path for path in after) == 4
    assert not [each for each in audit.verify(Path("data")).problems if "transcripts" in str(each.path)]


def test_transcribe_recognises_the_first_clips_then_only_new_ones_and_keeps_what_is_there(
    whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIPELINE_WORKERS", "1")
    waveforms_of(Path("data/waveforms"), [voice(8000)] * 6, shard=3, text=["yes no"] * 6)
    for asked, has, new in ((2, 2, 2), (1, 2, 0), (4, 4, 2), (None, 6, 2), (2, 6, 0), (99, 6, 0)):
        said = transcribe.transcribe("whisper", str(whisper), asked).splitlines()[0]
        assert said == f"{has} clips, {new} recognised now"
        assert len(transcribe.read_transcripts(Path("data/transcripts"))) == has
        announced = [record.getMessage() for record in caplog.records if "s a clip, about" in record.getMessage()]
        assert len(announced) == (new > 0)
        assert all(said.endswith(f" s for {new} clips") for said in announced)
        caplog.clear()
        assert not [each for each in audit.verify(Path("data")).problems if "transcripts" in str(each.path)]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": ["yes"]}, "recognised at 16000 Hz, and these waveforms have 8000 Hz"),
        ({"bird": ["wren"]}, "no column has the words that are said"),
    ],
)
def test_transcribe_refuses_another_sample_rate_and_clips_without_text_before_a_model_is_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    columns: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    waveforms_of(tmp_path / "data/waveforms", [voice(800, 8000)], rate=8000, **columns)
    assert main(["transcribe"]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.more
def test_pocketsphinx_carries_no_state_from_clip_to_clip(staged: Project) -> None:
    pytest.importorskip("pocketsphinx")
    from pipeline import open_waveforms

    model = find_model("pocketsphinx")
    waveforms = [clip.waveform for clip in open_waveforms(staged.root / "data/waveforms").head(3)]
    in_order = [model.load().recognise(waveform) for waveform in waveforms]
    backwards = [model.load().recognise(waveform) for waveform in waveforms[::-1]]
    assert in_order == backwards[::-1]
    assert any(heard.words for heard in in_order)
    for heard, waveform in zip(in_order, waveforms, strict=True):
        times = [time for word in heard.words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(0 <= time <= len(waveform) / engines.SAMPLE_RATE + 0.05 for time in times)
    assert model.load().recognise(np.zeros(0, np.float32)) == engines.Recognition("", ())
    assert model.load().recognise(np.zeros(1, np.float32)).words == ()
    with pytest.raises(ParameterError, match="pocketsphinx has one model here, en-us"):
        find_model("pocketsphinx", "other")
