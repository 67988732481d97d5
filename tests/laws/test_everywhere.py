"""Law 6 on every engine and for every source: the same bytes, independent of earlier runs."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.core.params import Runtime
from pipeline.engines import engine_for
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import derive
from pipeline.shards.recipe import Recipe
from pipeline.views.features.recipe import FeatureRecipe
from pipeline.views.transcripts.engines import find_model
from pipeline.views.transcripts.recipe import TranscriptRecipe
from pipeline.waveforms.shard import WaveformRecipe
from pipeline.waveforms.worker_facts import worker_facts
from tests.laws.test_resilience import damaged_on_disk, grown_in_steps, shards_of
from tests.support import cluster, object_store
from tests.support.fake_kaggle import FakeKaggle, FileContent
from tests.support.object_store import BUCKET
from tests.support.project import DEMO, Project
from tests.support.tarballs import demo_files, pack

pytestmark = [pytest.mark.more, pytest.mark.xdist_group("everywhere")]

SOURCES = ["folder", "tar", "tar.gz", "http", "s3"]
ENGINES = ["dask", "threads"]


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the source of the demo's clips in a snapshot's description."""
    folder = tmp_path_factory.mktemp("source")
    with ExitStack() as stack:
        match request.param:
            case "folder":
                yield {"kind": "directory", "path": str(pack(demo_files(), folder))}
            case "tar" | "tar.gz":
                yield {"kind": "archive", "path": str(pack(demo_files(), folder / f"demo.{request.param}"))}
            case "http":
                yield {"kind": "archive", "path": stack.enter_context(FakeKaggle(FileContent(DEMO)).serving()).url}
            case "s3":
                shutil.copy(DEMO, folder)
                stack.enter_context(object_store.serving()).put(folder, "demo")
                yield {"kind": "archive", "path": f"s3://{BUCKET}/demo/{DEMO.name}"}


@pytest.fixture(scope="module")
def from_scratch(source: dict[str, str], staged_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project after its stages with that source: look, don't touch."""
    project = staged_once.copy(tmp_path_factory.mktemp("from") / "project")
    project.edit("configs/snapshots/demo.yaml", source=source)
    for folder in ("clips", "waveforms"):
        for path in shards_of(project, folder):
            path.unlink()
    project.stage("download", "stratify", "subsample", "waveforms")
    return project


def test_sources_give_the_same_bytes_after_any_history(from_scratch: Project, tmp_path: Path) -> None:
    assert_history_is_forgotten(from_scratch, from_scratch.copy(tmp_path / "project"))


def assert_history_is_forgotten(scratch: Project, project: Project) -> None:
    params = (project.root / "params.yaml").read_bytes()
    grown_in_steps(project)
    damaged_on_disk(project)
    (project.root / "params.yaml").write_bytes(params)
    project.stage("subsample", "waveforms")
    assert project.outputs() == scratch.outputs()


@pytest.fixture(scope="module", params=ENGINES)
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return an engine that is not the local processes', by its name in configs/runtime.yaml."""
    if request.param == "threads":
        yield "tests.engines.test_custom:threads"
        return
    with cluster.running(2, tmp_path_factory.mktemp("cluster")) as running:
        yield f"dask://{running.address}"


def test_engines_give_the_same_bytes_after_any_history(
    executor: str, staged: Project, staged_once: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_EXECUTOR", executor)
    monkeypatch.setenv("PIPELINE_WORKERS", "2")
    assert_history_is_forgotten(staged_once, staged)


def recipes() -> dict[str, Recipe]:
    found: dict[str, Recipe] = {
        "waveforms": WaveformRecipe(16_000, "pcm16"),
        "features": FeatureRecipe((65.0, 500.0)),
    }
    if importlib.util.find_spec("pocketsphinx"):  # which has no wheel for some Pythons
        found["transcripts"] = TranscriptRecipe(find_model("pocketsphinx", None))
    return found


def test_engines_derive_the_same_bytes(executor: str, fresh: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh.set(subsample__clips=4, shards__clips=2)
    fresh.stage("download", "stratify", "subsample")
    monkeypatch.chdir(fresh.root / "data")
    source = Path("clips")
    for name, recipe in recipes().items():
        made = {}
        for engine in (LocalProcesses(1), engine_for(Runtime(executor=executor), worker_facts)):
            target = Path(type(engine).__name__) / name
            derive(recipe, source, target, engine)
            made[target] = [path.read_bytes() for path in sorted(target.iterdir())]
        first, second = made.values()
        assert first == second
        if name == "waveforms":
            source = target
