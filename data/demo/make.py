"""Make the demo snapshot: a small zip laid out like Kaggle's archive of Common Voice v1.

In: nothing but this file. Out: ``common-voice-demo.zip``, at most 5 MB, with tables and MP3s like the real ones
(synthetic speech, CC0) and with the faults that real archives have, planted where `FAULTS` says.
It never reads a clock or throws dice: every choice is a hash of what it is made for, so the same instruments
(`MADE_WITH`) give the same bytes. The zip is in git; nobody has to run this to use it.

Needs espeak-ng, which Debian and Ubuntu ship (``apt-get install espeak-ng``; the zip in git was made with Debian's
1.51+dfsg-10+deb12u2), and numpy, soundfile and soxr as ``requirements.lock`` pins them::

    python data/demo/make.py               # writes common-voice-demo.zip beside this file
    python data/demo/make.py --to PATH     # writes it elsewhere

To move a fault to another clip, change its key in `FAULTS`, run this, and change the table in README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import math
import platform
import struct
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

Waveform = npt.NDArray[np.float64]  # mono (samples,) or (samples, channels), full scale is 1
T = TypeVar("T", bound=Hashable)

HERE = Path(__file__).resolve().parent

MADE_WITH = {
    "espeak-ng": "1.51",
    "espeak-ng's voice": "5d31712b5e0c8294",  # SHA-256 of what it says to `instruments`, its beginning
    "libsndfile": "1.2.2",
    "python-soxr": "1.1.0",
    "machine": "Linux x86_64",
}

# What is wrong with a clip, by clip id: the reason for which the pipeline has to refuse it. Every clip whose row
# names both age and gender can have a fault; 206 good ones remain, wherever the faults are.
FAULTS = {
    "valid-dev/sample-000043": "missing",
    "valid-train/sample-000116": "not_audio",
    "valid-test/sample-000039": "truncated",
    "valid-train/sample-000038": "damaged",
    "valid-train/sample-000285": "checksum",
    "valid-train/sample-000216": "empty",
    "valid-test/sample-000025": "too_short",
}
# What is unusual about a clip, and yet fine. These have to name age and gender, too.
UNUSUAL = {
    "valid-train/sample-000011": "stereo 44100",
    "valid-train/sample-000040": "mono 22050",
    "valid-dev/sample-000011": "mono 16000",
    "valid-test/sample-000002": "large tag",
    "valid-train/sample-000117": "info frame",
}

# How a speaker of that age speaks: pitch (0 to 99), words in a minute. `fourties` is Common Voice's spelling.
MANNER = {
    "teens": (66, 190),
    "twenties": (54, 182),
    "thirties": (48, 178),
    "fourties": (44, 174),
    "fifties": (40, 168),
    "sixties": (36, 160),
    "seventies": (31, 150),
    "eighties": (27, 142),
}
# Rows that name both gender and age, in MANNER's order: three men to a woman, as in the real tables (55,029 to
# 18,249 in cv-valid-train), and strata of a single clip. 206 good ones and one for each fault.
PEOPLE = {
    "male": (15, 52, 39, 23, 15, 7, 4, 1),
    "female": (5, 13, 12, 8, 9, 3, 1, 0),
    "other": (1, 3, 1, 0, 0, 0, 1, 0),
}
# Their accents; `southatlandtic` is Common Voice's spelling, too.
ACCENTS = {
    "us": 92,
    "england": 44,
    "": 28,
    "australia": 13,
    "indian": 12,
    "canada": 10,
    "scotland": 4,
    "african": 3,
    "newzealand": 2,
    "ireland": 2,
    "southatlandtic": 2,
    "wales": 1,
}
# The other rows, as (gender, age): most name neither (62 % of the real ones, just over half here).
ANONYMOUS = {("", ""): 230, ("male", ""): 2, ("", "twenties"): 1, ("", "fifties"): 1}
INVALID = {("", ""): 8, ("male", "thirties"): 2, ("male", "teens"): 1, ("female", "fifties"): 1}

TABLES = {"valid-train": 337, "valid-dev": 55, "valid-test": 55}
VOTES = {(1, 0): 42, (2, 0): 21, (3, 0): 19, (2, 1): 5, (4, 0): 5, (5, 0): 3, (3, 1): 2}  # up, down
INVALID_VOTES = {(0, 1): 47, (0, 2): 14, (1, 2): 12, (0, 3): 11, (1, 3): 3}

# espeak-ng knows these kinds of English; an accent that it doesn't know gets one of the nearest.
VOICES = {
    "us": ("en-us",),
    "england": ("en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd"),
    "": ("en-us", "en-us-nyc", "en-gb"),
    "australia": ("en-gb-x-gbcwmd",),
    "indian": ("en-gb-x-rp",),
    "canada": ("en-us",),
    "scotland": ("en-gb-scotland",),
    "african": ("en-gb",),
    "newzealand": ("en-gb-x-rp",),
    "ireland": ("en-gb-scotland",),
    "southatlandtic": ("en-029",),
    "wales": ("en-gb-x-gbclan",),
}
VARIANTS = {
    "male": ("m1", "m2", "m3", "m4", "m5", "m6", "m7"),
    "female": ("f1", "f2", "f3", "f4", "f5"),
    "other": ("m2", "m7", "f2", "f5"),
}

MP3_RATE = 48000  # Hz
DATE = (2017, 11, 29, 0, 0, 0)
HEADER = "filename,text,up_votes,down_votes,age,gender,accent,duration"

README = """\
A demo snapshot in the layout of Common Voice v1 (English)

The speech is synthetic: espeak-ng speaks short sentences in several voices. No person was recorded.
The tables have the columns, the vocabulary and the habits of the real ones, and some clips are faulty on purpose.

cv-valid-train, cv-valid-dev, cv-valid-test   clips with more votes for them than against them
cv-invalid                                    clips with more votes against them than for them

Each table has the columns filename, text, up_votes, down_votes, age, gender, accent and duration (always empty).
"""
LICENSE = """\
To the extent possible under law, the makers of this archive waive all copyright and related rights to it:
CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/legalcode
"""
SIGN_IN = b"""\
<!DOCTYPE html>
<html><head><title>Sign in</title></head>
<body><h1>Sign in to continue</h1><p>Your session has expired.</p></body></html>
"""

SENTENCES = """
the kettle is already singing
nobody had watered the plants all summer
she keeps her letters in a biscuit tin
we missed the last bus home again
the old bridge hums when the wind blows
he never learned to whistle properly
my sister paints doors for a living
there is sand in every pocket i own
the lighthouse was dark for the first time
they sold the piano to a neighbour
the river had forgotten its own name
i could smell rain before it came
a grey cat sleeps on the warm engine
the baker opens long before the sun
your coat is hanging in the wrong room
we counted nine geese on the frozen pond
the teacher drew a perfect circle by hand
he reads the map as if it lied
it takes two people to fold this sheet
the clock in the hall runs backwards
somebody left a ladder against the moon
the soup tastes better on the second day
her bicycle had only one good brake
don't lean on the wet paint
the train stood still between two fields
he says the mountain grows every year
we buried the box under the apple tree
the radio speaks to an empty kitchen
she can't remember where the key was
most of the stars are hidden tonight
the boy traded his marbles for a compass
nothing grows on the north side
the ferry leaves when the captain wakes
i've never seen so many umbrellas
the judge laughed and closed the book
it was too quiet for a market day
the paper boat sank without a sound
he builds chairs that nobody dares to use
they are waiting for a colder winter
the violin needs a new string
we ate plums straight from the branch
a red balloon crossed the empty square
the doctor asked him to count to ten
she writes with her left hand now
the well has been dry since march
that's not how my grandmother told it
the snow covered our tracks within minutes
you have to knock three times
the painter mixed a green without a name
our dog is afraid of the broom
the road ends at a wooden gate
he measured the room with his shoes
two strangers shared one small table
the mirror hangs a little too high
they named the ship after a storm
i would rather walk than wait
the museum keeps its best things downstairs
one candle is enough for this room
the farmer talks to his tractor
she folded the note and said nothing
the tide comes in faster than you think
we found a coin from another century
his answer was shorter than the question
the window won't close in summer
the last page was missing
it rained on the parade
bring me the blue cup
who painted this wall
the milk has turned
he lost his gloves
turn left here
close the gate
the bread is warm
she sings at night
we are nearly there
keep the change
watch your step
that's my chair
it isn't far
the fire went out
dogs don't lie
good morning captain
lift it slowly
i heard a bell
the door was open
birds fly south
he didn't ask
try the other key
snow fell early
they came by boat
nobody knows why
the soup is cold
hold the ladder
read it aloud
leave it outside
the lamp flickered
we need more rope
come back soon
the moon is up
it's your turn
pass the salt
she knew better
the ice is thin
my watch stopped
tell me again
the bus is late
wake the others
mind the cat
he owes me money
ask the baker
stay with us
the ink is dry
bees like clover
wait for me
the horse is lame
a penny each
that was yesterday
don't be late
the rope held
i can't swim
sit by the stove
the wind turned
we won't tell
cut the string
""".strip().splitlines()
LONG = [text for text in SENTENCES if len(text.split()) >= 4]
SHORT = [text for text in SENTENCES if len(text.split()) <= 4]  # for rows that the default sample leaves out


@dataclass(frozen=True)
class Row:
    """One line of a table, and a clip; a missing value is an empty string."""

    table: str
    number: int
    text: str
    gender: str
    age: str
    accent: str
    votes: tuple[int, int]  # up, down

    @property
    def clip_id(self) -> str:
        """Table and stem, as the pipeline names clips."""
        return f"{self.table}/sample-{self.number:06}"

    @property
    def member(self) -> str:
        """Name in the archive, with the folder twice."""
        return f"cv-{self.table}/cv-{self.clip_id}.mp3"

    @property
    def line(self) -> str:
        """The row as a table spells it: the folder once, no quotes, an empty duration."""
        up, down = self.votes
        return f"cv-{self.clip_id}.mp3,{self.text},{up},{down},{self.age},{self.gender},{self.accent},"


# Choices are hashes, because what Python's random module draws may differ between its versions.


def number(*key: object) -> int:
    """Return a number of 64 bits that depends on nothing but `key`."""
    return int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8], "big")


def pick(choices: Iterable[T], *key: object) -> T:
    """Return one of `choices`."""
    several = list(choices)
    return several[number(*key) % len(several)]


def shuffled(counts: Mapping[T, int], *key: object) -> list[T]:
    """Return every item as many times as `counts` says, in an order that depends on `key`."""
    items = [(item, copy) for item, count in counts.items() for copy in range(count)]
    return [item for item, copy in sorted(items, key=lambda each: number(*key, *each))]


def deal(texts: Iterable[str], count: int, *key: object) -> list[str]:
    """Return `count` of `texts`, each once before any comes again."""
    deck = dict.fromkeys(texts, 1)
    rounds = range(-(-count // len(deck)))
    return [text for turn in rounds for text in shuffled(deck, *key, turn)][:count]


# The tables.


def all_rows() -> list[Row]:
    """Return the rows of every table."""
    counts = {(gender, age): n for gender in PEOPLE for age, n in zip(MANNER, PEOPLE[gender], strict=True)}
    who = shuffled(counts, "who") + shuffled(ANONYMOUS, "who")
    named, anonymous = sum(counts.values()), sum(ANONYMOUS.values())
    accents = shuffled(ACCENTS, "accent") + [""] * anonymous
    texts = deal(LONG, named, "text") + deal(SHORT, anonymous, "text")
    clips = shuffled(Counter(zip(texts, who, accents, strict=True)), "place")
    places = [(table, place) for table, count in TABLES.items() for place in range(count)]
    return [
        Row(table, place, text, gender, age, accent, pick(weighted(VOTES), "votes", table, place))
        for (table, place), (text, (gender, age), accent) in zip(places, clips, strict=True)
    ] + invalid_rows()


def invalid_rows() -> list[Row]:
    """Return the rows of cv-invalid."""
    who = shuffled(INVALID, "who")
    return [
        Row("invalid", place, text, gender, age, "", pick(weighted(INVALID_VOTES), "votes", "invalid", place))
        for place, (text, (gender, age)) in enumerate(zip(deal(SHORT, len(who), "invalid"), who, strict=True))
    ]


def weighted(weights: Mapping[T, int]) -> list[T]:
    """Return each item as many times as it weighs."""
    return [item for item, weight in weights.items() for _ in range(weight)]


def table_of(rows: Iterable[Row]) -> bytes:
    """Return rows as a CSV file in the real tables' dialect."""
    return "".join(f"{line}\n" for line in [HEADER, *(row.line for row in rows)]).encode()


# The speech.


def speak(text: str, voice: str, pitch: int, words_per_minute: int) -> Waveform:
    """Return espeak-ng's speech without the silence around it, mono at 22,050 Hz, RMS at -20 dBFS or a bit below."""
    command = ["espeak-ng", "--stdout", "-v", voice, "-p", str(pitch), "-s", str(words_per_minute), text]
    wav = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    samples = np.frombuffer(wav[44:], "<i2").astype(np.int64)  # 44 bytes of header; its length field is a dummy
    loud = np.flatnonzero(np.abs(samples) > 300)
    margin = 1200  # samples, 54 ms
    samples = samples[max(loud[0] - margin, 0) : loud[-1] + margin]
    # Whole numbers, so that the sum is the same whichever way it is added up.
    rms = math.sqrt(int(np.sum(samples**2)) / len(samples))
    return samples.astype(np.float64) * min(0.1 / rms, 0.89 / int(np.abs(samples).max()))


def speech_of(row: Row) -> Waveform:
    """Return a row's sentence, spoken by a voice that suits what the row says of the speaker."""
    gender = row.gender or pick(VARIANTS, "gender", row.clip_id)
    age = row.age or pick(("twenties", "thirties", "fourties"), "age", row.clip_id)
    voice = pick(VOICES[row.accent], "voice", row.clip_id)
    variant = pick(VARIANTS[gender], "variant", row.clip_id)
    pitch, pace = MANNER[age]
    pitch += number("pitch", row.clip_id) % 13 - 6
    pace += number("pace", row.clip_id) % 17 - 8
    if row.text in SHORT:
        pace += 12  # for the archive's size
    return speak(row.text, f"{voice}+{variant}", pitch, pace)


# The MP3s.


def encode(speech: Waveform, rate: int, channels: int = 1) -> list[bytes]:
    """Return speech as MP3 frames, the LAME encoder's constant bit rate: 64 kbit/s, below 32 kHz 24 kbit/s.

    Parameters
    ----------
    speech
        Mono at 22,050 Hz.
    rate
        Sample rate of the MP3, in Hz.
    channels
        1, or 2 for stereo with the same speech in both, the right one quieter.
    """
    waveform = soxr.resample(speech, 22050, rate, quality="HQ")
    if channels == 2:
        waveform = np.stack([waveform, waveform / 2], axis=1)
    file = io.BytesIO()
    constant = {"compression_level": 0.8889, "bitrate_mode": "CONSTANT"}
    with sf.SoundFile(file, "w", rate, channels, format="MP3", subtype="MPEG_LAYER_III", **constant) as mp3:
        mp3.write(waveform)
    return frames_of(file.getvalue())


def frames_of(mp3: bytes) -> list[bytes]:
    """Split a whole layer III stream into its frames (ISO/IEC 11172-3, 2.4.1.3; 13818-3, 2.4.2.3).

    Raises
    ------
    ValueError
        If a frame does not begin or end where it should.
    """
    frames = []
    while mp3:
        if mp3[0] != 0xFF or mp3[1] not in (0xFB, 0xF3):
            raise ValueError(f"not a layer III header: {mp3[:4].hex()}")
        mpeg1 = mp3[1] == 0xFB
        kbits = ((8, 32), (16, 40), (24, 48), (32, 56), (40, 64))[(mp3[2] >> 4) - 1][mpeg1]
        rate = (44100, 48000, 32000)[mp3[2] >> 2 & 3] // (1 if mpeg1 else 2)
        size = (144 if mpeg1 else 72) * kbits * 1000 // rate + (mp3[2] >> 1 & 1)
        if len(mp3) < size:
            raise ValueError("the last frame is cut")
        frames.append(mp3[:size])
        mp3 = mp3[size:]
    return frames


def without_info(frames: list[bytes]) -> list[bytes]:
    """Drop the frame that LAME puts first to describe the others: the real clips have none."""
    return frames[1:] if b"Info" in frames[0][:40] else frames


def tag(*extra: bytes) -> bytes:
    """Return an ID3v2.4 tag like the real clips' (33 bytes: who encoded it), with `extra` frames if given."""
    body = b"".join([id3_frame(b"TSSE", b"\x03espeak 1.51\x00"), *extra])
    return b"ID3\x04\x00\x00" + syncsafe(len(body)) + body


def id3_frame(name: bytes, body: bytes) -> bytes:
    """Return a frame of an ID3v2.4 tag (id3v2.4.0-structure, 4)."""
    return name + syncsafe(len(body)) + b"\x00\x00" + body


def syncsafe(size: int) -> bytes:
    """Return a size in four bytes of seven bits (id3v2.4.0-structure, 6.2)."""
    return bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))


def picture() -> bytes:
    """Return a cover picture as an ID3 frame: a BMP of 80 × 80 pixels, 19 kB. Its white looks like MPEG sync."""
    side = 80
    pixels = np.full((side, side, 3), 255, dtype=np.uint8)
    pixels[20:60, 20:60] = (40, 90, 200)
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + pixels.nbytes, 0, 54, 40, side, side, 1, 24, *[0] * 6)
    return id3_frame(b"APIC", b"\x00image/bmp\x00\x03\x00" + header + pixels.tobytes())


def good_clip(row: Row, speech: Waveform) -> bytes:
    """Return a whole MP3, like the real ones unless `UNUSUAL` names it."""
    unusual = UNUSUAL.get(row.clip_id)
    if unusual is None:
        return tag() + b"".join(without_info(encode(speech, MP3_RATE)))
    make: dict[str, Callable[[], bytes]] = {
        "stereo 44100": lambda: tag() + b"".join(without_info(encode(speech, 44100, channels=2))),
        "mono 22050": lambda: tag() + b"".join(without_info(encode(speech, 22050))),
        "mono 16000": lambda: tag() + b"".join(without_info(encode(speech, 16000))),
        "large tag": lambda: tag(picture()) + b"".join(without_info(encode(speech, MP3_RATE))),
        "info frame": lambda: tag() + b"".join(encode(speech, MP3_RATE)),
    }
    return make[unusual]()


# The faults.


def faulty_clip(fault: str, row: Row, speech: Waveform) -> bytes | None:
    """Return what the archive holds in the place of a clip; None if it holds nothing.

    A wrong checksum is not the clip's but the archive's: see `corrupt`.
    """
    frames = without_info(encode(speech, MP3_RATE))
    cut = len(frames) * 4 // 5
    make: dict[str, Callable[[], bytes | None]] = {
        "empty": lambda: b"",
        "not_audio": lambda: SIGN_IN,
        "truncated": lambda: tag() + b"".join(frames[:cut]) + frames[cut][:100],
        "damaged": lambda: tag() + hole(b"".join(frames), len(frames[0]) * (len(frames) // 2) + 60, row),
        "missing": lambda: None,
        "checksum": lambda: tag() + b"".join(frames),
        "too_short": lambda: tag() + b"".join(frames[:8]),  # 0.192 s
    }
    return make[fault]()


def hole(frames: bytes, start: int, row: Row) -> bytes:
    """Put 700 bytes of garbage in the place of as many; 255, with which a header begins, is not among them."""
    garbage = bytes(number("garbage", row.clip_id, place) % 255 for place in range(700))
    return frames[:start] + garbage + frames[start + len(garbage) :]


def corrupt(archive: bytes, member: str) -> bytes:
    """Flip eight bytes in the middle of a stored member, so that its CRC-32 is wrong."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        info = opened.getinfo(member)
    local_header = 30 + len(member)  # APPNOTE.TXT 4.3.7; `zip_of` writes no extra field
    middle = info.header_offset + local_header + info.file_size // 2
    flipped = bytes(byte ^ 0xFF for byte in archive[middle : middle + 8])
    return archive[:middle] + flipped + archive[middle + 8 :]


# The archive.


def clip_of(row: Row) -> bytes | None:
    """Return what the archive holds for a row; None if nothing."""
    speech = speech_of(row)
    fault = FAULTS.get(row.clip_id)
    return good_clip(row, speech) if fault is None else faulty_clip(fault, row, speech)


def check_places(rows: Iterable[Row]) -> None:
    """Refuse faults and peculiarities of clips that do not exist or are not eligible, or have one of each.

    Raises
    ------
    ValueError
        With all clip ids that cannot have one.
    """
    eligible = {row.clip_id for row in rows if row.table in TABLES and row.age and row.gender}
    faulty, unusual = set(FAULTS), set(UNUSUAL)
    wrong = sorted((faulty | unusual) - eligible | faulty & unusual)
    if wrong:
        raise ValueError(f"FAULTS or UNUSUAL names clips that cannot have one: {', '.join(wrong)}")


def zip_of(members: Mapping[str, bytes]) -> bytes:
    """Return a zip of stored members in the order of their names, all of one date.

    Stored, because what deflate gives depends on the version of zlib.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, DATE)
            info.create_system = 3  # Unix, on whatever system this runs
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return file.getvalue()


def snapshot() -> bytes:
    """Return the whole archive."""
    rows = all_rows()
    check_places(rows)
    with ThreadPoolExecutor() as pool:
        clips = zip(rows, pool.map(clip_of, rows), strict=True)
        members = {row.member: clip for row, clip in clips if clip is not None}
    for table in (*TABLES, "invalid"):
        members[f"cv-{table}.csv"] = table_of(row for row in rows if row.table == table)
    archive = zip_of({**members, "README.txt": README.encode(), "LICENSE.txt": LICENSE.encode()})
    for row in rows:
        if FAULTS.get(row.clip_id) == "checksum":
            archive = corrupt(archive, row.member)
    return archive


def instruments() -> dict[str, str]:
    """Return what decides about the bytes on this machine, to compare with `MADE_WITH`.

    Raises
    ------
    FileNotFoundError
        If there is no espeak-ng.
    """
    version = subprocess.run(["espeak-ng", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    voice = speak("the rope held", "en-gb-scotland+f2", 50, 175)
    return {
        "espeak-ng": version.split()[3],
        "espeak-ng's voice": hashlib.sha256(voice.tobytes()).hexdigest()[:16],
        "libsndfile": sf.__libsndfile_version__,
        "python-soxr": soxr.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }


def main() -> None:
    """Write the archive; a temporary sibling first, so that a half one never has its name."""
    parser = argparse.ArgumentParser(description="Make the demo snapshot.")
    parser.add_argument("--to", type=Path, default=HERE / "common-voice-demo.zip", help="default: %(default)s")
    target: Path = parser.parse_args().to
    for name, found in instruments().items():
        if found != MADE_WITH[name]:
            print(f"{name} is {found}, not {MADE_WITH[name]}: expect other bytes", file=sys.stderr)
    archive = snapshot()
    temporary = target.with_name(f"{target.name}.part")
    temporary.write_bytes(archive)
    temporary.replace(target)
    print(f"{target}: {len(archive):,} bytes, sha256 {hashlib.sha256(archive).hexdigest()}")


if __name__ == "__main__":
    main()
