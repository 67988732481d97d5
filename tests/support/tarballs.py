"""Archives and folders of any files, whole or damaged, the demo's among them, and tar members of any kind."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.project import DEMO

Member = tuple[tarfile.TarInfo, bytes]


def demo_files() -> dict[str, bytes]:
    """Return the demo's files; the one that is damaged in its zip is no MP3 here, since a tar has no checksums."""
    files = {}
    with zipfile.ZipFile(DEMO) as demo:
        for info in demo.infolist():
            try:
                files[info.filename] = demo.read(info)
            except zipfile.BadZipFile:
                files[info.filename] = b"damaged"
    return files


def plain(files: Mapping[str, bytes]) -> Iterable[Member]:
    """Yield a plain member for each file."""
    for name, data in files.items():
        info = tarfile.TarInfo(name)
        info.size = len(data)
        yield info, data


def tarred(members: Iterable[Member], how: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a bare tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=how) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def pack(files: Mapping[str, bytes], path: Path) -> Path:
    """Write files as a zip, as a tar, gzipped or not, or into a folder, as the name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(zipfile.ZipInfo(name), data)
    elif path.suffix in (".tar", ".gz", ".tgz"):
        data = tarred(plain(files))
        path.write_bytes(data if path.suffix == ".tar" else gzip.compress(data, compresslevel=1))
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def flip(path: Path, at: int | None = None) -> None:
    """Change a bit of a file, which may be linked into DVC's cache: in its middle, or in a certain byte."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.unlink()
    path.write_bytes(data)
