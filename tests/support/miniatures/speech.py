"""Speech: emotions, commands, digits, sentences, and what a machine has spoken."""

from __future__ import annotations

import json
from functools import partial
from itertools import product

import numpy as np

from tests.support.miniatures.making import Files, encoded, lines, miniature, numbered, sound, words


@miniature("ravdess", 48, "emotion", "speaker", "text", remarks=("48 copies of clips, under other paths",))
def ravdess() -> Files:
    """Return six actors and eight emotions, some of them in stereo; all of it a second time at the root."""
    names = [
        f"Actor_{actor:02}/03-01-{emotion:02}-{level:02}-{1 + emotion % 2:02}-01-{actor:02}.wav"
        for actor, emotion in product(range(1, 7), range(1, 9))
        for level in [1 if emotion == 1 else 1 + actor % 2]
    ]
    clips = numbered(names, lambda number: sound(number, 48_000, channels=2 if number % 16 == 5 else 1))
    return {f"audio_speech_actors_01-24/{name}": data for name, data in clips.items()} | clips


@miniature("crema-d", 50, "emotion", "speaker", "text")
def crema_d() -> Files:
    """Return eight actors and six emotions; one clip is silent, and one has a single letter for its level."""
    sentences = words("IEO TIE IOM IWW TAI MTI IWL ITH DFA ITS TSI WSI")
    names = [
        f"AudioWAV/{speaker}_{sentences[number % 12]}_{emotion}_{words('XX LO MD HI')[number % 4]}.wav"
        for number, (speaker, emotion) in enumerate(product(range(1001, 1009), words("ANG DIS FEA HAP NEU SAD")))
    ]
    files = numbered([*names, "AudioWAV/1040_ITH_SAD_X.wav"], sound)
    return files | {"AudioWAV/1076_MTI_SAD_XX.wav": encoded(np.zeros(9_600), 16_000)}


@miniature("tess", 70, "emotion", "word", remarks=("70 copies of clips, under other paths",))
def tess() -> Files:
    """Return two speakers, seven emotions and five words; the folder stands in a folder of the same name once more."""
    top = "TESS Toronto emotional speech set data"
    folders = {
        "OAF": words("OAF_angry OAF_disgust OAF_Fear OAF_happy OAF_neutral OAF_Pleasant_surprise OAF_Sad"),
        "YAF": words("YAF_angry YAF_disgust YAF_fear YAF_happy YAF_neutral YAF_pleasant_surprised YAF_sad"),
    }
    emotions = words("angry disgust fear happy neutral ps sad")
    names = [
        f"{folder}/{speaker}_{word}_{emotion}.wav"
        for speaker in folders
        for folder, emotion in zip(folders[speaker], emotions, strict=True)
        for word in ("back", "bite", "germ", "neat", "young")
    ]
    names[names.index("OAF_neutral/OAF_bite_neutral.wav")] = "OAF_neutral/OA_bite_neutral.wav"
    clips = numbered(names, partial(sound, rate=24_414))
    return {f"{folder}/{name}": data for folder in (top, f"{top}/{top}") for name, data in clips.items()}


@miniature("savee", 56, "emotion", "speaker")
def savee() -> Files:
    """Return four speakers and seven emotions, whose letters stand next to the digits."""
    codes = [f"{emotion}{number:02}" for emotion in words("a d f h n sa su") for number in (1, 2)]
    names = [f"ALL/{speaker}_{code}.wav" for speaker in ("DC", "JE", "JK", "KL") for code in codes]
    return numbered(names, partial(sound, rate=44_100))


@miniature("emodb", 40, "emotion", "speaker", "text")
def emodb() -> Files:
    """Return ten speakers, with facts at fixed places of the names."""
    speakers, sentences = words("03 08 09 10 11 12 13 14 15 16"), words("a01 a02 a04 a05 a07 b01 b02 b03 b09 b10")
    names = [
        f"wav/{speaker}{sentences[(number + at) % 10]}{'WLEAFTN'[(number + 2 * at) % 7]}{'abcdef'[at]}.wav"
        for number, speaker in enumerate(speakers)
        for at in range(4)
    ]
    return numbered(names, sound)


@miniature("speech-commands", 48, "word", "speaker", "word")
def speech_commands() -> Files:
    """Return six words of eight speakers, under the same base names in each folder; and noise of some seconds."""
    speakers = words("00176480 0a7c2a8d 1b4c9b89 3cfc6b3a 5c8af87a 99081f4d b4aa9fef ffd2ba2f")
    commands = words("bed happy house marvin yes zero")
    files = numbered([f"{word}/{speaker}_nohash_0.wav" for word, speaker in product(commands, speakers)], sound)
    lists = {"testing_list.txt": lines("bed/ffd2ba2f_nohash_0.wav"), "README.md": lines("## Speech Commands")}
    return {"_background_noise_/pink_noise.wav": sound(90, seconds=3.0), **files, **lists}


@miniature("audiomnist", 50, "digit", "speaker", "digit")
def audiomnist() -> Files:
    """Return ten digits of five speakers, who are described in a JSON file."""
    names = [f"data/{speaker:02}/{digit}_{speaker:02}_0.wav" for speaker, digit in product(range(1, 6), range(10))]
    about = json.dumps({f"{speaker:02}": {"age": 30, "gender": "male"} for speaker in range(1, 6)})
    return {"data/audioMNIST_meta.txt": lines(about), **numbered(names, partial(sound, rate=48_000))}


@miniature("ljspeech", 40, None, "chapter", "text")
def ljspeech() -> Files:
    """Return eight chapters of five clips; the table has no header, and quotes that open and never close."""
    names = [f"LJ{chapter:03}-{clip:04}" for chapter, clip in product(range(1, 9), range(1, 6))]
    table = [f'{name}|He said, "number 0{at}|He said, "number {at} of many' for at, name in enumerate(names)]
    clips = numbered([f"LJSpeech-1.1/wavs/{name}.wav" for name in names], partial(sound, rate=22_050))
    return {"LJSpeech-1.1/README": lines("LJ Speech"), "LJSpeech-1.1/metadata.csv": lines(*table), **clips}


@miniature(
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
        rows = []
        for row in range(16):
            name, speaker = f"LA_{letter}_{1000131 + 37 * row}", f"LA_{number // 4:04}"
            rows.append(f"{speaker} {name} - {'- bonafide' if row % 4 == 0 else f'A{row % 6 + 1:02} spoof'}")
            files[f"LA/LA/ASVspoof2019_LA_{part}/flac/{name}.flac"] = sound(number, kind="FLAC")
            number += 1
        files[f"LA/LA/ASVspoof2019_LA_{part}/LICENSE.txt"] = lines("ODC-By")
        files[f"LA/LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{protocol}.txt"] = lines(*rows)
    del files["LA/LA/ASVspoof2019_LA_dev/flac/LA_D_1000168.flac"]
    files["PA/PA/ASVspoof2019_PA_train/flac/PA_T_0000001.flac"] = sound(number, kind="FLAC")
    files["PA/PA/ASVspoof2019_PA_cm_protocols/ASVspoof2019.PA.cm.train.trn.txt"] = lines("PA_0079 PA_T_0000001 aaa - x")
    return files


@miniature("bengaliai-speech", 44, None, "text", "text")
def bengaliai_speech() -> Files:
    """Return sentences with commas in quotes, two of them read twice; the test's clips have no row."""
    table, files = ["id,sentence,split"], Files()
    for number in range(44):
        name = f"{number * 7919 % 4096:012x}"
        at = number % 42
        sentence = f'"আমি, ভাত খাই {at}"' if at % 3 == 0 else f"তুমি কেমন আছ {at}"
        table.append(f"{name},{sentence},{'valid' if number % 5 == 4 else 'train'}")
        files[f"train_mp3s/{name}.mp3"] = sound(number, 32_000, kind="MP3")
    files["test_mp3s/0f3dac00655e.mp3"] = sound(90, 32_000, kind="MP3")
    return {"train.csv": lines(*table), "sample_submission.csv": lines("id,sentence", "0f3dac00655e,"), **files}
