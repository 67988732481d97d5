"""Folders on other file systems: an object store by its URL through fsspec, or whatever file system the caller gives.

Reads are ranges, and nothing is read ahead: opening a shard costs its footer, and a row group costs one request.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs

from pipeline.core.errors import ShardError

Answer = TypeVar("Answer")

_SECONDS = {"connect_timeout": 10, "read_timeout": 30}  # for which a server may say nothing, and not 60 as in botocore
_RETRIES = 3
_ADVICE = (  # in the order in which they are looked for: what a store says, and what to do about it
    ("no such bucket|bucket does not exist|nosuchbucket", "there is no such bucket; correct the URL"),
    ("filenotfound", "there is no such folder; correct its name, or AWS_ENDPOINT_URL"),
    (
        "credentials|token|access key|accesskey|signature|forbidden|denied|403",
        "set credentials that may read it, such as AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    ("region|301|redirect|location constraint", "set AWS_DEFAULT_REGION to the region of the bucket"),
    ("pars|html|xml", "what answers is no object store; correct the URL or AWS_ENDPOINT_URL"),
    ("errno 121|internal server error", "try again; if that changes nothing, correct the URL or AWS_ENDPOINT_URL"),
    ("time|connect|resolve", "see whether the network works and AWS_ENDPOINT_URL is right, then try again"),
)


def located(folder: str, filesystem: Any = None) -> tuple[str, pyarrow.fs.FileSystem]:
    """Return a folder's path on its file system, and that as pyarrow has it.

    Parameters
    ----------
    folder
        A URL such as ``s3://bucket/waveforms``; a path where `filesystem` is given.
    filesystem
        Of pyarrow or of fsspec.

    Raises
    ------
    ShardError
        The URL has credentials in it, or what its protocol needs is not installed.
    """
    if filesystem is None:
        folder, filesystem = _by_url(folder)
    if not isinstance(filesystem, pyarrow.fs.FileSystem):
        filesystem = pyarrow.fs.PyFileSystem(_Ranged(filesystem))
    return folder.rstrip("/"), filesystem


def said(error: BaseException) -> str:
    """Return the first line of what an error says, and what to do about it; never a secret, or the query of a URL."""
    text = str(error).strip() or type(error).__name__
    line = re.sub(r"\?\S*", "?…", text.splitlines()[0])[:200]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        secret = os.environ.get(name)
        line = line.replace(secret, "…") if secret else line
    kind = f"{type(error).__name__} {text}".lower()
    advice = next((advice for words, advice in _ADVICE if re.search(words, kind)), "correct the URL, or try again")
    return f"{line}; {advice}"


def _by_url(url: str) -> tuple[str, Any]:
    if re.match(r"[^/]*//[^/]*@", url):
        raise ShardError("a URL with credentials in it is not opened; set them in the environment (docs/remotes.md)")
    protocol = url.partition("://")[0]
    options: dict[str, Any] = {}
    if protocol in {"s3", "s3a"}:
        options = {"config_kwargs": {**_SECONDS, "retries": {"max_attempts": 1}}}
    try:
        import fsspec  # noqa: PLC0415  only those who read from elsewhere need it

        filesystem, path = fsspec.core.url_to_fs(url, **options)
        if options:
            filesystem.retries = _RETRIES
    except ImportError as error:
        raise ShardError(
            f"{url}: what reads from {protocol}:// is not installed ({error}); "
            "for s3: pip install 'common-voice-sample[s3]', for others: docs/remotes.md"
        ) from None
    except ValueError as error:
        raise ShardError(f"{url}: cannot be opened ({error})") from None
    return str(path), filesystem


class _Ranged(pyarrow.fs.FSSpecHandler):  # type: ignore[misc]
    """A file system of fsspec, of which only what is asked for is read."""

    def get_file_info_selector(self, selector: pyarrow.fs.FileSelector) -> list[pyarrow.fs.FileInfo]:
        """List a folder, in one request."""
        found = _asked(lambda: self.fs.ls(selector.base_dir, detail=True))
        return [self._create_file_info(info["name"], info) for info in found]

    def open_input_file(self, path: str) -> pa.PythonFile:
        """Open a file for reading anywhere in it; where its size is not known before, its library reads it."""
        size = _asked(lambda: self.fs.info(path).get("size"))
        file = _asked(lambda: self.fs.open(path, "rb")) if size is None else _Ranges(self.fs, path, size)
        return pa.PythonFile(file, mode="r")


class _Ranges(io.RawIOBase):
    """A file of which each read is one request; its size is that of the folder's listing, where that is kept."""

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
    """Return what a store answers; whatever its library raises becomes an OSError that says what to do."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001  there are many libraries, and each has exceptions of its own
        raise OSError(said(error)) from None
