"""params.yaml (what to compute) and configs/runtime.yaml (how to run) → frozen, validated objects.

Every problem of a file is reported at once, each with the path of its key and what is allowed. Nothing below this
module reads a dictionary of parameters or an environment variable.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
from msgspec import Meta, field
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.core import schema
from pipeline.core.errors import ParameterError
from pipeline.core.settings import Rule, Settings, validated


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once")
    return values


def _columns(values: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [value for value in values if value not in schema.STRATUM_COLUMNS]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no metadata column; there are {', '.join(schema.STRATUM_COLUMNS)}")
    return values


def _allocation(value: Any) -> Any:
    power = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if value not in ("proportional", "equal") and not power:
        raise ValueError("should be proportional, equal or a power from 0 to 1")
    return value if isinstance(value, str) else float(value)


def _range(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise ValueError("should be two numbers, the smaller one first")
    return value


def _splits(value: dict[str, float]) -> dict[str, float]:
    if abs(sum(value.values()) - 1) > 1e-9:
        raise ValueError(f"fractions should add up to 1, not {sum(value.values()):g}")
    return dict(sorted(value.items()))  # the order of keys in a YAML file means nothing


def _where(value: Any) -> Any:
    """Check ``stratify.where``: metadata columns, each with the values to draw; null is a missing one."""
    if not isinstance(value, dict):
        raise ValueError("should be a list of values for each column, such as accent: [us]")
    _columns(tuple(map(str, value)))
    for column, values in sorted(value.items()):
        kind = int if pa.types.is_integer(schema.RANKING_SCHEMA.field(column).type) else str
        listed = isinstance(values, list | tuple) and len(values) > 0
        if not listed or any(type(each) not in {kind, type(None)} for each in values):
            wanted = "whole numbers" if kind is int else "texts"
            raise ValueError(f"{column}: should be a list of {wanted}, null for a missing value")
        if len(set(values)) < len(values):
            raise ValueError(f"{column}: lists a value more than once")
    return {column: tuple(values) for column, values in sorted(value.items())}  # the order of keys means nothing


def _executor(value: str) -> str:
    if not _EXECUTOR.fullmatch(value):
        raise ValueError(
            "should be local, dask://HOST:PORT of a running scheduler, "
            "or MODULE:FUNCTION that returns a concurrent.futures.Executor"
        )
    return value


_EXECUTOR = re.compile(r"local|dask://(\[[0-9A-Fa-f:]+\]|[^\s/:@]+):[0-9]{1,5}|[A-Za-z_][\w.]*:[A-Za-z_]\w*")

_LONGEST = 1e9  # seconds, some 30 years: not without end

Text = Annotated[str, Meta(min_length=1)]
Names = Annotated[tuple[Text, ...], Rule(_unique)]
Columns = Annotated[Names, Rule(_columns)]
Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0, le=_LONGEST)]
Seconds = Annotated[float, Meta(ge=0, le=_LONGEST)]
SecondsRange = Annotated[tuple[Seconds, Seconds], Rule(_range)]
Hertz = Annotated[float, Meta(ge=20, le=2000)]  # of a voice
Fraction = Annotated[float, Meta(gt=0, le=1)]


class Stratify(Settings, frozen=True, kw_only=True):
    """Which rows are eligible, and in which order."""

    tables: Annotated[Names, Meta(min_length=1)]
    strata: Columns
    require: Columns
    where: Annotated[dict[str, tuple[str | int | None, ...]], Rule(_where, is_whole=True)] = field(default_factory=dict)
    allocation: Annotated[Literal["proportional", "equal"] | float, Rule(_allocation, is_whole=True)]
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    splits: Annotated[dict[Text, Fraction], Rule(_splits)]
    min_up_votes: Count | None = None
    max_down_votes: Count | None = None
    min_net_votes: int | None = None
    estimated_seconds: SecondsRange | None = None


class Subsample(Settings, frozen=True, kw_only=True):
    """How many clips, as either `clips` or `hours`, and which of them are rejected."""

    clips: Annotated[int, Meta(ge=1)] | None = None
    hours: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    seconds: SecondsRange
    max_rejected: Annotated[float, Meta(ge=0, le=1)]
    exclude: Names

    def __post_init__(self) -> None:
        if (self.clips is None) == (self.hours is None):
            raise ValueError("should have either clips or hours, and not both")


class Waveforms(Settings, frozen=True):
    """How waveforms are decoded and stored."""

    sample_rate: Annotated[int, Meta(ge=schema.LEAST_SAMPLE_RATE, le=192_000)]
    encoding: Literal["pcm16", "float32", "flac"]


class Features(Settings, frozen=True):
    """What is measured of the waveforms."""

    f0_hz: Annotated[tuple[Hertz, Hertz], Rule(_range)]


class Shards(Settings, frozen=True):
    """How the outputs are cut into files."""

    clips: Annotated[int, Meta(ge=1, le=100_000)]


class Params(Settings, frozen=True, kw_only=True):
    """Everything that changes the result: params.yaml."""

    snapshot: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
    stratify: Stratify
    subsample: Subsample
    waveforms: Waveforms
    features: Features = Features(f0_hz=(65, 500))
    shards: Shards


class Runtime(Settings, frozen=True):
    """How to run, which changes no byte of any output: configs/runtime.yaml.

    Each key can be set by an environment variable instead, such as ``PIPELINE_WORKERS=4``.
    """

    workers: Annotated[int, Meta(ge=1)] | None = None
    executor: Annotated[str, Rule(_executor)] = "local"
    connections: Annotated[int, Meta(ge=1, le=64)] = 16
    connect_timeout_seconds: Positive = 10
    read_timeout_seconds: Positive = 30
    retries: Annotated[int, Meta(ge=0, le=20)] = 5
    transfer: Literal["ranges", "whole"] = "ranges"

    @property
    def processes(self) -> int:
        """Worker processes: as many as asked for, or one for each processor that this process may use."""
        return self.workers or available_processors()


def available_processors(cgroup: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processors this process may use: by its affinity, and by quotas of cgroups (version 2)."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has none
    try:
        own = next(line[3:] for line in cgroup.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return count
    for folder in (own, *map(str, Path(own).parents)):
        try:
            quota, period = (root / folder.lstrip("/") / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            count = min(count, math.ceil(int(quota) / int(period)))
    return count


def load_params(path: Path = schema.PARAMS) -> Params:
    """Read and validate params.yaml.

    Raises
    ------
    ParameterError
        With every problem of the file.
    """
    return validated(Params, read_yaml(path), str(path))


def load_runtime(path: Path = schema.RUNTIME) -> Runtime:
    """Read configs/runtime.yaml, with what the environment sets in its place."""
    values = read_yaml(path) if path.exists() else {}
    for key in Runtime.__struct_fields__:
        text = os.environ.get(f"PIPELINE_{key.upper()}")
        if text is not None:
            values = {**values, key: _parsed(text, f"environment variable PIPELINE_{key.upper()}")}
    return validated(Runtime, values, str(path))


def archive_folder() -> Path:
    """Return the folder of whole archives, which all of DVC's experiments share: it lies in the original checkout."""
    return Path(os.environ.get("DVC_ROOT", "."), schema.ARCHIVE)


def in_checkout(path: Path) -> Path:
    """Return where a relative path leads: here, or where nothing is here, in the original checkout.

    `dvc exp run` with ``--temp`` or ``--queue`` runs in a copy of what git knows.
    """
    original = Path(os.environ.get("DVC_ROOT", "."), path)
    return original if original.exists() and not path.exists() else path


def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file as DVC does: a repeated key is an error.

    Raises
    ------
    ParameterError
        It is not there, or is no YAML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(str(path), ["no such file; is this the folder of the project?"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(str(path), [getattr(error, "strerror", "") or str(error)]) from None
    return _parsed(text, str(path)) or {}


def _parsed(text: str, source: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:  # numbers and dates that Python lacks
        problem = str(error)
        if "://" in problem and isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            problem = f"is no YAML, line {error.problem_mark.line + 1}"  # the line may hold a secret
        raise ParameterError(source, [problem.replace("\n", "\n  ")]) from None
