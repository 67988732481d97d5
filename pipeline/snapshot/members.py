"""The members of a snapshot that are clips: which they are, and which one a row's path names.

Names are compared in Unicode NFC, with / between folders. Files that systems leave behind are no members.
"""

from __future__ import annotations

import difflib
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import Rejected, SnapshotError, TableError
from pipeline.snapshot.patterns import Pattern, Reading, with_lower_extension, without_extension

LARGEST_TABLE_BYTES = 1 << 30  # Kaggle's seven have 40 MB together, later releases some 500 MB at most
LEFT_BEHIND = r"(^|/)((__MACOSX|lost\+found)/|\._[^/]*$|(\.DS_Store|Thumbs\.db|desktop\.ini)$)"
_UTF8 = 1 << 11  # of a zip's flags (APPNOTE.TXT 4.4.4)
_MOST_PARTS = 500  # of a path; RE2 counts to 1000
_COMPARED = 2000  # names that are looked through for the nearest one

Numbers = npt.NDArray[np.int64]
Read = Callable[[dict[str, Any]], bytes]  # a row of schema.MEMBERS → its bytes


def comparable(names: pa.StringArray, flags: pa.Array | None = None) -> pa.StringArray:
    """Return names as they are compared: NFC, / between folders, and UTF-8 also where the flags of a zip do not say so.

    One that is not called UTF-8 was read as cp437, and macOS and others forget to call it so.
    """
    names = pc.replace_substring(names, "\\", "/")
    if pc.all(pc.string_is_ascii(names)).as_py() in (True, None):
        return names
    if flags is not None:
        is_cp437 = pc.and_(flags.is_valid(), pc.equal(pc.bit_wise_and(pc.fill_null(flags, _UTF8), _UTF8), 0))
        rows = np.flatnonzero(pc.and_not(is_cp437, pc.string_is_ascii(names)).to_numpy(zero_copy_only=False))
        if len(rows):
            texts = names.to_pylist()
            for row in rows.tolist():
                texts[row] = _as_utf8(texts[row])
            names = pa.array(texts, pa.string())
    return pc.utf8_normalize(names, form="NFC")


@dataclass(frozen=True)
class TableFile:
    """A file of a table."""

    path: str  # of a member, as it is compared; or of a file of the repository
    member: dict[str, Any] | None  # a row of schema.MEMBERS; None for a file of the repository
    fields: dict[str, str]  # what the pattern read in its path

    @property
    def name(self) -> str:
        """Its file name."""
        return PurePosixPath(self.path).name

    def read(self, read: Read) -> tuple[bytes, str]:
        """Return its bytes, and their SHA-256.

        Raises TableError if it is damaged, is not there, or has more bytes than any table.
        """
        if self.member is not None and self.member["size_bytes"] > LARGEST_TABLE_BYTES:
            problem = f"has {self.member['size_bytes']} bytes; at most {LARGEST_TABLE_BYTES >> 30} GiB are read"
            raise TableError(self.name, None, problem)
        try:
            data = Path(self.path).read_bytes() if self.member is None else read(self.member)
        except Rejected as rejected:
            raise TableError(self.name, None, f"is damaged: {rejected.detail}. Get the archive again.") from None
        except OSError as error:
            raise TableError(self.path, None, f"tables_file: {error.strerror}") from None
        return data, hashlib.sha256(data).hexdigest()


class Members:
    """The members of a snapshot, sorted by name: those that patterns call clips, and what these read, and the others.

    Paths are names as they are compared.
    """

    def __init__(self, index: pa.Table, audio: Sequence[Pattern], read: Read) -> None:
        paths = comparable(_array(index["name"]), _array(index["flags"]))
        order = pc.array_sort_indices(paths)
        order = order.filter(pc.invert(pc.match_substring_regex(paths, LEFT_BEHIND)).take(order))
        reading = first_match(audio, paths)
        is_clip = reading.matched.is_valid().take(order)
        clips, others = order.filter(is_clip), order.filter(pc.invert(is_clip))
        self.clips, self.clip_paths = index.take(clips).combine_chunks(), paths.take(clips)
        self.others, self.other_paths = index.take(others).combine_chunks(), paths.take(others)
        fields = {name: values.take(clips) for name, values in reading.fields.items()}
        self.reading = Reading(reading.matched.take(clips), fields)
        self.audio = audio
        self._read = read
        self._has_row, self._is_copy = np.zeros((2, self.clips.num_rows), bool)
        self._ends: dict[tuple[int, bool], tuple[pa.StringArray, Numbers]] = {}
        if not self.clips.num_rows:
            raise self.unmatched("audio", [pattern.text for pattern in audio])

    def table_files(self, key: str, patterns: Sequence[str] | None, file: str | None) -> list[TableFile]:
        """Return the files that patterns match, sorted by path; or the file of the repository.

        Raises SnapshotError if no member matches; `key` is what the description calls the patterns.
        """
        if file is not None:
            return [TableFile(file, None, {})]
        reading = first_match([Pattern(text) for text in patterns or ()], self.other_paths)
        matched = reading.matched.is_valid()
        if not pc.any(matched).as_py():
            raise self.unmatched(key, patterns or ())
        paths, members = self.other_paths.filter(matched).to_pylist(), self.others.filter(matched).to_pylist()
        read = pa.table(reading.filter(matched).fields).to_pylist() if reading.fields else [{}] * len(paths)
        fields = [{name: value for name, value in each.items() if value is not None} for each in read]
        return list(map(TableFile, paths, members, fields))

    def unmatched(self, key: str, patterns: Sequence[str]) -> SnapshotError:
        """Return the error for patterns that match no member; `key` is what the description calls them."""
        wanted, count = " or ".join(patterns), self.clips.num_rows + self.others.num_rows
        is_audio = key == "audio"
        paths = pa.concat_arrays([self.clip_paths, self.other_paths]) if is_audio else self.other_paths
        instead = "" if is_audio else ". A table that the archive lacks can be a file of your repository: tables_file"
        return SnapshotError(f"{key}: {wanted} matches 0 of {count:,} members; {self.nearest(wanted, paths)}{instead}")

    def find(self, paths: pa.StringArray, *, any_extension: bool) -> pa.Array:
        """Return which clip has the path that a row makes, or a path that ends with it; null where none has.

        Raises SnapshotError if two members have it, and are no copies of each other.
        """
        found = pa.nulls(len(paths), pa.int32())
        parts = pc.add(pc.count_substring(paths, "/"), 1)
        for count in parts.drop_null().unique().to_pylist():
            if count > _MOST_PARTS:
                continue
            ends, groups = self._by_end(count, any_extension)
            wanted = pc.if_else(pc.equal(parts, count), with_lower_extension(paths), None)
            here = pc.index_in(wanted, ends, skip_nulls=True)
            found = pc.coalesce(found, here)
            self.claim(np.where(np.isin(groups, groups[here.drop_null().to_numpy()]), groups, -1))
        return found

    def claim(self, groups: Numbers) -> None:
        """Say which clips a row or an id stands for: all clips of one number are one, and have to be copies.

        Raises SnapshotError if they are not the same bytes.
        """
        claimed = np.flatnonzero(groups >= 0)
        order = claimed[np.argsort(groups[claimed], kind="stable")]
        again = np.flatnonzero(np.diff(groups[order]) == 0)
        one, other = order[again], order[again + 1]
        size, crc = (pc.fill_null(self.clips[name], -1).to_numpy() for name in ("size_bytes", "crc32"))
        same = (size[one] == size[other]) & (crc[one] == crc[other])
        for at in np.flatnonzero(~same | (crc[one] < 0)).tolist():
            first, second = self.clips.take(pa.array([one[at], other[at]])).to_pylist()
            if not same[at] or self._read(first) != self._read(second):  # a folder has no checksums
                raise SnapshotError(
                    f"two members are one clip, and differ: {first['name']} and {second['name']}. "
                    "A pattern with / in front is compared with the whole path"
                )
        self._has_row[claimed] = True
        self._is_copy[other] = True

    @property
    def without_row(self) -> int:
        """How many clips no row has named."""
        return int((~self._has_row).sum())

    @property
    def copies(self) -> int:
        """How many clips are copies of another that stands for them."""
        return int(self._is_copy.sum())

    def nearest(self, wanted: str, paths: pa.StringArray) -> str:
        """Say which of `paths` is the nearest to one that is not there."""
        if not len(paths):
            return "there is none"
        file = wanted.rpartition("/")[2].lower()
        same = pc.equal(pc.utf8_lower(pc.replace_substring_regex(paths, ".*/", "")), file)
        likely = paths.filter(same) if pc.any(same).as_py() else paths
        names = likely.take(pa.array(np.arange(0, len(likely), 1 + len(likely) // _COMPARED))).to_pylist()
        [name] = difflib.get_close_matches(wanted, names, n=1, cutoff=0.0)
        return f"the nearest is {name}"

    def _by_end(self, parts: int, any_extension: bool) -> tuple[pa.StringArray, Numbers]:
        """Return the last parts of each clip's path, and a number for each that is the same where they are."""
        key = parts, any_extension
        if key not in self._ends:
            end = pc.extract_regex(self.clip_paths, f"(?:^|/)(?P<end>(?:[^/]*/){{{parts - 1}}}[^/]*)$").flatten()[0]
            end = (
                pc.binary_join_element_wise(without_extension(end), ".*", "")
                if any_extension
                else with_lower_extension(end)
            )
            self._ends[key] = end, pc.fill_null(end.dictionary_encode().indices, -1).to_numpy().astype(np.int64)
        return self._ends[key]


def first_match(patterns: Iterable[Pattern], paths: pa.StringArray, last: int | None = None) -> Reading:
    """Read paths by several patterns; the first that matches a path counts."""
    reading = Reading(pa.nulls(len(paths), pa.string()), {})
    for pattern in patterns:
        left = reading.matched.is_null()
        reading = reading.filled(left, pattern.read(paths.filter(left), last))
    return reading


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _as_utf8(name: str) -> str:
    try:
        return unicodedata.normalize("NFC", name.encode("cp437").decode())
    except UnicodeError:
        return name
