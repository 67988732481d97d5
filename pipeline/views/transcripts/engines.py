"""Engines that recognise English speech: Whisper by faster-whisper, and pocketsphinx, whose model is in its wheel.

No engine carries state from one clip to the next.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.audio import decode
from pipeline.core.errors import ParameterError, PipelineError, first_line, import_optional

SAMPLE_RATE = 16_000  # Hz, of the training data of all these models

_WHISPER_FILES = ("config.json", "model.bin", "tokenizer.json")


class EngineError(PipelineError):
    """An engine or its model is not available."""


@dataclass(frozen=True)
class Word:
    """A word with its times, in seconds from the beginning of the clip."""

    word: str
    start: float
    end: float


@dataclass(frozen=True)
class Recognition:
    """The transcript of a clip; empty where nothing was recognised."""

    text: str
    words: tuple[Word, ...]


class Recognizer(Protocol):
    """A loaded model of an engine."""

    PACKAGES: ClassVar[tuple[str, ...]]  # whose versions change a transcript
    DEFAULT_MODEL: ClassVar[str]
    OPTIONS: ClassVar[dict[str, Any]]  # that change a transcript

    def __init__(self, folder: Path) -> None:
        """Load the model in a folder."""

    @staticmethod
    def find(name: str) -> Path:
        """Return the folder of a model, fetched if need be."""

    def recognise(self, waveform: npt.NDArray[np.float32]) -> Recognition:
        """Transcribe a waveform of shape (n,), float32 in −1…1, at `SAMPLE_RATE`."""


@dataclass(frozen=True)
class Model:
    """A model of an engine."""

    engine: str  # a key of `ENGINES`
    name: str  # as given by the user; for a folder, its name
    folder: Path  # of its files, on this machine
    sha256: str  # of all its files

    def load(self) -> Recognizer:
        """Load the model, once per process, or raise `EngineError`."""
        return _loaded(self)

    def versions(self) -> dict[str, str]:
        """Return the versions of the engine's packages."""
        return {name: version(name) for name in ENGINES[self.engine].PACKAGES}


def find_model(engine: str, name: str | None = None) -> Model:
    """Find a model on this disk, or fetch it.

    Raises
    ------
    MissingPackage
        The engine is not installed.
    ParameterError
        There is no such model.
    EngineError
        The model is not there and cannot be fetched, or is incomplete.
    """
    name = name or ENGINES[engine].DEFAULT_MODEL
    folder = ENGINES[engine].find(name)
    return Model(engine, Path(name).name if Path(name).is_dir() else name, folder, _sha256(folder))


class _Whisper(Recognizer):
    PACKAGES = ("faster-whisper", "ctranslate2")
    DEFAULT_MODEL = "tiny.en"
    OPTIONS: ClassVar[dict[str, Any]] = {
        "language": "en",
        "beam_size": 5,
        "temperature": 0.0,  # a fallback to higher temperatures would sample at random
        "condition_on_previous_text": False,
        "word_timestamps": True,
    }

    @staticmethod
    def find(name: str) -> Path:
        fetch = import_optional("faster_whisper.utils", "faster-whisper").download_model
        folder = Path(name)
        if not folder.is_dir():
            try:
                folder = Path(fetch(name))
            except ValueError as error:
                problem = f"--model {name}: neither a folder nor a model of faster-whisper ({error})"
                raise ParameterError("the command line", [problem]) from None
            except Exception as error:  # noqa: BLE001  the hub's client lets errors of other libraries through
                raise EngineError(
                    f"the model {name} is not on this disk and could not be fetched ({first_line(error)}).\n"
                    "Check the network, or give the folder of a model that is there: --model FOLDER"
                ) from None
        missing = [file for file in _WHISPER_FILES if not (folder / file).is_file()]
        if missing:
            raise EngineError(f"{folder} is no whole model of faster-whisper: it lacks {', '.join(missing)}")
        return folder

    def __init__(self, folder: Path) -> None:
        whisper_model = import_optional("faster_whisper", "faster-whisper").WhisperModel
        # One thread: the order of sums, and so the text, could depend on their number. Workers are processes.
        self._model = whisper_model(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=1, local_files_only=True
        )

    def recognise(self, waveform: npt.NDArray[np.float32]) -> Recognition:
        if not len(waveform):
            return Recognition("", ())
        segments = list(self._model.transcribe(waveform, **self.OPTIONS)[0])
        words = (word for segment in segments for word in segment.words or ())
        text = " ".join(segment.text.strip() for segment in segments)
        return Recognition(text, tuple(Word(word.word.strip(), float(word.start), float(word.end)) for word in words))


class _PocketSphinx(Recognizer):
    PACKAGES = ("pocketsphinx",)
    DEFAULT_MODEL = "en-us"
    OPTIONS: ClassVar[dict[str, Any]] = {"cmn": "batch"}

    @staticmethod
    def find(name: str) -> Path:
        package = import_optional("pocketsphinx", "pocketsphinx")
        if name != "en-us":
            raise ParameterError("the command line", [f"--model {name}: pocketsphinx has one model here, en-us"])
        return Path(package.get_model_path()) / "en-us"

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()  # the decoder takes one clip at a time; an executor may have threads
        decoder = import_optional("pocketsphinx", "pocketsphinx").Decoder
        self._decoder = decoder(
            hmm=str(folder / "en-us"),
            lm=str(folder / "en-us.lm.bin"),
            dict=str(folder / "cmudict-en-us.dict"),
            samprate=SAMPLE_RATE,
            **self.OPTIONS,
            loglevel="FATAL",
        )

    def recognise(self, waveform: npt.NDArray[np.float32]) -> Recognition:
        if not len(waveform):
            return Recognition("", ())
        with self._lock:
            self._decoder.reinit_feat()  # forgets the noise of the clip before
            self._decoder.start_utt()
            self._decoder.process_raw(decode.to_pcm16(waveform)[0].tobytes(), full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
            rate = self._decoder.config["frate"]  # frames a second
            words = (
                # A second pronunciation is called word(2), silence and noise <sil> and [NOISE].
                Word(segment.word.partition("(")[0], segment.start_frame / rate, (segment.end_frame + 1) / rate)
                for segment in self._decoder.seg() or ()
                if segment.word[0] not in "<["
            )
            return Recognition(hypothesis.hypstr if hypothesis else "", tuple(words))


@lru_cache(maxsize=1)
def _loaded(model: Model) -> Recognizer:
    try:
        return ENGINES[model.engine](model.folder)
    except PipelineError:
        raise
    except Exception as error:  # noqa: BLE001  that of a tokenizer which is cut off has no class of its own
        raise EngineError(
            f"the model in {model.folder} cannot be loaded by {model.engine} ({first_line(error)})"
        ) from None


def _sha256(folder: Path) -> str:
    """Return the SHA-256 of the files of a model: of their names and contents, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


ENGINES = {"whisper": _Whisper, "pocketsphinx": _PocketSphinx}
