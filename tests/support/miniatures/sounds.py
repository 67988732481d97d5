"""Sounds: of streets and animals, of music, of lungs."""

from __future__ import annotations

from functools import partial
from itertools import product

from tests.support.miniatures.making import BROKEN, Files, coloured, lines, miniature, numbered, sound, words


@miniature("urbansound8k", 46, "sound", "recording")
def urbansound8k(clips: int = 46, recordings: int = 14) -> Files:
    """Return sounds of ten classes, of many rates, depths and numbers of channels; those of a recording sound alike."""
    classes = words("air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer")
    classes += words("siren street_music")
    kinds = [(44_100, "PCM_16", 2), (48_000, "PCM_24", 2), (96_000, "PCM_24", 1), (11_025, "PCM_U8", 1)]
    kinds += [(44_100, "FLOAT", 2), (22_050, "MS_ADPCM", 1), (8_000, "PCM_16", 1)]
    table, files = ["slice_file_name,fsID,start,end,salience,fold,classID,class"], Files()
    for number in range(clips):
        recording = number % recordings
        fold, label = recording % 10 + 1, recording % 10
        name = f"{100_000 + recording}-{label}-0-{number}.wav"
        files[f"fold{fold}/{name}"] = coloured(label, recording, number, *kinds[recording % len(kinds)])
        salience = 1 + number % 2
        table.append(f"{name},{100_000 + recording},0.0,0.6,{salience},{fold},{label},{classes[label]}")
    files["fold1/.DS_Store"] = files["__MACOSX/fold1/._100000-0-0-0.wav"] = BROKEN
    return {"UrbanSound8K.csv": lines(*table), **files}


@miniature("esc-50", 40, "sound", "recording")
def esc_50() -> Files:
    """Return sounds of eight classes; each clip stands there three times, once at another rate."""
    classes = {0: "dog", 1: "rooster", 2: "pig", 10: "rain", 20: "crying_baby", 25: "footsteps", 36: "vacuum_cleaner"}
    classes[40] = "helicopter"
    table, files = ["filename,fold,target,category,esc10,src_file,take"], Files()
    for number, ((target, label), clip) in enumerate(product(classes.items(), range(5))):
        recording, take, fold = 100_000 + 10 * target + clip // 2, "AB"[clip % 2], clip // 2 + 1
        name = f"{fold}-{recording}-{take}-{target}.wav"
        table.append(f"{name},{fold},{target},{label},{target not in (2, 25, 36)},{recording},{take}")
        files |= {f"audio/audio/{folder}{name}": sound(number, 44_100) for folder in ("", "44100/")}
        files[f"audio/audio/16000/{name}"] = sound(number)
    return {"esc50.csv": lines(*table), **files}


@miniature("gtzan", 50, "genre", rejected={"genres_original/jazz/jazz.00054": "not_audio"}, good=49)
def gtzan() -> Files:
    """Return ten genres; one file is broken, and beside the clips are pictures and tables of features."""
    genres = words("blues classical country disco hiphop jazz metal pop reggae rock")
    names = [f"{genre}/{genre}.{number:05}" for genre, number in product(genres, range(52, 57))]
    files = numbered([f"Data/genres_original/{name}.wav" for name in names], partial(sound, rate=22_050))
    files["Data/genres_original/jazz/jazz.00054.wav"] = BROKEN
    files |= {f"Data/images_original/{name.replace('.', '')}.png": b"\x89PNG" for name in names[:5]}
    return {**files, "Data/features_30_sec.csv": lines("filename,tempo,label", "blues.00052.wav,120,blues")}


@miniature("respiratory-sounds", 49, "diagnosis", "patient", remarks=("49 copies of clips, under other paths",))
def respiratory_sounds() -> Files:
    """Return patients of one to six recordings; all of it stands there twice, under folders that differ in case."""
    diagnoses = words("URTI Healthy Asthma COPD Bronchiectasis Pneumonia Bronchiolitis")
    patients = {101 + number: diagnoses[number % 7] for number in range(14)}
    files = {
        "patient_diagnosis.csv": lines(*(f"{patient},{each}" for patient, each in patients.items()), "226,Healthy")
    }
    places, devices = words("Tc Al Ar Pl Pr Ll Lr"), words("AKGC417L LittC2SE Litt3200 Meditron")
    rates = [44_100, 4_000, 44_100, 10_000]
    for number, patient in enumerate(each for each in patients for _ in range(1 + each % 6)):
        mode, device = "sc" if number % 3 else "mc", devices[number % 4]
        name = f"audio_and_txt_files/{patient}_{number % 3 + 1}b{number}_{places[number % 7]}_{mode}_{device}"
        files[f"{name}.wav"] = sound(number, rates[number % 4], subtype="PCM_24" if number % 4 == 0 else "PCM_16")
        files[f"{name}.txt"] = lines("0.036\t0.3\t0\t0", "0.3\t0.579\t1\t0")
    tops = ("Respiratory_Sound_Database", "respiratory_sound_database")
    return {f"{top}/Respiratory_Sound_Database/{name}": data for top in tops for name, data in files.items()}


@miniature(
    "birdclef-2026", 48, "species", "author", remarks=("train: 1 row whose clip is a copy of another's",), good=47
)
def birdclef_2026() -> Files:
    """Return eight species and twelve authors; a recording stands under two species, and labels hold commas."""
    header = "primary_label,secondary_labels,type,latitude,longitude,scientific_name,common_name,class_name"
    species = {"ashgre1": "Aves", "22961": "Amphibia", "blufoot1": "Aves", "47158son01": "Insecta"}
    species |= {"116570": "Reptilia", "trsowl": "Aves", "23150": "Amphibia", "43435": "Mammalia"}
    table, files = [f"{header},inat_taxon_id,author,license,rating,url,filename,collection"], Files()
    for number, (_, (code, kind)) in enumerate(product(range(6), species.items())):
        name, collection = (f"XC{128_000 + number}", "XC") if kind == "Aves" else (f"iNat{number}", "iNat")
        about = f"\"['trsowl', '22961']\",\"['call']\",-16.5,-56.4,{code} x,Some {kind},{kind},{number}"
        licence = "cc-by-nc-sa 4.0,4.5" if kind == "Aves" else "cc-by-nc 4.0,0.0"
        path = f"{code}/{name}.ogg"
        table.append(f"{code},{about},Author {number % 12},{licence},https://example.org,{path},{collection}")
        files[f"train_audio/{path}"] = sound(number, 32_000, kind="OGG")
    files["train_audio/23150/iNat46.ogg"] = files["train_audio/22961/iNat41.ogg"]
    files["train_soundscapes/BC2026_Train_0001_S08_20250606_030007.ogg"] = sound(90, 32_000, kind="OGG")
    return {"train.csv": lines(*table), **files}


@miniature(
    "birdclef-2026-soundscapes",
    48,
    "species",
    remarks=(
        "train_soundscapes_labels: 48 rows equal to an earlier one",
        "1 clip of 9 that no row names",
    ),
)
def birdclef_2026_soundscapes() -> Files:
    """Return windows of a second of eight soundscapes; each stands in two rows, and a soundscape has none."""
    table, files = ["filename,start,end,primary_label"], Files()
    for number in range(9):
        name = f"BC2026_Train_{number + 1:04}_S{number % 4:02}_202506{number + 10}_030007.ogg"
        files[f"train_soundscapes/{name}"] = sound(number, 32_000, kind="OGG", seconds=6.0)
        species = "22961;trsowl" if number % 2 else "22961"
        table += [f"{name},00:00:0{at},00:00:0{at + 1},{species}" for at in range(6) if number < 8]
    return {"train_soundscapes_labels.csv": lines(*table, *table[1:]), **files}
