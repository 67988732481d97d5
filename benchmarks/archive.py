"""What it costs to take a sample out of a huge archive, against downloading it whole.

Run from the root: ``python benchmarks/archive.py``. A synthetic archive with the member names of the Kaggle snapshot
(380,377 clips in seven folders, stored, 13.56 GB, ZIP64) is made up while it is served on 127.0.0.1, and tables in
Markdown are written to stdout. The stages run as they do under DVC, in processes of their own.
"""

from __future__ import annotations

import os
import shutil
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package is not installed, it lies here

from pipeline.core import schema
from pipeline.snapshot.receipt import read_receipt
from tests.support.fake_kaggle import FakeKaggle

ROOT = Path(__file__).resolve().parent.parent
ROWS = {  # of the seven tables; other-train is known only roughly
    "invalid": 25_403,
    "other-dev": 3_022,
    "other-test": 2_961,
    "other-train": 145_144,
    "valid-dev": 4_076,
    "valid-test": 3_995,
    "valid-train": 195_776,
}
CLIP_BYTES = 35_600  # 13.56 GB / 380,377, about
CLIPS = (100, 1000, 5000)
LATENCY_SECONDS = 0.05
CONNECTIONS = 16
_TAG_BYTES = 128
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")


class Synthetic:
    """An archive that is made up while it is read; every clip is the same MP3 with its own name in an ID3v1 tag."""

    def __init__(self, clip: bytes, tables: dict[str, bytes]) -> None:
        self._clip, self._tables, self._names = clip, tables, list[str]()
        for table, rows in ROWS.items():
            self._names.append(f"cv-{table}.csv")
            folder = f"cv-{table}/cv-{table}"
            self._names += [f"{folder}/sample-{number:06}.mp3" for number in range(rows)]
        self._crc = zlib.crc32(clip)
        sizes = [_LOCAL.size + len(name) + self._facts(name)[1] for name in self._names]
        *self._offsets, self.directory_offset = accumulate(sizes, initial=0)
        self._end = self._directory()

    def size(self) -> int:
        """How many bytes it has."""
        return self.directory_offset + len(self._end)

    def part(self, start: int, stop: int) -> bytes:
        """Make up some of them."""
        if start >= self.directory_offset:
            return self._end[start - self.directory_offset : stop - self.directory_offset]
        first = bisect_right(self._offsets, start) - 1
        parts, at = [], self._offsets[first]
        for place in range(first, len(self._names)):
            if at >= stop:
                break
            parts.append(self._record(place))
            at += len(parts[-1])
        else:
            parts.append(self._end[: stop - self.directory_offset])
        return b"".join(parts)[start - self._offsets[first] :][: stop - start]

    def _data(self, name: str) -> bytes:
        return self._tables[name] if name in self._tables else self._clip + _tag(name)

    def _facts(self, name: str) -> tuple[int, int, int]:
        is_table = name in self._tables
        crc = zlib.crc32(self._tables[name]) if is_table else zlib.crc32(_tag(name), self._crc)
        size = len(self._tables[name]) if is_table else len(self._clip) + _TAG_BYTES
        return crc, size, size

    def _record(self, place: int) -> bytes:
        name = self._names[place]
        header = _LOCAL.pack(b"PK\3\4", 20, 0, 0, 0, 33, *self._facts(name), len(name), 0)
        return header + name.encode() + self._data(name)

    def _directory(self) -> bytes:
        """Return the central directory and the end records (APPNOTE.TXT 4.3.12 to 4.3.16)."""
        entries = bytearray()
        for name, offset in zip(self._names, self._offsets, strict=True):
            far = offset >= 0xFFFFFFFF
            extra = struct.pack("<HHQ", 1, 8, offset) if far else b""
            facts = (*self._facts(name), len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF if far else offset)
            entries += _CENTRAL.pack(b"PK\1\2", 45, 45, 0, 0, 0, 33, *facts) + name.encode() + extra
        count, size, offset = len(self._names), len(entries), self.directory_offset
        entries += struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
        entries += struct.pack("<4sIQI", b"PK\6\7", 0, offset + size, 1)
        entries += struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
        return bytes(entries)


def _tag(name: str) -> bytes:
    return b"TAG" + name.encode().ljust(_TAG_BYTES - 3, b"\0")


def long_clip() -> bytes:
    """Return an MP3 of about `CLIP_BYTES`: the frames of one of the demo's clips, several times over."""
    with zipfile.ZipFile(ROOT / "data/demo/common-voice-demo.zip") as demo:
        data = demo.read("cv-valid-test/cv-valid-test/sample-000003.mp3")
    tag = 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]) if data[:3] == b"ID3" else 0
    return data[:tag] + data[tag:] * (CLIP_BYTES // len(data[tag:]))


def table_files() -> dict[str, bytes]:
    """Return seven tables of the real lengths."""
    made = {}
    for table, rows in ROWS.items():
        lines = ["filename,text,up_votes,down_votes,age,gender,accent,duration"]
        for number in range(rows):
            told = ("twenties,male", "thirties,female", "fourties,male", "teens,other")[number % 4]
            told = told if number % 100 < 38 else ","
            lines.append(f"cv-{table}/sample-{number:06}.mp3,this is the sentence number {number % 6997},3,1,{told},,")
        made[f"cv-{table}.csv"] = ("\n".join(lines) + "\n").encode()
    return made


def prepare(root: Path, fake: FakeKaggle) -> None:
    """Make a folder to work in."""
    shutil.copytree(ROOT / "configs", root / "configs")
    path = root / "configs/snapshots/kaggle-common-voice.yaml"
    description = YAML(typ="safe").load(path)
    YAML().dump({**description, "source": {"kind": "archive", "path": fake.url}}, path)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["snapshot"] = "kaggle-common-voice"
    YAML().dump(params, root / "params.yaml")


def run(root: Path, stage: str) -> tuple[float, int]:
    """Run a stage in a process of its own; return wall seconds and the most memory, in MB."""
    begun = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    os.chdir(root)
    child = os.posix_spawn(sys.executable, [sys.executable, "-m", "pipeline", stage], environment)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{stage} failed")
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return time.perf_counter() - begun, usage.ru_maxrss // unit


def take(root: Path, clips: int) -> None:
    """Ask for so many clips, none of which is there."""
    path = root / "params.yaml"
    params = YAML(typ="safe").load(path)
    params["subsample"]["clips"] = clips
    YAML().dump(params, path)
    shutil.rmtree(root / schema.CLIPS, ignore_errors=True)


def main() -> None:
    """Print the tables."""
    content = Synthetic(long_clip(), table_files())
    fake = FakeKaggle(content, md5=False)
    with tempfile.TemporaryDirectory() as folder, fake.serving():
        root = Path(folder)
        prepare(root, fake)
        seconds, memory = run(root, "download")
        opening = len(fake.requests), fake.sent_bytes
        members = read_receipt(root / schema.RECEIPT).members
        directory = content.size() - content.directory_offset
        print(f"\nOpened {members:,} members: {seconds:.1f} s, {memory} MB of memory, {opening[0]} requests,")
        print(f"{opening[1] / 1e6:.1f} MB; the central directory has {directory / 1e6:.1f} MB.\n")
        run(root, "stratify")
        print("\n| | requests | MB | over directory, tables and clips | seconds |\n|---|---|---|---|---|")
        needed = directory + sum(map(len, table_files().values()))
        for clips in CLIPS:
            take(root, clips)
            fake.reset()
            seconds, _ = run(root, "subsample")
            requests, sent = opening[0] + len(fake.requests), opening[1] + fake.sent_bytes
            over = sent / (needed + clips * (len(long_clip()) + _TAG_BYTES)) - 1
            print(f"| {clips:,} clips | {requests:,} | {sent / 1e6:.1f} | {over:.1%} | {seconds:.1f} |", flush=True)
        print(f"| the whole archive | 1 | {content.size() / 1e6:,.1f} | | |\n")
        take(root, 1000)
        fake.latency_seconds = LATENCY_SECONDS
        fake.reset()
        seconds, _ = run(root, "subsample")
        idle, _ = run(root, "subsample")  # everything is there: what the process itself takes
        least = 1000 * LATENCY_SECONDS / CONNECTIONS
        print(
            f"1,000 clips at {LATENCY_SECONDS * 1000:.0f} ms with {CONNECTIONS} connections: {seconds - idle:.2f} s of "
            f"fetching ({seconds:.2f} s with start and end), {(seconds - idle) / least:.2f} times {least:.3f} s"
        )


if __name__ == "__main__":
    main()
