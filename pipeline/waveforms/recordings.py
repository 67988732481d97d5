"""The recordings that waveforms are decoded from: each file is walked once for all of its pieces."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from threading import Lock

from pipeline.audio import decode
from pipeline.audio.sound import Sound
from pipeline.audio.walk import walk
from pipeline.shards.files import Files

_MOST_BYTES = 1 << 28  # of recordings in memory, besides the last one


@dataclass(frozen=True)
class Source:
    """A file: the result of the walk, and its SHA-256."""

    sound: Sound
    sha256: str

    @classmethod
    def of(cls, file: bytes | memoryview) -> Source:
        """Walk over a file; raise `Rejected` at a fault."""
        data = bytes(file)
        return cls(walk(data), hashlib.sha256(data).hexdigest())


class Recordings:
    """The recordings of a shard, the last few in memory; threads may share it."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._held: dict[str, Source] = {}
        self._lock = Lock()

    def get(self, path: str) -> Source:
        """Return a recording; raise `Rejected` as `Source.of` does."""
        with self._lock:
            if path not in self._held:
                while sum(len(each.sound.readable) for each in self._held.values()) > _MOST_BYTES:
                    del self._held[next(iter(self._held))]
                source = Source.of(self._files.read(path))
                frames = decode.count_frames(source.sound)  # decodes the file, once, if only that can tell
                sound = replace(source.sound, frames=frames)
                if not sound.seekable and 4 * frames * sound.channels <= _MOST_BYTES:
                    sound = decode.decoded(sound)  # else each piece would be decoded from the beginning
                self._held[path] = replace(source, sound=sound)
            return self._held[path]
