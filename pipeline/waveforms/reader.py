"""Read the waveforms: open a folder of shards, get one clip, stream all, take a view.

Waveforms are float32 whatever the encoding of the shards. Opening reads footers only, nothing is ever written, and at
most one row group of audio is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs

from pipeline.core import columns, schema
from pipeline.core.columns import Column, Value
from pipeline.core.errors import GET_AGAIN, ShardError
from pipeline.shards.folder import remote_shard_paths, shard_paths
from pipeline.shards.recipe import DerivedSeal, is_made_from
from pipeline.shards.sealed import Shard, require_in_order
from pipeline.waveforms.conditions import mask_of, meets, require_columns
from pipeline.waveforms.encodings import AUDIO_NAMES, waveforms_of

if TYPE_CHECKING:
    import pandas as pd

    Mask = npt.NDArray[np.bool_] | pd.Series[bool]

_CONNECTIONS = 16  # of opening a folder elsewhere


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip of the sample. Each declared column is an attribute as well: ``clip.bird`` where a column is so called.

    Attributes
    ----------
    waveform
        float32 of shape (num_samples,), mono, in −1…1.
    sample_rate
        Of the waveform, in Hz.
    columns
        The values of the declared columns, as in the tables; None where missing.
    label, text
        The values of the columns with these roles; None where missing, or where no column has the role.
    rank
        Its place in the ranking, counted from 0.
    source_format, source_sample_rate, source_channels
        Of the file, such as ``WAV/PCM_16``, and in Hz.
    peak_dbfs, rms_dbfs
        Level relative to full scale, in dB; −inf for digital silence.
    start_seconds
        Where in its file an excerpt or a piece begins; None if the waveform is the whole file.
    """

    clip_id: str
    waveform: npt.NDArray[np.float32]
    sample_rate: int
    num_samples: int
    duration_seconds: float
    source_format: str
    source_sample_rate: int
    source_channels: int
    columns: Mapping[str, Value | None]
    label: Value | None
    text: str | None
    table: str
    split: str
    rank: int
    peak_dbfs: float
    rms_dbfs: float
    clipped_samples: int
    source_sha256: str
    start_seconds: float | None = None

    def __getattr__(self, name: str) -> Value | None:
        """Return the value of a declared column."""
        if name not in self.columns:
            raise AttributeError(f"a clip has no {name!r}; its declared columns are in clip.columns")
        return self.columns[name]


def open_waveforms(folder: str | os.PathLike[str] = schema.WAVEFORMS, *, filesystem: Any = None) -> Waveforms:
    """Open a folder of waveforms.

    Parameters
    ----------
    folder
        A folder of this machine, or a URL such as ``s3://bucket/waveforms`` (docs/remotes.md).
    filesystem
        The file system of `folder`, if not the local one: one of pyarrow or of fsspec, such as
        ``dvc.api.DVCFileSystem(url, rev="v1")``.

    Raises
    ------
    ShardError
        There are no shards, one in their middle is missing, one is damaged, they were made in different ways, or what
        has them cannot be reached.
    """
    name = os.fspath(folder)
    if filesystem is None and "://" not in name:
        return Waveforms(_Store([Shard(path, DerivedSeal) for path in shard_paths(Path(name))]))
    from pipeline.shards import remote  # noqa: PLC0415  those who read from this machine need none of it

    return Waveforms(_Store(_opened(*remote.open_filesystem(name, filesystem))))


def _opened(folder: str, filesystem: pyarrow.fs.FileSystem) -> list[Shard[DerivedSeal]]:
    """Open the shards of a folder elsewhere, several at a time: what takes its time is to wait for answers."""
    paths = remote_shard_paths(folder, filesystem)
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        return list(pool.map(lambda path: Shard(path, DerivedSeal, filesystem), paths))


class Waveforms:
    """A sequence of clips in the order of the ranking, or a view of one.

    ``clips[0]``, ``clips["valid-test/sample-000003"]``, ``for clip in clips``, ``clips[10:20]``,
    ``clips.where(bird="wren")``, ``clips.head(1000)``. Every prefix is a stratified sample by itself. Views share
    the open files and copy nothing.
    """

    def __init__(self, store: _Store, rows: npt.NDArray[np.int64] | None = None) -> None:
        self._store = store
        self._rows = np.arange(store.num_rows) if rows is None else rows

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"<Waveforms: {len(self)} clips, {self.sample_rate} Hz>"

    def __contains__(self, clip_id: object) -> bool:
        row = self._store.row_of.get(clip_id)
        return row is not None and bool(np.any(self._rows == row))

    def __iter__(self) -> Iterator[Clip]:
        """Stream the clips: row group by row group."""
        return map(self._store.clip, self._rows.tolist())

    @overload
    def __getitem__(self, key: int | np.integer[Any] | str) -> Clip: ...
    @overload
    def __getitem__(self, key: slice | Mask) -> Waveforms: ...
    def __getitem__(self, key: int | np.integer[Any] | str | slice | Mask) -> Clip | Waveforms:
        """Return the clip at a place or of an id, or a view of some places: a slice, or where a boolean array is true.

        Raises
        ------
        IndexError
            There is no such place, or a boolean array is not as long as this view.
        KeyError
            No clip of this view has this id.
        TypeError
            An array is not one of booleans.
        """
        if isinstance(key, slice):
            return Waveforms(self._store, self._rows[key])
        if isinstance(key, str):
            if key not in self:
                raise KeyError(f"{key} is not among these {len(self)} clips")
            return self._store.clip(self._store.row_of[key])
        if isinstance(key, int | np.integer):
            return self._store.clip(int(self._rows[key]))
        return Waveforms(self._store, self._rows[mask_of(key, len(self))])

    @property
    def sample_rate(self) -> int:
        """Of all waveforms, in Hz."""
        return int(self._store.seal.settings["sample_rate"])

    @property
    def declared(self) -> tuple[Column, ...]:
        """The declared columns, with name, type, roles, unit, description and documented values of each."""
        return columns.declared(self._store.columns)

    @property
    def label(self) -> str | None:
        """The name of the column with the role ``label``, or None."""
        return columns.with_role(self._store.columns, "label")

    @property
    def text(self) -> str | None:
        """The name of the column with the role ``text``, or None."""
        return columns.with_role(self._store.columns, "text")

    @property
    def about(self) -> dict[str, Any]:
        """What the first shard says of itself, such as versions, snapshot, licence and settings."""
        return asdict(self._store.seal)

    def head(self, clips: int) -> Waveforms:
        """Return a view of the first clips of the ranking: a stratified sample by itself."""
        if clips < 0:
            raise ValueError(f"head() takes a number of clips, not {clips}")
        return self[:clips]

    def where(self, **values: Any) -> Waveforms:
        """Return a view of the clips with these values.

        Parameters
        ----------
        **values
            For each column a value or a list of values, such as ``bird="wren", quality=["A", "B"]``; None
            finds those where the value is missing, alone or in a list.

        Raises
        ------
        KeyError
            There is no such column.
        TypeError
            A condition is something else, such as a function, or has another type than the column.
        ValueError
            No clip of the folder has the value, or one of the list; the message lists those there are.
        """
        frame = self._store.metadata
        require_columns(values, frame.columns.tolist())
        keep = np.ones(len(frame), dtype=bool)
        for column, value in values.items():
            keep &= meets(frame[column], value)
        return self[keep[self._rows]]

    def batches(self, clips: int) -> Iterator[Waveforms]:
        """Yield views of `clips` clips each, in order, for samples that do not fit in memory at once."""
        if clips < 1:
            raise ValueError(f"batches() takes a number of clips, 1 or more; got {clips}")
        return (self[start : start + clips] for start in range(0, len(self), clips))

    def samples(self) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the waveforms alone, as ``clip.waveform``, a little faster than whole clips."""
        return map(self._store.samples, self._rows.tolist())

    def metadata(self) -> pd.DataFrame:
        """Return all columns but the audio, a row for each clip."""
        return self._store.metadata.iloc[self._rows].reset_index(drop=True)

    def features(self) -> pd.DataFrame:
        """Return the table of features, a row for each clip, from the folder ``features`` beside the waveforms.

        Raises
        ------
        ShardError
            It is not there, or is of other waveforms than these.
        """
        return self._store.features.iloc[self._rows].reset_index(drop=True)

    def feature_table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the table of features, or some of its columns, as a pyarrow.Table; otherwise as `features`.

        Raises
        ------
        KeyError
            There is no such column.
        """
        return self._store.feature_table(columns).take(self._rows)


class _Store:
    """Open shards, and the row group that was read last."""

    def __init__(self, shards: list[Shard[DerivedSeal]]) -> None:
        self.seal = shards[0].seal
        for shard in shards:
            if shard.columns != shards[0].columns or not shard.seal.is_like(self.seal):
                raise ShardError(f"{shard.path}: was made in another way than {shards[0].path}; run: dvc repro")
        require_in_order(shards)
        self._shards = shards
        self._groups = [(shard, group) for shard in shards for group in shard.groups]
        self._starts = np.cumsum([0, *(rows for shard in shards for rows in shard.rows_of_groups)])
        self.columns = shards[0].columns
        audio = [field for field in self.columns if field.name in AUDIO_NAMES]
        if not audio:
            raise ShardError(f"{shards[0].path}: holds no audio; waveforms are in {schema.WAVEFORMS}")
        pieces = "start_seconds" in self.columns.names
        if self.columns.names != schema.waveforms_schema(audio[0], columns.fields(self.columns), pieces=pieces).names:
            raise ShardError(f"{shards[0].path}: was written by another version of the pipeline; {GET_AGAIN}")
        self._audio_name = audio[0].name
        self._declared = [column.name for column in columns.declared(self.columns)]
        self._label, self._text = (columns.with_role(self.columns, role) for role in ("label", "text"))
        self._rows: tuple[int, list[dict[str, Any]]] | None = None
        self._samples: tuple[int, list[npt.NDArray[np.float32]]] | None = None

    def __reduce__(self) -> tuple[type[_Store], tuple[list[Shard[DerivedSeal]]]]:
        """Leave out what was read: it is read again where it is needed."""
        return _Store, (self._shards,)

    @property
    def num_rows(self) -> int:
        return int(self._starts[-1])

    @cached_property
    def metadata(self) -> pd.DataFrame:
        names = [name for name in self.columns.names if name != self._audio_name]
        frame: pd.DataFrame = pa.concat_tables([shard.read_all(names) for shard in self._shards]).to_pandas()
        return frame

    @cached_property
    def features(self) -> pd.DataFrame:
        frame: pd.DataFrame = self.feature_table(None).to_pandas()
        return frame

    def feature_table(self, names: Sequence[str] | None) -> pa.Table:
        filesystem = self._shards[0].filesystem
        waveforms = PurePath(self._shards[0].path).parent
        folder = waveforms.parent / schema.FEATURES.name
        if filesystem.get_file_info(folder.as_posix()).type != pyarrow.fs.FileType.Directory:
            raise ShardError(f"{folder}: no features there; make them with: dvc repro features, or dvc pull {folder}")
        shards = _opened(folder.as_posix(), filesystem)
        pairs = zip_longest(shards, self._shards)
        if not all(made and source and is_made_from(made.seal, source.seal) for made, source in pairs):
            raise ShardError(f"{folder}: was made of other waveforms than {waveforms}; run: dvc repro features")
        require_columns(names or (), shards[0].columns.names)
        return pa.concat_tables([shard.read_all(names) for shard in shards])

    @cached_property
    def row_of(self) -> dict[Any, int]:
        ids = (clip_id for shard in self._shards for clip_id in shard.read_all(["clip_id"])["clip_id"].to_pylist())
        return {clip_id: row for row, clip_id in enumerate(ids)}

    def clip(self, row: int) -> Clip:
        group = self._group_of(row)
        if self._rows is None or self._rows[0] != group:
            self._rows = None  # before the next one is read
            shard, number = self._groups[group]
            table = shard.read(number)
            self._samples = (group, waveforms_of(table[self._audio_name].combine_chunks()))
            self._rows = (group, table.drop_columns([self._audio_name]).to_pylist())
        values = dict(self._rows[1][row - int(self._starts[group])])
        declared = {name: values.pop(name) for name in self._declared}
        label, text = (None if name is None else declared[name] for name in (self._label, self._text))
        return Clip(waveform=self.samples(row), columns=declared, label=label, text=text, **values)

    def samples(self, row: int) -> npt.NDArray[np.float32]:
        group = self._group_of(row)
        if self._samples is None or self._samples[0] != group:
            self._samples = None
            shard, number = self._groups[group]
            self._samples = (group, waveforms_of(shard.read(number, [self._audio_name])[0].combine_chunks()))
        return self._samples[1][row - int(self._starts[group])]

    def _group_of(self, row: int) -> int:
        return int(np.searchsorted(self._starts, row, side="right")) - 1
