"""Digests of shards that lie there, begun while a stage still imports its libraries: hashing needs no interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from pipeline.shards.footer import Footer, require_regular

_begun: dict[Path | str, Future[str]] = {}


@contextmanager
def begun(folders: tuple[str, ...]) -> Iterator[None]:
    """Hash the shards of these folders, one after the other, in a thread that ends with the context."""
    pool = ThreadPoolExecutor(1)
    try:
        for folder in folders:
            for path in sorted(Path(folder).glob("part-*.parquet")):
                _begun[path] = pool.submit(_content_sha256, path)
        yield
    finally:
        _begun.clear()
        pool.shutdown(cancel_futures=True)


def begin_no_more() -> None:
    """Leave those whose turn has not come to who needs them: by now it is known which these are."""
    for digest in _begun.values():
        digest.cancel()


def taken(path: Path | str) -> str | None:
    """Return the digest of a shard, once, if its turn has come: another shard may be in its place afterwards.

    Raises OSError or ValueError where it could not be read.
    """
    digest = _begun.pop(path, None)
    return None if digest is None or digest.cancel() else digest.result()


def _content_sha256(path: Path) -> str:
    require_regular(path)
    with path.open("rb") as file:
        return Footer.read(file).content_sha256(file)
