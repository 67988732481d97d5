"""Ten layouts that no description of this repository has, as a test of `describe`: names and tables as they are
published, tones as audio, and what each clip's label and group are.

They were written before the heuristics, and differ from the catalogue's as far as possible: tables without headers, two
shapes of names, two tables in one archive, names made of several columns, words inside of folder names, speakers that
are the label.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tests.support.miniatures.making import encoded

Facts = tuple[str | None, str | None]  # label and group of a clip


@dataclass(frozen=True)
class Layout:
    """Files by path, and what is known of each clip."""

    files: dict[str, bytes]
    facts: dict[str, Facts]


@cache
def tone(number: int, kind: str = "WAV") -> bytes:
    """Return a short clip, another one for each number."""
    time = np.arange(6000) / 8000
    return encoded(0.3 * np.sin(2 * np.pi * (200 + 7 * number) * time), 8000, kind)


def built(clips: dict[str, Facts], tables: dict[str, str]) -> Layout:
    """Put a tone at each path."""
    kinds = {"flac": "FLAC", "ogg": "OGG", "aif": "AIFF"}
    files = {path: tone(number, kinds.get(path.rpartition(".")[2].lower(), "WAV")) for number, path in enumerate(clips)}
    return Layout({**{name: text.encode() for name, text in tables.items()}, **files}, clips)


def vctk() -> Layout:
    """Two microphones for each sentence, a transcript beside each, a table of speakers in columns of blanks."""
    speakers = [f"p{225 + number}" for number in range(8)]
    clips: dict[str, Facts] = {}
    tables = {"VCTK/speaker-info.txt": "ID  AGE  GENDER  ACCENTS  REGION\n"}
    for number, speaker in enumerate(speakers):
        tables["VCTK/speaker-info.txt"] += f"{speaker[1:]}  {20 + number}  {'FM'[number % 2]}    English    Surrey\n"
        for line in range(1, 5):
            tables[f"VCTK/txt/{speaker}/{speaker}_{line:03}.txt"] = f"Please call Stella, {line} times.\n"
            for mic in ("mic1", "mic2"):
                clips[f"VCTK/wav48/{speaker}/{speaker}_{line:03}_{mic}.flac"] = (None, speaker)
    return built(clips, tables)


def spoken_digits() -> Layout:
    """Digits by people with names."""
    people = ["jackson", "nicolas", "theo", "yweweler", "george", "lucas"]
    clips: dict[str, Facts] = {
        f"free-spoken-digit-dataset/recordings/{digit}_{name}_{take}.wav": (str(digit), name)
        for digit in range(10)
        for name in people
        for take in range(2)
    }
    return built(
        clips, {"free-spoken-digit-dataset/README.md": "# Digits\n", "free-spoken-digit-dataset/acquire.py": ""}
    )


def heartbeat() -> Layout:
    """Two tables; the names in one of them are not those of the files."""
    clips: dict[str, Facts] = {}
    tables = {"set_a.csv": "dataset,fname,label,sublabel\n", "set_b.csv": "dataset,fname,label,sublabel\n"}
    for label in ("artifact", "extrahls", "murmur", "normal"):
        for number in range(8):
            clips[f"set_a/{label}__2011{number:04}12.wav"] = (label, None)
            tables["set_a.csv"] += f"a,set_a/{label}__2011{number:04}12.wav,{label},\n"
    for label in ("extrastole", "murmur", "normal"):
        for number in range(4):
            clips[f"set_b/{label}__1{number}_13060{number:04}_A.wav"] = (label, None)
            tables["set_b.csv"] += f"b,set_b/Btraining_{label}_1{number}_13060{number:04}_A.wav,{label},\n"
    tables["set_a.csv"] += "a,set_a/Aunlabelledtest__2011.wav,,\n"
    return built(clips, tables)


def scenes() -> Layout:
    """A TSV that is called CSV, and others that list some of its rows."""
    clips: dict[str, Facts] = {}
    meta = "filename\tscene_label\tidentifier\tsource_label\n"
    train, test = "filename\tscene_label\n", "filename\n"
    for number, scene in enumerate(("airport", "bus", "metro", "park")):
        for place in range(5):
            city = ("barcelona", "helsinki", "london")[(place + number) % 3]
            for piece in range(3):
                name = f"audio/{scene}-{city}-{number * 5 + place}-{piece}-a.wav"
                clips[name] = (scene, f"{city}-{number * 5 + place}")
                meta += f"{name}\t{scene}\t{city}-{number * 5 + place}\ta\n"
                train += f"{name}\t{scene}\n" if place else ""
                test += "" if place else f"{name}\n"
    folder = "TAU-urban-acoustic-scenes/"
    tables = {
        f"{folder}meta.csv": meta,
        f"{folder}evaluation_setup/fold1_train.csv": train,
        f"{folder}evaluation_setup/fold1_test.csv": test,
    }
    return built({f"{folder}{name}": facts for name, facts in clips.items()}, tables)


def coughs() -> Layout:
    """A folder for each person, who has a row in a table."""
    rng = random.Random(1)
    clips: dict[str, Facts] = {}
    table = "id,a,covid_status,ep,g,l_c,l_l,smoker\n"
    for number in range(14):
        person = "".join(rng.choices("abcdefghijkABCDEFGH0123456789", k=28))
        status = ("healthy", "positive_mild", "resp_illness_not_identified")[number % 3]
        table += f"{person},{20 + number},{status},y,male,India,Anantapur,{'True' if number % 4 else ''}\n"
        for kind in ("breathing-deep", "cough-heavy", "cough-shallow", "vowel-a"):
            clips[f"{20200413 + number % 3}/{person}/{kind}.wav"] = (status, person)
    return built(clips, {"combined_data.csv": table, "csv_labels_legend.json": "{}"})


def solos() -> Layout:
    """Names that are made of three columns."""
    rng = random.Random(2)
    clips: dict[str, Facts] = {}
    table = "subset,instrument,instrument_id,song_id,uuid4\n"
    for song in range(20):
        instrument = ("clarinet", "distorted electric guitar", "flute", "piano")[song % 4]
        subset = ("training", "validation", "test")[song % 3]
        for _ in range(3):
            uuid = f"{rng.getrandbits(32):08x}-{rng.getrandbits(16):04x}-5{rng.getrandbits(12):03x}"
            clips[f"audio/Medley-solos-DB_{subset}-{song % 4}_{uuid}.wav.wav"] = (instrument, str(song))
            table += f"{subset},{instrument},{song % 4},{song},{uuid}\n"
    return built(clips, {"Medley-solos-DB_metadata.csv": table})


def file_lists() -> Layout:
    """Lists without a header: path, sentence, speaker."""
    clips: dict[str, Facts] = {}
    lists = {"filelists/train.txt": "", "filelists/val.txt": ""}
    words = ["the", "grey", "boat", "sailed", "past", "every", "silent", "harbour", "before", "noon", "again", "slowly"]
    rng = random.Random(3)
    for speaker in range(6):
        for number in range(9):
            path = f"wavs/spk{speaker}/utt_{speaker}{number:02}.wav"
            clips[path] = (None, str(speaker))
            sentence = " ".join(rng.sample(words, 8)).capitalize()
            lists["filelists/val.txt" if number > 7 else "filelists/train.txt"] += (
                f'{path}|{sentence}, "yes".|{speaker}\n'
            )
    return built(clips, lists)


def two_shapes() -> Layout:
    """Speech and song, named in two ways."""
    clips: dict[str, Facts] = {}
    for speaker in range(1, 8):
        for feeling in ("happy", "sad", "angry", "calm"):
            clips[f"speech/spk{speaker:02}_{feeling}_01.wav"] = (feeling, f"{speaker:02}")
            clips[f"speech/spk{speaker:02}_{feeling}_02.wav"] = (feeling, f"{speaker:02}")
            clips[f"song/song-spk{speaker:02}-{feeling}.wav"] = (feeling, f"{speaker:02}")
    return built(clips, {})


def patients() -> Layout:
    """Folders that name the patient and the diagnosis."""
    clips: dict[str, Facts] = {}
    for patient in range(101, 121):
        diagnosis = ("healthy", "asthma", "copd", "pneumonia")[patient % 4]
        for number in range(1, 4):
            clips[f"lungs/patient_{patient}_{diagnosis}/rec{number}.wav"] = (diagnosis, str(patient))
    return built(clips, {"lungs/__readme.txt": "Recorded at rest.\nSee the paper.\n"})


def leaders() -> Layout:
    """Speakers that are the label: nothing is to be kept apart."""
    people = ["Benjamin_Netanyau", "Jens_Stoltenberg", "Julia_Gillard", "Margaret_Tarcher", "Nelson_Mandela"]
    clips: dict[str, Facts] = {
        f"16000_pcm_speeches/{person}/{number}.wav": (person, None) for person in people for number in range(12)
    }
    noises = {
        f"16000_pcm_speeches/_background_noise_/{name}.wav": tone(500 + at)
        for at, name in enumerate(["10convert", "pink noise"])
    }
    layout = built(clips, {})
    return Layout({**layout.files, **noises}, clips)


LAYOUTS: dict[str, Callable[[], Layout]] = {
    each.__name__: each
    for each in (vctk, spoken_digits, heartbeat, scenes, coughs, solos, file_lists, two_shapes, patients, leaders)
}
