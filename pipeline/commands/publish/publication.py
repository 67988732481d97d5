"""publish: make a folder that is ready to upload, all of it or nothing, and say the command that uploads it."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.commands.export import FolderInUse, FolderUnusable
from pipeline.commands.publish import croissant, huggingface, kaggle
from pipeline.commands.publish.columns import feature_columns, waveform_columns
from pipeline.commands.publish.croissant import Records
from pipeline.commands.publish.material import Material
from pipeline.commands.verify.recorded import SUMS, read_sums
from pipeline.core import atomic
from pipeline.core.terminal import amount

Place = Literal["huggingface", "kaggle"]

_NOT_UPLOADED = frozenset({SUMS, kaggle.METADATA})


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add where to upload it, and which folder to make."""
    parser.add_argument("--for", dest="place", choices=("huggingface", "kaggle"), required=True, help="where to")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="an empty folder, or a new one")
    parser.add_argument("--owner", type=_account, metavar="NAME", help="your name there")
    parser.add_argument("--force", action="store_true", help="replace a folder that this command made before")


def _account(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"should be the name of an account; got {text!r}")
    return text


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    with atomic.exclusive_lock("publish"):
        yield f"publish: {publish(options.place, options.to, owner=options.owner, force=options.force)}"


def publish(place: Place, folder: Path, *, owner: str | None = None, force: bool = False) -> str:
    """Make the folder for a place; return what to tell the user. With `force`, replace one that this made before.

    Raises
    ------
    RedistributionForbidden
        The snapshot may not be published again.
    FolderInUse, FolderUnusable
        There are files in the folder, or it cannot be made.
    ShardError
        The sample is not whole and consistent.
    """
    folder = folder.resolve()
    _require_free(folder, force=force)
    material = Material.load()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderUnusable(folder, error) from None
    if place == "huggingface":
        columns = material.flac_columns
        files = ("data/*.parquet", "features/*.parquet")
        repository = f"{owner or 'OWNER'}/{material.slug}"
        how = f"Upload it with: hf upload --repo-type dataset {repository} {shlex.quote(str(folder))} ."
    else:
        columns = material.waveforms[0].columns
        files = ("part-*.parquet", "features-*.parquet")
        first = f"Put your name on Kaggle in place of {kaggle.OWNER} in {kaggle.METADATA}, then upload it with:"
        how = f"{'Upload it with:' if owner else first} kaggle datasets create -p {shlex.quote(str(folder))}"
    records = [Records("clips", "A row for each clip, with its audio.", files[0], waveform_columns(columns))]
    if material.features:
        records.append(Records("features", "What was measured of each clip.", files[1], feature_columns()))
    with atomic.replacing_folder(folder) as new:
        if place == "huggingface":
            huggingface.write(new, material)
        else:
            kaggle.write(new, material, owner)
        sums = _sums(new)
        parquet = {name: ((new / name).stat().st_size, sums[name]) for name in sums if name.endswith(".parquet")}
        described = json.dumps(croissant.describe(material, records, parquet), indent=2, ensure_ascii=False) + "\n"
        (new / "croissant.json").write_bytes(described.encode())
        lines = [f"{sha256}  {name}\n" for name, sha256 in sorted(_sums(new).items())]
        (new / SUMS).write_bytes("".join(lines).encode())
        size_bytes = sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    return f"{amount(material.clips, 'clip')}, {size_bytes / 1e6:.1f} MB in {folder}\n{how}"


def _sums(folder: Path) -> dict[str, str]:
    sums = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in _NOT_UPLOADED:
            with path.open("rb") as file:
                sums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def _require_free(folder: Path, *, force: bool) -> None:
    """Raise unless the folder is new, empty, or with `force` one in which there is nothing but what this wrote."""
    try:
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
        if folder.exists():
            next(folder.iterdir(), None)
    except OSError as error:
        raise FolderUnusable(folder, error) from None
    if force and names:
        own = {path.relative_to(folder).as_posix() for path in read_sums(folder)[0]}
        names = [name for name in names if name not in own | _NOT_UPLOADED]
    if names:
        raise FolderInUse(folder, names)
