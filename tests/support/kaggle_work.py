"""Folders to work in beside a fake Kaggle: fixtures, which tests/snapshot/remote/conftest.py imports, and helpers."""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.__main__ import main
from pipeline.core import schema
from pipeline.core.params import Runtime
from pipeline.snapshot.remote import kaggle
from pipeline.snapshot.remote.retries import pause_seconds
from tests.support.fake_kaggle import API, SECRET, STORAGE, Bytes, FakeKaggle, FileContent
from tests.support.project import ROOT, Project

TABLES = 7
CLIPS = 40
OPENED = 1 + TABLES  # requests of `download`: the end of the archive holds its index
ALL = OPENED + 1 + CLIPS  # `subsample` asks once whether it is still the same archive
TOKEN = "SECRETTOKEN"
QUICK = {"retries": 3, "connect_timeout_seconds": 2, "read_timeout_seconds": 0.5}
STAGES = ("download", "stratify", "subsample")
DESCRIPTION = "configs/snapshots/kaggle-common-voice.yaml"


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's good clips in an archive with all seven tables, half of its members deflated."""
    path = tmp_path_factory.mktemp("archive") / "archive.zip"
    demo = zipfile.ZipFile(ROOT / "data/demo/common-voice-demo.zip")
    rows = demo.read("cv-valid-train.csv").decode().splitlines()
    good = [row for row in rows[1:] if row.split(",")[4] and row.split(",")[5] and _is_good(demo, row.split(",")[0])]
    with demo, zipfile.ZipFile(path, "w") as made:
        for number, row in enumerate(good):
            name = row.split(",")[0]
            how = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
            made.writestr(f"cv-valid-train/{name}", demo.read(f"cv-valid-train/{name}"), how)
        for table in ("valid-dev", "valid-test", "other-train", "other-dev", "other-test", "invalid"):
            made.writestr(f"cv-{table}.csv", rows[0] + "\n", zipfile.ZIP_DEFLATED)
        made.writestr("cv-valid-train.csv", "\n".join([rows[0], *good]) + "\n", zipfile.ZIP_DEFLATED)
    return path


def _is_good(demo: zipfile.ZipFile, name: str) -> bool:
    try:
        return len(demo.read(f"cv-valid-train/{name}")) > 3000
    except (KeyError, zipfile.BadZipFile):
        return False


@dataclass
class Work:
    """A folder to work in, with what the stages read."""

    root: Path
    fake: FakeKaggle

    def set(self, **values: Any) -> None:
        """Set keys of params.yaml, such as ``subsample__clips=60``."""
        Project(self.root).set(**values)

    def use(self, source: Mapping[str, Any], **keys: Any) -> None:
        """Describe the snapshot with another source."""
        Project(self.root).edit(DESCRIPTION, source=source, **keys)

    def run(self, *stages: str, arguments: tuple[str, ...] = ()) -> int:
        """Run stages until one fails; return its exit status."""
        return next((status for stage in stages or STAGES if (status := main([stage, *arguments]))), 0)

    def outputs(self) -> dict[str, bytes]:
        """Return what the stages made of the clips, which no receipt is part of."""
        paths = [schema.REJECTED, schema.SAMPLE, schema.RANKING, *sorted(schema.CLIPS.glob("*"))]
        return {str(path): path.read_bytes() for path in paths if path.exists()}

    def left_behind(self) -> Iterator[bytes]:
        """Yield all files that a run left."""
        yield from (path.read_bytes() for path in self.root.rglob("*") if path.is_file())


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKaggle]:
    """A server of some bytes, which is asked without a proxy."""
    without_settings(monkeypatch)
    with FakeKaggle(Bytes(bytes(number * 7 % 251 for number in range(200_000)))).serving() as fake:
        yield fake


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no retry wait; return how long each would have waited."""
    asked: list[float] = []

    def immediately(failures: int, retry_after: float | None) -> float:
        asked.append(pause_seconds(failures, retry_after))
        return 0.0

    monkeypatch.setattr("pipeline.snapshot.remote.retries.pause_seconds", immediately)
    return asked


def prepare(
    root: Path, monkeypatch: pytest.MonkeyPatch, source: dict[str, Any] | None = None, clips: int = CLIPS
) -> None:
    """Make a folder to work in, where Kaggle's snapshot is asked for, or another `source`."""
    shutil.copytree(ROOT / "configs", root / "configs")
    shutil.copy(ROOT / "params.yaml", root)
    project = Project(root)
    project.set(
        snapshot="kaggle-common-voice", stratify__tables=["valid-train"], subsample__clips=clips, shards__clips=16
    )
    project.edit("configs/runtime.yaml", **QUICK)
    if source is not None:
        project.edit(DESCRIPTION, source=source)
    monkeypatch.chdir(root)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home without credentials; the client looks at these variables when it is imported, so it is imported here."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        without_settings(patch)
        for name, value in FakeKaggle(FileContent(home)).environment(home).items():
            patch.setenv(name, value)
        kaggle.import_client(Runtime())
    yield home
    for name in list(sys.modules):
        if name.split(".")[0] in ("kaggle", "kagglesdk"):
            del sys.modules[name]


def without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no variable but that by which tests/conftest.py keeps the client, once imported, away from Kaggle."""
    for name in os.environ.keys() - {"KAGGLE_API_ENVIRONMENT"}:
        if name.startswith(("KAGGLE_", "PIPELINE_", "DVC_")) or name.lower().endswith(("_proxy", "verbose")):
            monkeypatch.delenv(name)


@pytest.fixture
def work(
    tmp_path: Path, archive: Path, home: Path, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Work]:
    """A folder to work in, beside a fake Kaggle."""
    assert pauses == []
    without_settings(monkeypatch)
    root = tmp_path / "work"
    prepare(root, monkeypatch)
    fake = FakeKaggle(FileContent(archive))
    with fake.serving():
        for name, value in fake.environment(home).items():
            monkeypatch.setenv(name, value)
        yield Work(root, fake)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the production names, which signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in (API, STORAGE)])
    unsigned = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    signed = unsigned.add_extension(names, critical=False).sign(key, hashes.SHA256())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    path.write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain) + signed.public_bytes(encoding)
    )
    return path


@pytest.fixture(scope="session")
def local(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outputs from the same zip on local disk."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("local") / "work"
        prepare(root, patch, {"kind": "archive", "path": str(archive)})
        work = Work(root, FakeKaggle(FileContent(archive)))
        assert work.run() == 0
        return work.outputs()


@pytest.fixture(scope="session")
def opened(archive: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `download` and `stratify` make of the healthy fake's archive, to start from."""
    with pytest.MonkeyPatch.context() as patch:
        without_settings(patch)
        root = tmp_path_factory.mktemp("opened") / "work"
        prepare(root, patch)
        with FakeKaggle(FileContent(archive)).serving() as fake:
            for name, value in fake.environment(home).items():
                patch.setenv(name, value)
            assert Work(root, fake).run("download", "stratify") == 0
        return root / "data"


def no_secrets(work: Work, capfd: pytest.CaptureFixture[str]) -> str:
    """Fail if there is a secret in anything that a run wrote; return what it printed."""
    out, err = capfd.readouterr()
    for text in (out.encode(), err.encode(), *work.left_behind()):
        assert SECRET.encode() not in text
        assert TOKEN.encode() not in text
    return out + err
