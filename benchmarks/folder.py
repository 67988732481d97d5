"""How long `download` takes on a folder of 380,377 files, as Kaggle attaches the data set to a notebook.

Run from the root: ``python benchmarks/folder.py``. Tiny files with the member names of the Kaggle snapshot are made in
a temporary folder, the stage runs on them in a process of its own, and they are removed.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the package is not installed, it lies here

from archive import ROWS, run, table_files

from pipeline.core import schema
from pipeline.snapshot.receipt import read_receipt

ROOT = Path(__file__).resolve().parent.parent
MOST_SECONDS = 20
RUNS = 3


def make(folder: Path) -> None:
    """Make the files of the data set; a clip is one byte."""
    for table, data in table_files().items():
        name = table.removesuffix(".csv")
        clips = folder / name / name
        clips.mkdir(parents=True)
        (folder / table).write_bytes(data)
        for number in range(ROWS[name.removeprefix("cv-")]):
            (clips / f"sample-{number:06}.mp3").write_bytes(b"x")


def prepare(root: Path, folder: Path) -> None:
    """Make a folder to work in, with a description of the data set."""
    shutil.copytree(ROOT / "configs", root / "configs")
    path = root / "configs/snapshots/kaggle-common-voice.yaml"
    description = YAML(typ="safe").load(path)
    YAML().dump({**description, "source": {"kind": "directory", "path": str(folder)}}, path)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params["snapshot"] = "kaggle-common-voice"
    YAML().dump(params, root / "params.yaml")


def processor_seconds() -> float:
    """Return what the processes took that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print what it took."""
    with tempfile.TemporaryDirectory() as place:
        root, folder = Path(place) / "work", Path(place) / "data-set"
        root.mkdir()
        make(folder)
        prepare(root, folder)
        runs = [run(root, "download") for _ in range(RUNS)]
        members = read_receipt(root / schema.RECEIPT).members
    seconds, memory = sorted(runs)[RUNS // 2]
    print(f"{members:,} files: {seconds:.1f} s (at most {MOST_SECONDS} s), median of {RUNS} runs; ", end="")
    print(f"{processor_seconds() / RUNS:.1f} s of processor time, {memory} MB of memory")


if __name__ == "__main__":
    main()
