"""Whether this machine has what a run needs: one finding for each thing, with a remedy where something is wrong.

No secret is shown, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import getpass
import importlib.metadata
import io
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.commands.dvc_lock import RWLOCK
from pipeline.core import schema
from pipeline.core.errors import PipelineError, first_line
from pipeline.core.params import Runtime, archive_folder, load_params, load_runtime
from pipeline.core.terminal import amount, listed
from pipeline.shards.recipe import machine
from pipeline.snapshot.description import describe
from pipeline.snapshot.origin import CompetitionSource
from pipeline.snapshot.receipt import read_receipt

_PACKAGES = ("dvc", "kaggle", "numpy", "pandas", "pyarrow", "requests", "soundfile", "soxr")
_SAME_BYTES = "Linux x86_64"
_LITTLE_BYTES = 2_000_000_000  # of free disk: room for a sample of some thousands of clips

KAGGLE = "https://api.kaggle.com"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    status: Literal["ok", "warning", "failure"]
    about: str
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        lines = [f"{self.about}: {self.found}", *([self.remedy] if self.remedy else [])]
        return f"{self.status:<8} " + "\n".join(lines).replace("\n", "\n         ")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `make repro` asks for."""
    parser.add_argument("--dvc", action="store_true", help="name only what DVC needs and is missing")


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print; PipelineError where something is a failure."""
    failures = 0
    for finding in dvc_needs() if options.dvc else findings():
        is_failure = finding.status == "failure"
        failures += is_failure
        if is_failure or not options.dvc:
            yield str(finding)
    if failures:
        raise PipelineError(amount(failures, "failure"))


def findings() -> Iterator[Finding]:
    """Yield everything that was found, in the order in which a run needs it."""
    yield kind_of_machine()
    yield libraries()
    yield settings()
    yield executor(load_runtime)
    yield disk(load_runtime)
    yield outputs()
    yield from dvc_needs()
    yield git_author()
    yield git_locks()
    yield remote()
    yield from kaggle_needs(load_runtime)


def kind_of_machine() -> Finding:
    """Look at what decides about the last bit of a sample: the system and the processor."""
    here = machine()
    same = "the same bytes as on every such PC whose processor has AVX"
    others = "the same sample, but a few in ten thousand of its values may differ by one step"
    what = same if here == _SAME_BYTES else others
    return Finding("ok", "machine", f"Python {platform.python_version()} on {here}: {what}")


def libraries() -> Finding:
    """Look at the versions of what decides about the bytes of a result."""
    versions, missing = [], []
    for name in _PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("failure", "libraries", f"{', '.join(missing)} missing", "Set them up with: make repro")
    return Finding("ok", "libraries", ", ".join(versions))


def settings() -> Finding:
    """Read params.yaml and configs/runtime.yaml."""
    try:
        params, runtime = load_params(), load_runtime()
    except PipelineError as error:
        return Finding("failure", "settings", str(error), "Correct what it names.")
    return Finding("ok", "settings", f"snapshot {params.snapshot}, transfer {runtime.transfer}")


def executor(runtime: Callable[[], Runtime]) -> Finding:
    """Start the workers that `executor` of configs/runtime.yaml asks for, and decode a clip in one of them."""
    try:
        from pipeline.engines import engine_for  # noqa: PLC0415  a library that is broken is a finding, not a crash
        from pipeline.waveforms.worker_facts import worker_facts  # noqa: PLC0415

        found = engine_for(runtime(), worker_facts).check(decode_tone)
    except PipelineError as error:
        return Finding("failure", "executor", str(error))
    except (RuntimeError, ImportError, OSError, ValueError) as error:  # a RuntimeError is what a dead worker raises
        remedy = (
            "Set the libraries up: make repro. If only workers fail, do the work in one process: PIPELINE_WORKERS=1"
        )
        return Finding("failure", "executor", f"no clip can be decoded in a worker ({first_line(error)})", remedy)
    return Finding("ok", "executor", f"{found}; one of them decoded a clip")


def decode_tone() -> None:
    """Encode a second of a tone as MP3, which asks most of libsndfile, and decode it; ValueError if it is another."""
    import numpy as np  # noqa: PLC0415  as above
    import soundfile  # noqa: PLC0415

    from pipeline.audio import decode  # noqa: PLC0415

    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(np.arange(48_000) / 20).astype(np.float32), 48_000, format="MP3")
    decoded = decode.load(file.getvalue(), 48_000)
    if decoded.source_sample_rate != 48_000 or not 47_000 <= len(decoded.waveform) <= 50_400:
        raise ValueError(f"{len(decoded.waveform)} samples of 48,000, at {decoded.source_sample_rate} Hz")


def disk(runtime: Callable[[], Runtime]) -> Finding:
    """Look at the free disk; `transfer: whole` needs room for the archive."""
    free = shutil.disk_usage(Path()).free
    remedy = "Free some; to see what the sample needs: python -m pipeline estimate" if free < _LITTLE_BYTES else ""
    try:
        archive_bytes = read_receipt().identity.content().get("size_bytes", 0)
        if free < archive_bytes and runtime().transfer == "whole" and not any(archive_folder().glob("*.zip")):
            remedy = f"transfer: whole needs {archive_bytes / 1e9:.1f} GB; set transfer: ranges, or free some."
    except PipelineError:  # nothing was opened yet, or the settings are wrong
        pass
    return Finding("warning" if remedy else "ok", "disk", f"{free / 1e9:.1f} GB free", remedy)


def outputs(folder: Path = schema.WAVEFORMS) -> Finding:
    """Open the waveforms, if present: their footers only."""
    if not folder.is_dir():
        return Finding("ok", "waveforms", "none yet")
    try:
        from pipeline.waveforms.reader import open_waveforms  # noqa: PLC0415  as above

        clips = open_waveforms(folder)
    except (ImportError, PipelineError, OSError) as error:
        found = " ".join(str(error).split())
        return Finding("failure", "waveforms", found, "To see all that is damaged: python -m pipeline verify")
    return Finding("ok", "waveforms", f"{amount(len(clips), 'clip')}; to check every byte: python -m pipeline verify")


def dvc_needs() -> Iterator[Finding]:
    """Yield whether DVC has what it needs; it notices some of it late, and names no remedy."""
    here = Path.cwd()
    configs = (path for path in (Path(".dvc/config"), Path(".dvc/config.local")) if path.is_file())
    if any((folder / ".git").exists() for folder in (here, *here.parents)):
        yield Finding("ok", "git", "a repository")
    elif any(re.search(r"^\s*no_scm\s*=\s*true", path.read_text(), re.MULTILINE | re.IGNORECASE) for path in configs):
        yield Finding("ok", "git", "no repository, and core.no_scm is set")
    else:
        remedy = "Get a clone with git clone, or run git init, or: dvc config --local core.no_scm true"
        yield Finding("failure", "git", "no repository; a ZIP of the project has none", remedy)
    try:
        yield Finding("ok", "user name", getpass.getuser())
    except (KeyError, OSError):
        yield Finding("failure", "user name", "none: no USER, and no passwd entry", "Set one: export USER=me")
    try:
        yield Finding("ok", "home", str(Path.home()))
    except RuntimeError:
        yield Finding("failure", "home", "none: no HOME, and no passwd entry", "Set one: export HOME=/tmp")
    if schema.DATA.is_symlink():
        found = "data is a link, and DVC refuses to save what lies outside of the project"
        remedy = "Put the folder itself there. The cache may lie on another disk: dvc cache dir PATH"
        yield Finding("failure", "data", found, remedy)
    else:
        yield Finding("ok", "data", "no link")
    files = (path for folder in (schema.DATA, schema.REPORTS) for path in folder.rglob("*"))
    dangling = sorted(str(path) for path in files if path.is_symlink() and not path.exists())
    if dangling:
        found = f"it is gone, and outputs are links into it: {listed(dangling, 3)}"
        remedy = "Mount it again, or: dvc pull. Or delete the links and make the outputs again:\n"
        remedy += f"find -L {schema.DATA} {schema.REPORTS} -type l -exec rm {{}} + && dvc repro"
        yield Finding("failure", "DVC cache", found, remedy)
    else:
        yield Finding("ok", "DVC cache", "no output is a link to a missing file")
    try:
        json.loads(RWLOCK.read_text(encoding="utf-8"))
        yield Finding("ok", "DVC lock", "whole")
    except FileNotFoundError:
        yield Finding("ok", "DVC lock", "none")
    except ValueError:  # not JSON, or not UTF-8: dvc repro ends with "JSON structure is corrupted"
        remedy = "If no DVC process is running, delete the file."
        yield Finding("failure", "DVC lock", f"{RWLOCK} is truncated, as a full disk leaves it", remedy)


def git_author() -> Finding:
    """Check that git knows who commits, as `dvc exp run` does; `dvc repro` commits nothing."""
    missing = []
    for key in ("name", "email"):
        command = ["git", "config", f"user.{key}"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Finding("warning", "git author", f"unknown ({type(error).__name__})")
        if not done.stdout.strip() and not os.environ.get(f"GIT_COMMITTER_{key.upper()}"):
            missing.append(f"user.{key}")
    if missing:
        remedy = 'dvc exp run needs it: git config --global user.name "NAME", git config --global user.email ADDRESS'
        return Finding("warning", "git author", f"no {' and no '.join(missing)}", remedy)
    return Finding("ok", "git author", "known")


def git_locks(repository: Path = Path(".git")) -> Finding:
    """Look for locks that a killed `dvc exp run`, or git itself, left in the repository."""
    left = sorted(str(path) for path in repository.rglob("*.lock"))
    if left:
        remedy = "If neither git nor DVC is running, one was killed: remove the file."
        return Finding("warning", "git lock", ", ".join(left), remedy)
    return Finding("ok", "git lock", "none")


def remote() -> Finding:
    """Look whether DVC has a remote to push to and pull from."""
    command = [sys.executable, "-m", "dvc", "config", "core.remote"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("failure", "DVC", f"cannot be run ({type(error).__name__})", "Set it up with: make repro")
    name = done.stdout.strip()
    if done.returncode == 0 and name:
        return Finding("ok", "DVC remote", name)
    remedy = "Without one, dvc pull gets nothing and dvc push sends nothing: dvc remote add --default NAME URL"
    return Finding("warning", "DVC remote", "none is the default", remedy)


def is_of_competition() -> bool:
    """Tell whether the snapshot that params.yaml names lies in a competition on Kaggle."""
    try:
        return isinstance(describe(load_params().snapshot).source, CompetitionSource)
    except PipelineError:  # `settings` says so
        return False


def kaggle_needs(runtime: Callable[[], Runtime], url: str = KAGGLE) -> Iterator[Finding]:
    """Yield whether Kaggle can be asked; a local snapshot needs none of it. Credentials are looked for, never shown."""
    from pipeline.snapshot.remote import kaggle  # noqa: PLC0415  as above

    try:
        kaggle.import_client(runtime())
        yield Finding("ok", "Kaggle client", "can be imported")
    except PipelineError as error:
        yield Finding("failure", "Kaggle client", str(error))
    try:
        place = kaggle.credentials()
        if place:
            yield Finding("ok", "Kaggle credentials", f"in {place}")
        elif is_of_competition():
            remedy = "The snapshot is that of a competition, which needs some: docs/kaggle.md says how."
            yield Finding("failure", "Kaggle credentials", "none", remedy)
        else:
            remedy = "Public data usually needs none; docs/kaggle.md says how."
            yield Finding("warning", "Kaggle credentials", "none", remedy)
    except RuntimeError as error:  # there is no home
        yield Finding("warning", "Kaggle credentials", f"not known ({error})")
    try:
        yield Finding("ok", "Kaggle", f"answers ({kaggle.answer(runtime(), url)})")  # any answer will do
    except PipelineError as error:
        remedy = "Local snapshots work without it; behind a proxy, set https_proxy."
        yield Finding("warning", "Kaggle", f"cannot be reached: {error}", remedy)
