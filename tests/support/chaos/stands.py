"""Small projects to put faults in: what a clean run makes of each is known, byte for byte."""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML

from tests.support.chaos import runs
from tests.support.data_sets import DATA_SETS
from tests.support.fake_kaggle import FakeKaggle, Fault, FileContent
from tests.support.project import DEMO, ROOT, STAGES, Project
from tests.support.tarballs import pack

SAMPLE = STAGES[:-1]  # all that makes data; the report is slower, and is judged where it is concerned
STATES: dict[str, dict[str, object]] = {  # what a run may find
    "clean": {},
    "smaller": {"subsample__clips": 6},
    "other": {"shards__clips": 5, "waveforms__encoding": "flac", "subsample__seconds": [0.5, 2.5]},
}
_MADE = ("data", "reports")


@dataclass
class Stand:
    """A project whose snapshot lies in one kind of source.

    Attributes
    ----------
    root
        Where trials take place; anything there may be broken.
    kept
        What it is restored from.
    source
        archive, folder, url, kaggle, or pieces: those of the demo, or a URL of pieces of recordings.
    seconds
        How long a clean run of all stages in `SAMPLE` takes.
    clean
        What it makes.
    """

    root: Path
    kept: Path
    source: str
    port: int
    seconds: float = 0.0
    clean: dict[str, bytes] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its snapshot."""
        return f"chaos-{self.source}"

    @property
    def archive(self) -> Path:
        """What is served."""
        return self.kept / "pieces.zip" if self.source == "pieces" else DEMO

    def restore(self, state: str = "clean") -> None:
        """Make it again as it was, with the outputs of `state`; ``none`` has none."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self.kept / "inputs", self.root, copy_function=os.link)
        if state != "none":
            shutil.copytree(self.kept / state, self.root, dirs_exist_ok=True)

    def restore_inputs(self) -> None:
        """Put back what is not made by stages."""
        for path in (self.kept / "inputs").iterdir():
            target = self.root / path.name
            remove(target)
            if path.is_dir():
                shutil.copytree(path, target, copy_function=os.link)
            else:
                os.link(path, target)

    def outputs(self) -> dict[str, bytes]:
        """Return every file that is in the folders of outputs; what is no file is there, too."""
        paths = [path for folder in _MADE for path in sorted((self.root / folder).rglob("*"))]
        return {
            str(path.relative_to(self.root)): path.read_bytes() if path.is_file() else b"no regular file"
            for path in paths
            if not path.is_dir() and path.relative_to(self.root).parts[:2] != ("data", "archive")
        }

    def only(self, outputs: Mapping[str, bytes], stages: tuple[str, ...]) -> dict[str, bytes]:
        """Return what these stages make, or leave, of outputs."""
        with_report = "report" in stages
        return {path: data for path, data in outputs.items() if with_report or not path.startswith("reports/")}

    @contextmanager
    def served(self, faults: Mapping[str, Mapping[int, Fault]] | None = None) -> Iterator[None]:
        """Have its archive served, where a server has it, in a process of its own, with faults by kind and number."""
        if self.source not in ("url", "kaggle", "pieces"):
            yield
            return
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(reading)
            try:
                fake = FakeKaggle(FileContent(self.archive), port=self.port, md5=False)
                for kind, of_kind in (faults or {}).items():
                    if kind == "always":
                        fake.always = of_kind[0]
                    else:
                        getattr(fake, kind).update(of_kind)
                with fake.serving():
                    os.write(writing, b"!")
                    time.sleep(120)
            finally:
                os._exit(1)
        os.close(writing)
        os.read(reading, 1)
        try:
            yield
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(reading)

    def environment(self) -> None:
        """Lead Kaggle's client to the server, in a fork."""
        if self.source == "kaggle":
            fake = FakeKaggle(FileContent(DEMO), port=self.port)
            home = self.root / ".home"
            home.mkdir(exist_ok=True)
            os.environ.update(fake.environment(home), NO_PROXY="", no_proxy="")
        os.environ.update(
            PIPELINE_RETRIES="2", PIPELINE_READ_TIMEOUT_SECONDS="0.3", PIPELINE_CONNECT_TIMEOUT_SECONDS="0.3"
        )

    def healthy(self, stages: tuple[str, ...] = SAMPLE) -> runs.Ended:
        """Run stages with nothing in their way, and time for a server on a busy machine."""

        def prepare() -> None:
            self.environment()
            os.environ.update(PIPELINE_READ_TIMEOUT_SECONDS="20", PIPELINE_CONNECT_TIMEOUT_SECONDS="20")

        with self.served():
            return runs.run(self.root, [[stage] for stage in stages], prepare=prepare)


def build(folder: Path, source: str, port: int) -> Stand:
    """Make a stand and all of its states."""
    stand = Stand(folder / source / "at", folder / source / "kept", source, port)
    inputs = stand.kept / "inputs"
    shutil.copytree(ROOT / "configs", inputs / "configs")
    shutil.copy(ROOT / "params.yaml", inputs)
    data_set = DATA_SETS["segments" if source == "pieces" else "demo"]
    if source == "pieces":
        pack(data_set.files(), stand.archive)
    description = {**data_set.description, "source": _source(stand, inputs)}
    YAML().dump(description, inputs / f"configs/snapshots/{stand.name}.yaml")
    Project(inputs).set(
        snapshot=stand.name,
        subsample__clips=12,
        shards__clips=4,
        subsample__max_rejected=0.5,
        **{f"stratify__{key}": value for key, value in data_set.stratify.items()},
    )
    for state, settings in STATES.items():
        stand.restore("none")
        text = (inputs / "params.yaml").read_bytes()
        (stand.root / "params.yaml").unlink()
        (stand.root / "params.yaml").write_bytes(text)
        Project(stand.root).set(**settings)
        started = time.monotonic()
        ended = stand.healthy()
        stand.seconds = time.monotonic() - started if state == "clean" else stand.seconds
        assert ended.statuses == (0,) * len(SAMPLE), ended.said
        if state == "clean":
            ended = stand.healthy(("report",))
            assert ended.status == 0, ended.said
        for made in _MADE if state == "clean" else _MADE[:1]:
            shutil.copytree(stand.root / made, stand.kept / state / made)
        if state == "clean":
            stand.clean = stand.outputs()
    return stand


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _source(stand: Stand, inputs: Path) -> dict[str, object]:
    match stand.source:
        case "archive":
            shutil.copy(DEMO, inputs / "archive.zip")
            return {"kind": "archive", "path": "archive.zip"}
        case "folder":
            with zipfile.ZipFile(DEMO) as archive:
                for name in archive.namelist():
                    path = inputs / "folder" / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    info = archive.getinfo(name)
                    with archive.open(info) as file:
                        file._expected_crc = None  # type: ignore[attr-defined]  # one member's is wrong
                        path.write_bytes(file.read())
            return {"kind": "directory", "path": "folder"}
        case "url" | "pieces":
            return {"kind": "archive", "path": f"http://127.0.0.1:{stand.port}/archive.zip"}
    return {"kind": "kaggle", "dataset": "mozillaorg/common-voice", "version": 2}
