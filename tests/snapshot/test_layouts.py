"""Layouts of real data sets on Kaggle, each described in a few lines: what the keys of a description are for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.snapshot.test_join import Files, Snapshot

LAYOUTS: dict[str, tuple[Files, dict[str, Any], list[str], list[tuple[Any, ...]]]] = {
    "LJSpeech": (
        {"LJSpeech-1.1/wavs/LJ001-0001.wav": "", "LJSpeech-1.1/metadata.csv": 'LJ001-0001|He said "no|He said, no\n'},
        {
            "audio": "wavs/{name}.wav",
            "tables": "metadata.csv",
            "dialect": {"separator": "|", "quote": None, "header": ["file", "raw", "text"]},
            "clip": "wavs/{file}.wav",
            "columns": {"text": "raw"},
            "text": "text",
        },
        ["clip_id", "table", "text"],
        [("wavs/LJ001-0001", "metadata", 'He said "no')],
    ),
    "LibriSpeech": (
        {
            "LibriSpeech/train-clean-100/19/198/19-198-0000.flac": "",
            "LibriSpeech/SPEAKERS.TXT": ";ID |SEX| SUBSET\n14   | F | train-clean-360\n19   | M | train-clean-100\n",
        },
        {
            "audio": "{table}/{speaker:d}/{chapter:d}/{name}.flac",
            "id": "{name}",
            "lookups": [
                {
                    "tables": "SPEAKERS.TXT",
                    "dialect": {"separator": "|", "comment": ";", "trim": True, "header": ["id", "sex", "subset"]},
                    "on": {"id": "{speaker}"},
                    "columns": {"sex": {"map": {"M": "male", "F": "female"}}},
                }
            ],
            "columns": {"speaker": None},
            "apart": ["speaker"],
        },
        ["clip_id", "table", "speaker", "sex"],
        [("19-198-0000", "train-clean-100", "19", "male")],
    ),
    "Speech Commands": (
        {
            "happy/3cfc6b3a_nohash_2.wav": "a",
            "bed/3cfc6b3a_nohash_2.wav": "b",
            "_background_noise_/pink_noise.wav": "c",
        },
        {
            "audio": "{word:a}/{speaker}_nohash_{take:d}.wav",
            "columns": {"word": None, "speaker": None},
            "label": "word",
        },
        ["clip_id", "word", "speaker"],
        [
            ("bed/3cfc6b3a_nohash_2", "bed", "3cfc6b3a"),
            ("happy/3cfc6b3a_nohash_2", "happy", "3cfc6b3a"),
        ],
    ),
    "TESS": (
        {f"TESS {top}/OAF_angry/OAF_back_angry.wav": "a" for top in ("set", "set/TESS set")},
        {"audio": "{who}_{mood}/{who}_{word}_{mood}.wav", "id": "{who}-{word}-{mood}", "columns": {"mood": None}},
        ["clip_id", "mood", "path"],
        [("OAF-back-angry", "angry", "TESS set/OAF_angry/OAF_back_angry.wav")],
    ),
    "ASVspoof 2019": (
        {
            "LA/LA/ASVspoof2019_LA_train/flac/LA_T_1138215.flac": "",
            "LA/ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt": "LA_0079 LA_T_1138215 - -  bonafide\n",
        },
        {
            "audio": "flac/{name}.flac",
            "tables": "ASVspoof2019.LA.cm.{table}.{_}.txt",
            "dialect": {"separator": " ", "header": ["speaker", "file", "_", "system", "key"]},
            "clip": "flac/{file}.flac",
            "id": "{file}",
            "columns": {"label": "key", "speaker": None, "system": {"missing": ["-"]}},
            "label": "label",
        },
        ["clip_id", "table", "label", "speaker", "system"],
        [("LA_T_1138215", "train", "bonafide", "LA_0079", None)],
    ),
    "ESC-50": (
        {
            "audio/audio/1-100032-A-0.wav": "a",
            "audio/audio/16000/1-100032-A-0.wav": "b",
            "esc50.csv": "filename,fold,category,src_file\n1-100032-A-0.wav,1,dog,100032\n",
        },
        {
            "audio": "/audio/audio/{name}.wav",
            "tables": "/esc50.csv",
            "clip": "{filename}",
            "columns": {"label": "category", "recording": "src_file"},
            "apart": ["recording"],
        },
        ["clip_id", "label", "recording", "path"],
        [("1-100032-A-0", "dog", "100032", "audio/audio/1-100032-A-0.wav")],
    ),
    "FMA": (
        {"fma_small/000/000002.mp3": "", "fma_metadata/genres.csv": "track,genre\n2,Hip-Hop\n"},
        {
            "audio": "{_:d}/{name:d}.mp3",
            "tables": "genres.csv",
            "clip": "{track|pad:6}.mp3",
            "columns": {"label": "genre"},
        },
        ["clip_id", "label", "path"],
        [("000002", "Hip-Hop", "fma_small/000/000002.mp3")],
    ),
    "Respiratory Sound Database": (
        {"audio_and_txt_files/101_1b1_Al_sc_Meditron.wav": "", "patient_diagnosis.csv": "101,URTI\n102,Healthy\n"},
        {
            "audio": "{patient:d}_{_}_{place}_{mode}_{device}.wav",
            "lookups": [
                {
                    "tables": "patient_diagnosis.csv",
                    "dialect": {"header": ["id", "diagnosis"]},
                    "on": {"id": "{patient}"},
                    "columns": {"label": "diagnosis"},
                }
            ],
            "columns": {"patient": None, "device": None},
            "label": "label",
            "apart": ["patient"],
        },
        ["clip_id", "label", "patient", "device"],
        [("101_1b1_Al_sc_Meditron", "URTI", "101", "Meditron")],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layout_of_a_real_data_set_is_described_in_a_few_lines(name: str) -> None:
    files, keys, columns, rows = LAYOUTS[name]
    assert Snapshot(files, keys).rows(*columns) == rows
