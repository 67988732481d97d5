"""Dask workers make the same bytes as local ones; whatever happens to them is one message, and what is done is kept."""

from __future__ import annotations

import contextlib
import operator
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.parquet import read_metadata, read_table

from pipeline.core.errors import ShardError, WorkerError
from pipeline.core.params import Runtime
from pipeline.engines import engine_for
from pipeline.engines.dask import DaskCluster
from pipeline.engines.local import LocalProcesses
from pipeline.shards.derive import Derived, derive, map_shards
from pipeline.waveforms.shard import WaveformRecipe
from pipeline.waveforms.worker_facts import worker_facts
from tests.support import cluster as clusters
from tests.support.cluster import Cluster
from tests.support.project import ROOT, Project, environment
from tests.support.tarballs import contents, flip

pytestmark = [pytest.mark.more, pytest.mark.xdist_group("dask")]  # one cluster for all


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with clusters.running(2, tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def dask(cluster: Cluster) -> DaskCluster:
    return DaskCluster(cluster.address, connect_seconds=20, silence_seconds=20, facts=worker_facts)


@pytest.fixture
def clips(staged_once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of clips, by a path that says nothing to who works elsewhere."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(staged_once.root / "data/clips", Path("data/clips")))


def made(recipe: WaveformRecipe, clips: Path, engine: DaskCluster | LocalProcesses, name: str) -> Derived:
    return derive(recipe, clips, clips.with_name(name), engine)


@dataclass(frozen=True)
class Deadly(WaveformRecipe):
    """A recipe that kills its worker in the middle of the third shard: once, or as long as a file is there."""

    flag: Path = Path()
    once: bool = True

    def rows(self, source: pa.Table) -> pa.Table:
        if source["clip_id"][0].as_py() == self.victim and self.flag.exists():
            if self.once:
                self.flag.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(source)

    @property
    def victim(self) -> str:
        return self.flag.read_text() if self.flag.exists() else ""


@pytest.fixture
def flag(clips: Path, tmp_path: Path) -> Path:
    """Return a file that names the first clip of a row group in the middle of the third shard."""
    ids = read_table(clips / "part-00002.parquet", columns=["clip_id"])["clip_id"]
    (tmp_path / "flag").write_text(ids[WaveformRecipe.ROW_GROUP_ROWS].as_py())
    return tmp_path / "flag"


@pytest.mark.parametrize("encoding", ["pcm16", "float32", "flac"])
def test_dask_makes_the_bytes_of_local_processes(encoding: str, clips: Path, dask: DaskCluster) -> None:
    recipe = WaveformRecipe(16_000, encoding)
    made(recipe, clips, LocalProcesses(1), "local")
    assert made(recipe, clips, dask, "remote") == Derived(120, 4, 120)
    assert contents(clips.with_name("remote")) == contents(clips.with_name("local"))
    assert sorted(path.name for path in clips.parent.iterdir()) == ["clips", "local", "remote"]


def test_dask_worker_that_is_killed_in_the_middle_of_a_shard_changes_no_byte(
    clips: Path, flag: Path, dask: DaskCluster
) -> None:
    made(WaveformRecipe(16_000, "pcm16"), clips, LocalProcesses(1), "local")
    made(Deadly(16_000, "pcm16", flag=flag), clips, dask, "remote")
    assert not flag.exists()
    assert contents(clips.with_name("remote")) == contents(clips.with_name("local"))


def test_dask_shard_that_kills_every_worker_is_named_and_the_next_run_goes_on(
    clips: Path, flag: Path, dask: DaskCluster
) -> None:
    with pytest.raises(WorkerError, match=r"workers died while they made .*part-00002\.parquet.*, 2 of them") as caught:
        made(Deadly(16_000, "pcm16", flag=flag, once=False), clips, dask, "remote")
    assert str(caught.value).endswith("Shards that are done are kept; run it again to go on.")
    done = sum(read_metadata(path).num_rows for path in clips.with_name(".remote").glob("part-*.parquet"))
    assert not clips.with_name("remote").exists()
    recipe = WaveformRecipe(16_000, "pcm16")
    assert made(recipe, clips, LocalProcesses(1), "remote").computed == 120 - done
    made(recipe, clips, LocalProcesses(1), "local")
    assert contents(clips.with_name("remote")) == contents(clips.with_name("local"))


def test_dask_error_of_a_shard_is_the_one_of_a_local_process(clips: Path, dask: DaskCluster) -> None:
    flip(clips / "part-00001.parquet")
    with pytest.raises(ShardError, match=r"clips/part-00001\.parquet: is damaged"):
        made(WaveformRecipe(16_000, "pcm16"), clips, dask, "remote")


def test_dask_worker_with_other_code_is_named_before_any_work(
    clips: Path, cluster: Cluster, dask: DaskCluster, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "pipeline", tmp_path / "old/pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "old/pyproject.toml").write_text(pyproject.replace('version = "', 'version = "9.', 1))
    with other_worker(cluster, tmp_path, tmp_path / "old") as address:
        with pytest.raises(WorkerError, match=rf"(?s)do not fit this run:\n  {address}: pipeline is 9\.[^\n]*\nGive"):
            made(WaveformRecipe(16_000, "pcm16"), clips, dask, "remote")
        with pytest.raises(WorkerError, match=address):
            dask.check()
    assert not clips.with_name(".remote").exists()


@contextlib.contextmanager
def other_worker(cluster: Cluster, folder: Path, code: Path) -> Iterator[str]:
    """Add a worker to the cluster that finds the package in `code`; yield its address."""
    start = f"import sys; sys.path.insert(0, {str(code)!r}); from distributed.cli.dask_worker import main; main()"
    command = [sys.executable, "-c", start, cluster.address, "--no-nanny", "--no-dashboard"]
    command += ["--nthreads", "1", "--local-directory", str(folder), "--host", "127.0.0.1"]
    with subprocess.Popen(command, cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            address = next(line.split()[-1] for line in lines if "Start worker at" in line)
            next(line for line in lines if "Registered to" in line)
            yield address
        finally:
            process.terminate()
            process.communicate()


def test_dask_scheduler_that_disappears_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with clusters.running(1, tmp_path) as mortal:
        engine = DaskCluster(mortal.address, connect_seconds=20, silence_seconds=20, facts=worker_facts)
        with engine.start(operator.call, 2) as (executor, in_flight):
            tasks = {"part-00000": (os.kill, mortal.process.pid, signal.SIGKILL), "part-00001": (signal.pause,)}
            with pytest.raises(WorkerError, match=r"the Dask scheduler at \S+ went away while .*\nShards"):
                list(map_shards(executor, operator.call, tasks, in_flight))
        mortal.process.wait()
        with pytest.raises(WorkerError, match=r"no Dask scheduler can be reached at .*\nStart one with: dask"):
            DaskCluster(mortal.address, connect_seconds=0.5, silence_seconds=1, facts=dict).check()


def test_dask_scheduler_that_is_silent_or_has_no_worker_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with clusters.running(0, tmp_path) as empty:
        engine = DaskCluster(empty.address, connect_seconds=20, silence_seconds=0.5, facts=dict)
        with pytest.raises(WorkerError, match=r"no worker of .* start one on each machine with: dask worker 127"):
            engine.check()
        empty.process.send_signal(signal.SIGSTOP)
        try:
            os.waitpid(empty.process.pid, os.WUNTRACED)  # it answers until it has stopped
            with pytest.raises(WorkerError, match="no Dask scheduler can be reached"):
                DaskCluster(empty.address, connect_seconds=0.5, silence_seconds=0.5, facts=dict).check()
        finally:
            empty.process.kill()


def test_dask_ctrl_c_is_one_line_and_cancels_the_queue(staged: Project, cluster: Cluster) -> None:
    staged.set(shards__clips=2)
    shutil.rmtree(staged.root / "data/waveforms")
    staged.stage("subsample")
    command = [sys.executable, "-m", "pipeline", "waveforms"]
    variables = environment(PIPELINE_EXECUTOR=f"dask://{cluster.address}")
    with subprocess.Popen(
        command, cwd=staged.root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        waiting = staged.root / "data/.waveforms"
        while not list(waiting.glob("part-*.parquet")):
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGINT)
        said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, "")
    assert re.fullmatch(r"waveforms: interrupted; \d+ new shards? (is|are) whole and kept, .*\n", complained)
    assert 0 < len(list(waiting.glob("part-*.parquet"))) < 60
    assert not list((staged.root / "data").glob(".run-*"))
    assert "60 shards" in staged.run(*command, PIPELINE_EXECUTOR=f"dask://{cluster.address}")


def test_dask_without_distributed_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WorkerError, match=r"the extra cluster\. .*'audio-subsample\[cluster\] @ git\+URL'"):
        engine_for(Runtime(executor="dask://127.0.0.1:8786"), dict).check()
