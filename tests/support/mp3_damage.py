"""Good MP3s come in, damaged ones go out: the same ones for the same seed, on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

HUGE = bytes([127] * 4)  # 256 MB as an ID3v2 tag writes it, 2 GB as the others do


def damaged(good: Sequence[bytes], count: int = 300, seed: int = 2017) -> Iterator[tuple[str, bytes]]:
    """Yield `count` damaged files, each with the name of what was done to it; all kinds in turn."""
    for number in range(count):
        damage = DAMAGES[number % len(DAMAGES)]
        dice = random.Random(f"{seed} {number}")
        yield f"{number} {damage.__name__}", damage(dice.choice(good), dice)


def cut_end(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(1, len(data))]


def cut_begin(data: bytes, dice: random.Random) -> bytes:
    return data[dice.randrange(1, len(data)) :]


def take_out(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + data[at + dice.randint(1, 2000) :]


def put_in(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + dice.randbytes(dice.randint(1, 2000)) + data[at:]


def flip_one_bit(data: bytes, dice: random.Random) -> bytes:
    return _flip(data, dice, 1)


def flip_many_bits(data: bytes, dice: random.Random) -> bytes:
    return _flip(data, dice, dice.randint(2, 200))


def flip_in_headers(data: bytes, dice: random.Random) -> bytes:
    at = dice.choice(_syncs(data))
    begin = data[at : at + 40]
    return data[:at] + _flip(begin, dice, dice.randint(1, 3)) + data[at + len(begin) :]


def hole_of_garbage(data: bytes, dice: random.Random) -> bytes:
    return _hole(data, dice, dice.randbytes(dice.randint(10, 3000)))


def hole_of_zeros(data: bytes, dice: random.Random) -> bytes:
    return _hole(data, dice, bytes(dice.randint(10, 3000)))


def hole_of_ones(data: bytes, dice: random.Random) -> bytes:
    return _hole(data, dice, b"\xff" * dice.randint(10, 3000))


def swap_headers(data: bytes, dice: random.Random) -> bytes:
    """Put any valid-looking header in the place of one: another rate, layer, version or number of channels."""
    at = dice.choice(_syncs(data))
    return data[:at] + bytes([0xFF, dice.choice(range(0xE2, 0x100)), *dice.randbytes(2)]) + data[at + 4 :]


def swap_parts(data: bytes, dice: random.Random) -> bytes:
    first, second, third = sorted(dice.sample(range(len(data)), 3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def lying_id3_before(data: bytes, dice: random.Random) -> bytes:
    size = dice.choice([HUGE, b"\xff" * 4, dice.randbytes(4), bytes([0, 0, *dice.choices(range(128), k=2)])])
    flags = dice.choice([0, 0x10, 0x80])
    return b"ID3\x04\x00" + bytes([flags]) + size + bytes(dice.choice([0, 100, 1000])) + data


def lying_tag_behind(data: bytes, dice: random.Random) -> bytes:
    size = dice.choice([HUGE, bytes(4), dice.randbytes(4), dice.randint(32, len(data)).to_bytes(4, "little")])
    ape = (
        b"APETAGEX\xd0\x07\x00\x00" + size + b"\x01\x00\x00\x00\x00\x00\x00" + dice.choice([b"\0", b"\x80"]) + bytes(8)
    )
    lyrics = b"LYRICSBEGIN%06dLYRICS200" % dice.choice([0, 11, len(data), 999999])
    return data + dice.choice([ape, lyrics, b"ID3\x04\x00\x00" + size, b"TAG" + bytes(125)])


def lying_first_frame(data: bytes, dice: random.Random) -> bytes:
    """Announce any number of frames, delay and padding in the first frame, where it announces some."""
    at = max(data[:4096].find(b"Xing"), data[:4096].find(b"Info"))
    if at < 0:
        return _flip(data, dice, 1)
    number = dice.choice([HUGE, b"\xff" * 4, bytes(4), bytes([0, 0, 0, dice.randrange(256)])])
    trim = dice.randbytes(3)
    return dice.choice(
        [
            data[: at + 7] + dice.randbytes(1) + data[at + 8 :],
            data[: at + 8] + number + data[at + 12 :],
            data[: at + 141] + trim + data[at + 144 :],
        ]
    )


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    cut_end,
    cut_begin,
    take_out,
    put_in,
    flip_one_bit,
    flip_many_bits,
    flip_in_headers,
    hole_of_garbage,
    hole_of_zeros,
    hole_of_ones,
    swap_headers,
    swap_parts,
    lying_id3_before,
    lying_tag_behind,
    lying_first_frame,
)


def _flip(data: bytes, dice: random.Random, times: int) -> bytes:
    changed = bytearray(data)
    for _ in range(times):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _hole(data: bytes, dice: random.Random, filling: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + filling[: len(data) - at] + data[at + len(filling) :]


def _syncs(data: bytes) -> list[int]:
    """Return where a frame's header may be: wherever the first two bytes of the audio stand again."""
    first = data.find(b"\xff")
    word = data[first : first + 2]
    found = []
    at = first
    while at >= 0:
        found.append(at)
        at = data.find(word, at + 4)
    return found
