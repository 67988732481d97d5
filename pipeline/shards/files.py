"""The files in the rows of a shard, by their paths.

Rows may share a file, as pieces of one recording do: then the first row has its bytes, and the others have null. So a
shard holds every file that its rows need, once.
"""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from pipeline.shards.recipe import binary_values
from pipeline.shards.sealed import Shard


class Files:
    """The files of a shard with a column of `pipeline.core.schema.AUDIO_FILE`, read on demand."""

    def __init__(self, shard: Shard[Any]) -> None:
        self._shard = shard
        self._group_of: dict[str, int] = {}  # the row group that has a file's bytes
        for group in shard.groups:
            for path in pc.struct_field(shard.read(group, ["audio.path"])["audio"], "path").to_pylist():
                self._group_of.setdefault(path, group)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises KeyError if no row has it, and ShardError if it cannot be read, or is damaged.
        """
        files = self._shard.read(self._group_of[path], ["audio"])["audio"].combine_chunks()
        place = files.field("path").index(path).as_py()
        return bytes(next(binary_values(files.field("bytes").slice(place))))
