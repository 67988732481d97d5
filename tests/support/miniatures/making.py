"""What a miniature is, and what its files are made of: tones in noise, tables of lines."""

from __future__ import annotations

import io
import re
import shlex
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
from ruamel.yaml import YAML

from tests.support.project import ROOT
from tests.support.tarballs import pack

Files = dict[str, bytes]

BROKEN = b"no sound" * 100
SECONDS = 0.6


@dataclass(frozen=True)
class Miniature:
    """A small data set in the layout of a large one."""

    name: str  # of its description in configs/snapshots
    files: Callable[[], Files]
    clips: int  # how many the description finds in it
    label: str | None  # the column with what a classifier predicts
    group: str | None  # the one with what is kept apart
    text: str | None  # the one with the words that are said
    remarks: tuple[str, ...]  # what `download` says does not fit
    rejected: Mapping[str, str]  # the clips that `subsample` rejects, with the reason
    good: int  # how many clips a sample can have

    def write(self, path: Path) -> None:
        """Write it as a zip, a tar or a folder, as the name of `path` says."""
        pack(self.files(), path)

    @property
    def about(self) -> dict[str, Any]:
        """Its description, with the source of the real one."""
        about: dict[str, Any] = YAML(typ="safe").load(self._text)
        return about

    @property
    def command(self) -> str:
        """The command in the header of its description."""
        header = "\n".join(re.findall(r"^# ?(.*)", self._text, re.MULTILINE))
        [command] = re.findall("^dvc exp run .*$", re.sub(r"\\\n *", "", header), re.MULTILINE)
        return str(command)

    @property
    def settings(self) -> dict[str, Any]:
        """What that command sets in params.yaml: ``{"stratify.strata": […]}``."""
        pairs = [each.partition("=") for each in shlex.split(self.command) if "=" in each]
        return {key: YAML(typ="safe").load(value) for key, _, value in pairs}

    @property
    def _text(self) -> str:
        return (ROOT / f"configs/snapshots/{self.name}.yaml").read_text(encoding="utf-8")


MINIATURES: dict[str, Miniature] = {}


def miniature(
    name: str,
    clips: int,
    label: str | None = None,
    group: str | None = None,
    text: str | None = None,
    remarks: tuple[str, ...] = (),
    rejected: Mapping[str, str] = MappingProxyType({}),
    good: int | None = None,
) -> Callable[[Callable[[], Files]], Callable[[], Files]]:
    """Return a decorator that adds a miniature, whose files the function makes."""

    def add(files: Callable[[], Files]) -> Callable[[], Files]:
        MINIATURES[name] = Miniature(name, files, clips, label, group, text, remarks, rejected, good or clips)
        return files

    return add


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
    noise = np.random.default_rng(number).standard_normal((len(times), channels))
    return encoded(tone[:, None] + 0.02 * noise, rate, kind, subtype)


@cache
def coloured(label: int, recording: int, take: int, rate: int, subtype: str, channels: int) -> bytes:
    """Return a WAV of coloured noise: its colour is its label's a little, its recording's more, its own hardly."""
    octaves = np.geomspace(100, 8_000, 8)
    parts = ((8.0, (0, label)), (10.0, (1, recording)), (0.5, (2, take)))
    decibels = np.sum([level * np.random.default_rng(seed).standard_normal(8) for level, seed in parts], axis=0)
    noise = np.random.default_rng((3, take)).standard_normal((round(SECONDS * rate), channels))
    spectrum = np.fft.rfft(noise, axis=0)
    spectrum *= 10 ** (np.interp(np.linspace(0, rate / 2, len(spectrum)), octaves, decibels) / 20)[:, None]
    samples = np.fft.irfft(spectrum, axis=0)
    return encoded(0.5 * samples / np.abs(samples).max(), rate, subtype=subtype)


def encoded(samples: npt.NDArray[np.float64], rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """Return samples as a file, the same bytes each time."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return _with_serial(buffer.getvalue()) if kind == "OGG" else buffer.getvalue()


def _with_serial(data: bytes, serial: int = 2017) -> bytes:
    """Return an Ogg with a serial number in place of the random one that libsndfile gives it."""
    reverse = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))
    pages, at = [], 0
    while at < len(data):
        body = at + 27 + data[at + 26]
        end = body + sum(data[at + 27 : body])
        page = (
            data[at : at + 14] + serial.to_bytes(4, "little") + data[at + 18 : at + 22] + bytes(4) + data[at + 26 : end]
        )
        crc = zlib.crc32(page.translate(reverse), 0xFFFFFFFF) ^ 0xFFFFFFFF
        pages.append(page[:22] + crc.to_bytes(4, "big").translate(reverse) + page[26:])
        at = end
    return b"".join(pages)


def numbered(names: Iterable[str], make: Callable[[int], bytes]) -> Files:
    """Return a file for each name, made of its number."""
    return {name: make(number) for number, name in enumerate(names)}


def lines(*texts: str) -> bytes:
    """Return a text file."""
    return "\n".join([*texts, ""]).encode()


def words(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()
