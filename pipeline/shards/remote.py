"""Folders on other file systems: an object store by its URL through fsspec, or any file system that the caller passes.

Reads are ranges without prefetch: opening a shard costs its footer, and a row group costs one request.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs

from pipeline.core.errors import ShardError
from pipeline.core.object_stores import describe_error, filesystem_of

Answer = TypeVar("Answer")


def open_filesystem(folder: str, filesystem: Any = None) -> tuple[str, pyarrow.fs.FileSystem]:
    """Return a folder's path on its file system, and that as pyarrow has it.

    The folder is a URL such as ``s3://bucket/waveforms``, or a path on a file system of pyarrow or fsspec. Raises
    ShardError if the URL has credentials in it, or what its protocol needs is not installed.
    """
    if filesystem is None:
        try:
            folder, filesystem = filesystem_of(folder)
        except ValueError as error:
            raise ShardError(str(error)) from None
    if not isinstance(filesystem, pyarrow.fs.FileSystem):
        filesystem = pyarrow.fs.PyFileSystem(_Ranged(filesystem))
    return folder.rstrip("/"), filesystem


class _Ranged(pyarrow.fs.FSSpecHandler):  # type: ignore[misc]
    """A file system of fsspec that reads only the ranges requested."""

    def get_file_info_selector(self, selector: pyarrow.fs.FileSelector) -> list[pyarrow.fs.FileInfo]:
        """List a folder, in one request."""
        found = _asked(lambda: self.fs.ls(selector.base_dir, detail=True))
        return [self._create_file_info(info["name"], info) for info in found]

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Open a file for random access; where its size is not known beforehand, its library reads it."""
        size = _asked(lambda: self.fs.info(path).get("size"))
        file = _asked(lambda: self.fs.open(path, "rb")) if size is None else _Ranges(self.fs, path, size)
        return pa.PythonFile(file, mode="r")


class _Ranges(io.RawIOBase):
    """A file each read of which is one request; its size is from the folder's listing, where that is cached."""

    def __init__(self, filesystem: Any, path: str, size: int) -> None:
        self._filesystem, self._path, self._size = filesystem, path, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        stop = self._size if size < 0 else min(self._size, self._place + size)
        if stop <= self._place:
            return b""
        data: bytes = _asked(lambda: self._filesystem.cat_file(self._path, start=self._place, end=stop))
        if len(data) != stop - self._place:
            raise OSError(f"received {len(data)} bytes in place of {stop - self._place}")
        self._place = stop
        return data

    def size(self) -> int:
        return self._size


def _asked(ask: Callable[[], Answer]) -> Answer:
    """Return a store's answer; any exception of its library becomes an OSError that says what to do."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  there are many libraries, and each has exceptions of its own
        raise OSError(describe_error(error)) from None
