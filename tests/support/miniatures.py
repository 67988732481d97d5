"""Miniatures of the data sets in configs/snapshots: some forty clips each, in the layout that they have on Kaggle.

Tones and noise stand for the sounds; folders, names, tables and their quirks are the real ones.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import soundfile

from tests.support.tarballs import pack

Files = dict[str, bytes]

SECONDS = 0.6
_BROKEN = b"no sound" * 100


@cache
def sound(
    number: int,
    rate: int = 16_000,
    kind: str = "WAV",
    subtype: str | None = None,
    channels: int = 1,
    seconds: float = SECONDS,
) -> bytes:
    """Return a file with a tone in noise, another one for each number."""
    times = np.arange(round(seconds * rate)) / rate
    tone = 0.4 * np.sin(2 * np.pi * (150 + 12 * number) * times)
    samples = tone[:, None] + 0.02 * np.random.default_rng(number).standard_normal((len(times), channels))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


@dataclass(frozen=True)
class Miniature:
    """A small data set in the layout of a large one.

    Attributes
    ----------
    name
        Of the description in configs/snapshots.
    files
        Makes its files, by path.
    clips
        How many clips its description finds in it.
    label, group, text
        The columns of these roles, as the description names them; None where there is none.
    remarks
        What `download` says does not fit.
    rejected
        The clips that `subsample` rejects, with the reason.
    """

    name: str
    files: Callable[[], Files]
    clips: int
    label: str | None
    group: str | None
    text: str | None
    remarks: tuple[str, ...]
    rejected: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write it as a zip, a tar or a folder, as the name of `path` says."""
        pack(self.files(), path)


MINIATURES: dict[str, Miniature] = {}


def _miniature(
    name: str,
    clips: int,
    label: str | None = None,
    group: str | None = None,
    text: str | None = None,
    remarks: tuple[str, ...] = (),
    rejected: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[Callable[[], Files]], Callable[[], Files]]:
    """Return a decorator that adds a miniature, whose files the function makes."""

    def add(files: Callable[[], Files]) -> Callable[[], Files]:
        MINIATURES[name] = Miniature(name, files, clips, label, group, text, remarks, rejected)
        return files

    return add


def _words(text: str) -> list[str]:
    return text.split()


def _cd(number: int) -> bytes:
    return sound(number, 44_100)


def _mp3(number: int) -> bytes:
    return sound(number, 32_000, kind="MP3")


def _ogg(number: int) -> bytes:
    return sound(number, 32_000, kind="OGG")


def _numbered(names: Iterable[str], make: Callable[[int], bytes]) -> Files:
    return {name: make(number) for number, name in enumerate(names)}


def _lines(*lines: str) -> bytes:
    return "\n".join([*lines, ""]).encode()


@_miniature("ravdess", 48, "emotion", "speaker", "text", remarks=("48 copies of clips, under other paths",))
def ravdess() -> Files:
    """Return six actors and eight emotions, some of them in stereo; all of it a second time at the root."""
    names = [
        f"Actor_{actor:02}/03-01-{emotion:02}-{level:02}-{1 + emotion % 2:02}-01-{actor:02}.wav"
        for actor, emotion in product(range(1, 7), range(1, 9))
        for level in [1 if emotion == 1 else 1 + actor % 2]
    ]
    clips = _numbered(names, lambda number: sound(number, 48_000, channels=2 if number % 16 == 5 else 1))
    return {f"audio_speech_actors_01-24/{name}": data for name, data in clips.items()} | clips


@_miniature("crema-d", 50, "emotion", "speaker", "text")
def crema_d() -> Files:
    """Return eight actors and six emotions; one clip is silent, and one has a single letter for its level."""
    sentences = _words("IEO TIE IOM IWW TAI MTI IWL ITH DFA ITS TSI WSI")
    names = [
        f"AudioWAV/{speaker}_{sentences[number % 12]}_{emotion}_{_words('XX LO MD HI')[number % 4]}.wav"
        for number, (speaker, emotion) in enumerate(product(range(1001, 1009), _words("ANG DIS FEA HAP NEU SAD")))
    ]
    files = _numbered([*names, "AudioWAV/1040_ITH_SAD_X.wav"], sound)
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros(round(SECONDS * 16_000)), 16_000, format="WAV")
    return files | {"AudioWAV/1076_MTI_SAD_XX.wav": silence.getvalue()}


@_miniature("tess", 70, "emotion", "word", remarks=("70 copies of clips, under other paths",))
def tess() -> Files:
    """Return two speakers, seven emotions and five words; the folder stands in a folder of the same name once more."""
    top = "TESS Toronto emotional speech set data"
    folders = {
        "OAF": _words("OAF_angry OAF_disgust OAF_Fear OAF_happy OAF_neutral OAF_Pleasant_surprise OAF_Sad"),
        "YAF": _words("YAF_angry YAF_disgust YAF_fear YAF_happy YAF_neutral YAF_pleasant_surprised YAF_sad"),
    }
    emotions = _words("angry disgust fear happy neutral ps sad")
    names = [
        f"{folder}/{speaker}_{word}_{emotion}.wav"
        for speaker in folders
        for folder, emotion in zip(folders[speaker], emotions, strict=True)
        for word in ("back", "bite", "germ", "neat", "young")
    ]
    names[names.index("OAF_neutral/OAF_bite_neutral.wav")] = "OAF_neutral/OA_bite_neutral.wav"
    clips = _numbered(names, partial(sound, rate=24_414))
    return {f"{folder}/{name}": data for folder in (top, f"{top}/{top}") for name, data in clips.items()}


@_miniature("savee", 56, "emotion", "speaker")
def savee() -> Files:
    """Return four speakers and seven emotions, whose letters stand next to the digits."""
    codes = [f"{emotion}{number:02}" for emotion in _words("a d f h n sa su") for number in (1, 2)]
    return _numbered([f"ALL/{speaker}_{code}.wav" for speaker in ("DC", "JE", "JK", "KL") for code in codes], _cd)


@_miniature("emodb", 40, "emotion", "speaker", "text")
def emodb() -> Files:
    """Return ten speakers, with facts at fixed places of the names."""
    speakers, sentences = _words("03 08 09 10 11 12 13 14 15 16"), _words("a01 a02 a04 a05 a07 b01 b02 b03 b09 b10")
    names = [
        f"wav/{speaker}{sentences[(number + at) % 10]}{'WLEAFTN'[(number + 2 * at) % 7]}{'abcdef'[at]}.wav"
        for number, speaker in enumerate(speakers)
        for at in range(4)
    ]
    return _numbered(names, sound)


@_miniature("speech-commands", 48, "word", "speaker", "word")
def speech_commands() -> Files:
    """Return six words of eight speakers, under the same base names in each folder; and noise of some seconds."""
    speakers = _words("00176480 0a7c2a8d 1b4c9b89 3cfc6b3a 5c8af87a 99081f4d b4aa9fef ffd2ba2f")
    words = _words("bed happy house marvin yes zero")
    files = _numbered([f"{word}/{speaker}_nohash_0.wav" for word, speaker in product(words, speakers)], sound)
    lists = {"testing_list.txt": _lines("bed/ffd2ba2f_nohash_0.wav"), "README.md": _lines("## Speech Commands")}
    return {"_background_noise_/pink_noise.wav": sound(90, seconds=3.0), **files, **lists}


@_miniature("audiomnist", 50, "digit", "speaker", "digit")
def audiomnist() -> Files:
    """Return ten digits of five speakers, who are described in a JSON file."""
    names = [f"data/{speaker:02}/{digit}_{speaker:02}_0.wav" for speaker, digit in product(range(1, 6), range(10))]
    about = json.dumps({f"{speaker:02}": {"age": 30, "gender": "male"} for speaker in range(1, 6)})
    return {"data/audioMNIST_meta.txt": _lines(about), **_numbered(names, partial(sound, rate=48_000))}


@_miniature("ljspeech", 40, None, "chapter", "text")
def ljspeech() -> Files:
    """Return eight chapters of five clips; the table has no header, and quotes that open and never close."""
    names = [f"LJ{chapter:03}-{clip:04}" for chapter, clip in product(range(1, 9), range(1, 6))]
    table = [f'{name}|He said, "number 0{at}|He said, "number {at} of many' for at, name in enumerate(names)]
    clips = _numbered([f"LJSpeech-1.1/wavs/{name}.wav" for name in names], partial(sound, rate=22_050))
    return {
        "LJSpeech-1.1/README": _lines("The LJ Speech Dataset"),
        "LJSpeech-1.1/metadata.csv": _lines(*table),
        **clips,
    }


@_miniature("urbansound8k", 46, "sound", "recording")
def urbansound8k() -> Files:
    """Return sounds of ten classes and fourteen recordings, of many rates, depths and numbers of channels."""
    classes = "air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer siren"
    classes = f"{classes} street_music"
    kinds = [(44_100, "PCM_16", 2), (48_000, "PCM_24", 2), (96_000, "PCM_24", 1), (11_025, "PCM_U8", 1)]
    kinds += [(44_100, "FLOAT", 2), (22_050, "MS_ADPCM", 1), (8_000, "PCM_16", 1)]
    table, files = ["slice_file_name,fsID,start,end,salience,fold,classID,class"], Files()
    for number in range(46):
        recording = number % 14
        fold, label = recording % 10 + 1, recording % 10
        name = f"{100_000 + recording}-{label}-0-{number}.wav"
        rate, subtype, channels = kinds[number % len(kinds)]
        files[f"fold{fold}/{name}"] = sound(number, rate, subtype=subtype, channels=channels)
        salience = 1 + number % 2
        table.append(f"{name},{100_000 + recording},0.0,0.6,{salience},{fold},{label},{classes.split()[label]}")
    files["fold1/.DS_Store"] = files["__MACOSX/fold1/._100000-0-0-0.wav"] = _BROKEN
    return {"UrbanSound8K.csv": _lines(*table), **files}


@_miniature("esc-50", 40, "sound", "recording")
def esc_50() -> Files:
    """Return sounds of eight classes; each clip stands there three times, once at another rate."""
    classes = {0: "dog", 1: "rooster", 10: "rain", 11: "sea_waves", 20: "crying_baby", 21: "sneezing", 40: "helicopter"}
    classes[41] = "chainsaw"
    table, files = ["filename,fold,target,category,esc10,src_file,take"], Files()
    for number, (take, (target, label)) in enumerate(product(range(5), classes.items())):
        recording = 100_000 + number // 2
        fold = number % 5 + 1
        name = f"{fold}-{recording}-{'AB'[number % 2]}-{target}.wav"
        table.append(f"{name},{fold},{target},{label},{take == 0},{recording},{'AB'[number % 2]}")
        files |= {f"audio/audio/{folder}{name}": _cd(number) for folder in ("", "44100/")}
        files[f"audio/audio/16000/{name}"] = sound(number)
    return {"esc50.csv": _lines(*table), **files}


@_miniature("gtzan", 50, "genre", rejected={"genres_original/jazz/jazz.00054": "not_audio"})
def gtzan() -> Files:
    """Return ten genres; one file is broken, and beside the clips are pictures and tables of features."""
    genres = _words("blues classical country disco hiphop jazz metal pop reggae rock")
    names = [f"{genre}/{genre}.{number:05}" for genre, number in product(genres, range(52, 57))]
    files = _numbered([f"Data/genres_original/{name}.wav" for name in names], partial(sound, rate=22_050))
    files["Data/genres_original/jazz/jazz.00054.wav"] = _BROKEN
    pictures = {f"Data/images_original/{name.replace('.', '')}.png": b"\x89PNG" for name in names[:5]}
    return {
        **files,
        **pictures,
        "Data/features_30_sec.csv": _lines("filename,tempo,label", "blues.00052.wav,120,blues"),
    }


@_miniature("respiratory-sounds", 44, "diagnosis", "patient", remarks=("44 copies of clips, under other paths",))
def respiratory_sounds() -> Files:
    """Return patients of one to six recordings; the whole stands there twice, under folders that differ in case."""
    diagnoses = _words("URTI Healthy Asthma COPD Bronchiectasis Pneumonia Bronchiolitis")
    patients = {101 + number: diagnoses[number % 7] for number in range(14)}
    files = {
        "patient_diagnosis.csv": _lines(*(f"{patient},{each}" for patient, each in patients.items()), "226,Healthy")
    }
    places, devices = _words("Tc Al Ar Pl Pr Ll Lr"), _words("AKGC417L LittC2SE Litt3200 Meditron")
    rates = [44_100, 4_000, 44_100, 10_000]
    for number in range(44):
        patient = 101 + min(number, number * number // 140)
        mode, device = "sc" if number % 3 else "mc", devices[number % 4]
        name = f"audio_and_txt_files/{patient}_{number % 3 + 1}b{number}_{places[number % 7]}_{mode}_{device}"
        files[f"{name}.wav"] = sound(number, rates[number % 4], subtype="PCM_24" if number % 4 == 0 else "PCM_16")
        files[f"{name}.txt"] = _lines("0.036\t0.3\t0\t0", "0.3\t0.579\t1\t0")
    tops = ("Respiratory_Sound_Database", "respiratory_sound_database")
    return {f"{top}/Respiratory_Sound_Database/{name}": data for top in tops for name, data in files.items()}


@_miniature(
    "asvspoof-2019-la",
    47,
    "origin",
    "speaker",
    remarks=("dev: 1 row whose clip is not in the snapshot",),
    rejected={"LA_D_1000168": "missing"},
)
def asvspoof_2019_la() -> Files:
    """Return three parts of four speakers, and their protocols; a row has no file; the physical part is there, too."""
    files, number = Files(), 0
    for part, protocol, letter in (("train", "train.trn", "T"), ("dev", "dev.trl", "D"), ("eval", "eval.trl", "E")):
        lines = []
        for row in range(16):
            name, speaker = f"LA_{letter}_{1000131 + 37 * row}", f"LA_{number // 4:04}"
            lines.append(f"{speaker} {name} - {'- bonafide' if row % 4 == 0 else f'A{row % 6 + 1:02} spoof'}")
            files[f"LA/LA/ASVspoof2019_LA_{part}/flac/{name}.flac"] = sound(number, kind="FLAC")
            number += 1
        files[f"LA/LA/ASVspoof2019_LA_{part}/LICENSE.txt"] = _lines("ODC-By")
        files[f"LA/LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{protocol}.txt"] = _lines(*lines)
    del files["LA/LA/ASVspoof2019_LA_dev/flac/LA_D_1000168.flac"]
    files["PA/PA/ASVspoof2019_PA_train/flac/PA_T_0000001.flac"] = sound(number, kind="FLAC")
    files["PA/PA/ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.train.trn.txt"] = _lines(
        "PA_0079 PA_T_0000001 aaa - x"
    )
    return files


@_miniature("bengaliai-speech", 44, None, "text", "text")
def bengaliai_speech() -> Files:
    """Return sentences with commas in quotes, two of them read twice; the test's clips have no row."""
    table, files = ["id,sentence,split"], Files()
    for number in range(44):
        name = f"{number * 7919 % 4096:012x}"
        sentence = (
            f'"আমি, ভাত খাই {number}"' if number % 3 == 0 else f"তুমি কেমন আছ {number // 2 if number < 4 else number}"
        )
        table.append(f"{name},{sentence},{'valid' if number % 5 == 4 else 'train'}")
        files[f"train_mp3s/{name}.mp3"] = _mp3(number)
    files["test_mp3s/0f3dac00655e.mp3"] = _mp3(90)
    return {"train.csv": _lines(*table), "sample_submission.csv": _lines("id,sentence", "0f3dac00655e,"), **files}


@_miniature("birdclef-2026", 48, "species", "author", remarks=("train: 1 row whose clip is a copy of another's",))
def birdclef_2026() -> Files:
    """Return eight species and twelve authors; a recording stands under two species, and labels hold commas."""
    header = (
        "primary_label,secondary_labels,type,latitude,longitude,scientific_name,common_name,class_name,inat_taxon_id"
    )
    species = {
        "ashgre1": "Aves",
        "22961": "Amphibia",
        "blufoot1": "Aves",
        "47158son01": "Insecta",
        "116570": "Reptilia",
    }
    species |= {"trsowl": "Aves", "23150": "Amphibia", "43435": "Mammalia"}
    table, files = [f"{header},author,license,rating,url,filename,collection"], Files()
    for number, (_, (code, kind)) in enumerate(product(range(6), species.items())):
        name, collection = (f"XC{128_000 + number}", "XC") if kind == "Aves" else (f"iNat{number}", "iNat")
        about = f"\"['trsowl', '22961']\",\"['call']\",-16.5,-56.4,{code} x,Some {kind},{kind},{number}"
        licence = "cc-by-nc-sa 4.0,4.5" if kind == "Aves" else "cc-by-nc 4.0,0.0"
        path = f"{code}/{name}.ogg"
        table.append(f"{code},{about},Author {number % 12},{licence},https://example.org,{path},{collection}")
        files[f"train_audio/{path}"] = _ogg(number)
    files["train_audio/23150/iNat46.ogg"] = files["train_audio/22961/iNat41.ogg"]
    return {
        "train.csv": _lines(*table),
        "train_soundscapes/BC2026_Train_0001_S08_20250606_030007.ogg": _ogg(90),
        **files,
    }
