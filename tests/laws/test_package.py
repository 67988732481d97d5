"""What the files at the top of the tree promise: one version, one lock, one environment, one wheel."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import pipeline.views
from pipeline import open_waveforms
from pipeline.core import schema
from pipeline.core.version import DISTRIBUTION, version
from pipeline.registry import COMMANDS, STAGES
from tests.support.project import ROOT, Project, environment

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK, LOWEST_LOCK = ((ROOT / f"requirements{which}.lock").read_text(encoding="utf-8") for which in ("", "-lowest"))


def pins(text: str) -> set[str]:
    """Return the packages that a lock pins."""
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, flags=re.MULTILINE))


def names_of(requirements: list[str]) -> set[str]:
    return {re.sub(r"[._]", "-", re.split(r"[<>=!~;\[ ]", each)[0].lower()) for each in requirements}


# The version


def test_version_is_that_of_the_metadata_and_in_the_changelog() -> None:
    assert PYPROJECT["project"]["version"] == schema.VERSION
    assert f"## {schema.VERSION}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_version_of_a_checkout_goes_before_the_installed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", {DISTRIBUTION: "7.7"}.__getitem__)
    assert version(tmp_path) == "7.7"
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'something-else'\nversion = '8.8'\n")
    assert version(tmp_path) == "7.7"
    (tmp_path / "pyproject.toml").write_text(f"[project]\nname = '{DISTRIBUTION}'\nversion = '9.9'\n")
    assert version(tmp_path) == "9.9"


# The lock


def test_lock_pins_every_requirement_with_hashes_and_names_no_host() -> None:
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(name for extra in ("make", "cluster", "s3", "tar") for name in project["optional-dependencies"][extra]),
        *PYPROJECT["dependency-groups"]["dev"],
    ]
    for_people = [*PYPROJECT["dependency-groups"]["notebooks"], *PYPROJECT["dependency-groups"]["docs"]]
    assert names_of(wanted) | names_of(PYPROJECT["build-system"]["requires"]) <= pins(LOWEST_LOCK)
    assert names_of(wanted) | names_of(for_people) <= pins(LOCK)
    for lock in (LOCK, LOWEST_LOCK):
        for entry in re.split(r"\n(?=[a-z0-9])", lock):
            if "==" in entry.split("\n")[0]:
                assert "--hash=sha256:" in entry, entry.split("\n")[0]
        assert not re.search(r"://|--index|--find-links", lock)


# The targets


def test_make_alone_prints_a_line_for_each_target() -> None:
    printed = subprocess.run(["make"], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    [targets] = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"^make ([a-z-]+): +\w", printed, re.MULTILINE)) == set(targets.split())


# The environment, made by a Python, a pip and a uv that only write down what they are asked for

STUB_PYTHON = r"""#!/bin/sh
[ "$2" = venv ] || exit 0
for last; do :; done
mkdir -p "$last/bin"
cat > "$last/bin/python" <<'END'
#!/bin/sh
[ "$2" = pip ] || exit 0
echo "pip $*" >> log
cat > "$0.$(wc -l < log | tr -d ' ')"
eval "$PIP_DOES"
END
cat > "$last/bin/uv" <<'END'
#!/bin/sh
echo "uv $*" >> log
exit "$UV_STATUS"
END
chmod +x "$last/bin/python" "$last/bin/uv"
"""


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a folder with what `make` needs for an environment, and a stub for Python."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "python").write_text(STUB_PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(top: Path, target: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", target, f"PYTHON={top / 'python'}"],
        cwd=top,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )


def asked(top: Path, line: int) -> set[str]:
    """Return the packages that pip was given with the call that is that line of the log."""
    text = (top / f".venv/bin/python.{line}").read_text(encoding="utf-8")
    return pins(text)


def test_make_has_pip_install_uv_by_its_hashes_and_uv_the_lock(top: Path) -> None:
    done = make(top, ".venv/ready", PIP_DOES="", UV_STATUS="0")
    assert (done.returncode, done.stderr) == (0, "")
    pip, uv = (top / "log").read_text().splitlines()
    assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(pip.split())
    assert asked(top, 1) == {"uv"}
    assert uv == "uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock"
    assert (top / ".venv/ready").exists()
    assert "is up to date" in make(top, ".venv/ready").stdout


@pytest.mark.parametrize("missing", ["a wheel of uv", "an index that uv knows"])
def test_make_has_pip_install_everything_else_where_uv_cannot(top: Path, missing: str) -> None:
    no_wheel = missing == "a wheel of uv"
    pip_does = 'case "$*" in *only-binary*) echo "no wheel" >&2; exit 1;; esac' if no_wheel else ""
    done = make(top, ".venv/ready", PIP_DOES=pip_does, UV_STATUS="2")
    assert done.returncode == 0
    assert done.stderr == "uv cannot install the packages here; pip does, which takes about a minute.\n"
    calls = (top / "log").read_text().splitlines()
    assert "--only-binary" not in calls[-1]
    assert asked(top, len(calls)) == pins(LOCK) - {"uv"}
    assert (top / ".venv/ready").exists()


def test_make_does_not_call_a_failed_environment_ready(top: Path) -> None:
    done = make(top, ".venv/ready", PIP_DOES="exit 1", UV_STATUS="1")
    assert done.returncode != 0
    assert (top / ".venv/bin/python").exists()
    assert not (top / ".venv/ready").exists()


def test_make_answers_an_old_python_in_one_line(top: Path) -> None:
    (top / "python").write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.10 || exit 1\n')
    done = make(top, "repro")
    assert done.returncode != 0
    line = "This needs Python 3.11 or newer; .* is Python 3.8.10. Try: make PYTHON=python3.12 repro"
    assert re.fullmatch(line, done.stderr.splitlines()[0])
    assert not (top / ".venv").exists()


@pytest.mark.more
def test_make_puts_the_project_in_front_of_every_other_package_of_its_name(tmp_path: Path) -> None:
    root = tmp_path / "a $place"
    for folder, text in (("pipeline", "print('mine')"), ("other/pipeline", "raise SystemExit('other')")):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text(text)
    (root / "scripts").mkdir()
    (root / "scripts/look.py").write_text("import pipeline")
    shutil.copy(ROOT / "Makefile", root)
    (root / "requirements.lock").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (root / "know.mk").write_text('include Makefile\nknow:\n\t@$(VENV)/bin/python -c "$$KNOW_PROJECT"\n')
    subprocess.run(["make", "--file", "know.mk", "know"], cwd=root, env=environment(), check=True)
    variables = environment(PYTHONSAFEPATH="1", PYTHONPATH=str(root / "other"))
    for arguments in ([root / "scripts/look.py"], ["-c", "import pipeline"]):
        command = [root / ".venv/bin/python", *arguments]
        assert subprocess.check_output(command, cwd=tmp_path, env=variables, text=True) == "mine\n"


def test_make_check_is_what_is_run_at_each_commit() -> None:
    recipe = re.search(r"^check: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe
    hooks = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks]
    assert entries == [line.strip() for line in recipe[1].splitlines()]


# The wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this project, built by the locked backend."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, check=True)
    (built,) = folder.glob("*.whl")
    return built


def closure(names: set[str]) -> set[str]:
    """Return these distributions, and what they require without extras."""
    seen: set[str] = set()
    todo = set(names)
    while todo:
        name = todo.pop()
        seen.add(name)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # for another system or Python
            required = importlib.metadata.distribution(name).requires or []
            todo |= names_of([line for line in required if "extra ==" not in line]) - seen
    return seen


def test_wheel_contains_the_package_with_its_types_and_templates_only(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "pipeline"]
    there = {name for name in subprocess.check_output(command, cwd=ROOT, text=True).split() if (ROOT / name).exists()}
    assert {name for name in names if ".dist-info/" not in name} == there
    assert {"pipeline/py.typed", "pipeline/report/templates/report.html.j2"} <= names


@pytest.fixture(scope="session")
def reader_alone(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment that has the wheel, its plain requirements, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    for name in closure(names_of(PYPROJECT["project"]["dependencies"])):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # for another system or Python
            distribution = importlib.metadata.distribution(name)
            for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
                (packages / top).symlink_to(Path(str(distribution.locate_file(top))))
    return folder / "bin/python"


def run_alone(python: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], cwd=cwd, env=alone(), capture_output=True, text=True, check=False)


def alone() -> dict[str, str]:
    """Return an environment in which no package lies but those of the interpreter."""
    return {**environment(PYTHONSAFEPATH="1"), "PYTHONPATH": ""}


@pytest.mark.more
@pytest.mark.parametrize("encoding", ["pcm16", "flac"])
def test_wheel_alone_reads_shards_with_its_plain_requirements(
    staged: Project, reader_alone: Path, tmp_path: Path, encoding: str
) -> None:
    staged.set(waveforms__encoding=encoding)
    staged.stage("waveforms")
    code = (
        "import json, sys\n"
        "from pipeline import open_waveforms\n"
        "from pipeline.core.schema import VERSION\n"
        "clips = open_waveforms(sys.argv[1])\n"
        "sums = [float(abs(clip.waveform).sum()) for clip in clips]\n"
        "print(json.dumps([VERSION, clips.metadata()['clip_id'].tolist(), sums]))"
    )
    done = run_alone(reader_alone, "-c", code, staged.root / "data/waveforms", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    clips = open_waveforms(staged.root / "data/waveforms")
    sums = [float(abs(clip.waveform).sum()) for clip in clips]
    assert json.loads(done.stdout) == [schema.VERSION, clips.metadata()["clip_id"].tolist(), sums]


ARGUMENTS = {
    "show": ["valid-test/sample-000003"],
    "export": ["--clips=1", "--to=files"],
    "publish": ["--for=kaggle", "--to=upload"],
}


@pytest.mark.more
def test_wheel_alone_answers_every_command_and_view_by_the_extra_that_it_takes(
    staged: Project, reader_alone: Path
) -> None:
    for name in {**STAGES, **COMMANDS}:
        done = run_alone(reader_alone, "-m", "pipeline", name, *ARGUMENTS.get(name, ()), cwd=staged.root)
        assert done.returncode == 1, name
        assert re.match(rf"{name}: \w+ is not installed; .* the extra make\. ", done.stderr), done.stderr
        assert "Traceback" not in done.stderr
    views = {f"pipeline.views.{module.name}" for module in pkgutil.iter_modules(pipeline.views.__path__)}
    assert {"pipeline.views.pictures", "pipeline.views.series", "pipeline.views.text"} <= views
    for view in sorted(views):
        done = run_alone(reader_alone, "-c", f"import {view}", cwd=staged.root)
        assert done.returncode == 0 or "errors.MissingExtra: " in done.stderr, done.stderr
    code = (
        "from pipeline import open_waveforms; from pipeline.views import series\n"
        "clips = open_waveforms('data/waveforms').head(2); series.array(clips); series.envelopes(clips)"
    )
    assert "errors.MissingExtra: " in run_alone(reader_alone, "-c", code, cwd=staged.root).stderr


# The tree


def test_dvc_config_has_it_call_nobody() -> None:
    config = (ROOT / ".dvc/config").read_text()
    assert "analytics = false" in config
    assert "check_update = false" in config


def test_tree_contains_no_path_of_one_machine() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    # The whole path where the checkout lies in the root folder; where its parent is /tmp, .dvc/tmp/ is another one.
    folder = ROOT.parent if len(ROOT.parts) > 2 else ROOT
    here = re.compile(rb"(?<![\w.])%b/" % re.escape(os.fsencode(folder)))
    for name in filter(None, tracked.stdout.split("\0")):
        path = ROOT / name
        assert not path.is_file() or not here.search(path.read_bytes()), name
