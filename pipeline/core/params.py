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


def _allocation(value: Any) -> Any:
    power = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if value not in ("proportional", "equal") and not power:
        raise ValueError("should be proportional, equal or a power from 0 to 1")
    return value if isinstance(value, str) else float(value)


def _range(value: tuple[float, float | None]) -> tuple[float, float | None]:
    if value[1] is not None and not value[0] < value[1]:
        raise ValueError("should be two numbers, the smaller one first")
    return value


def _splits(value: dict[str, float]) -> dict[str, float]:
    if abs(sum(value.values()) - 1) > 1e-9:
        raise ValueError(f"fractions should add up to 1, not {sum(value.values()):g}")
    return dict(sorted(value.items()))  # the order of keys in a YAML file means nothing


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _where(value: Any) -> Any:
    """Check ``stratify.where``: for each column a list of values, in which null is a missing one, or bounds."""
    if not isinstance(value, dict):
        raise ValueError("should have a list of values, or bounds, for each column, such as label: [dog, null]")
    conditions: dict[str, Any] = {}
    for column, wanted in sorted(value.items(), key=str):  # the order of keys in a YAML file means nothing
        if isinstance(wanted, dict) and wanted and set(wanted) <= {"min", "max"}:
            low, high = wanted.get("min"), wanted.get("max")
            bounds = [bound for bound in (low, high) if bound is not None]
            if not bounds or not all(map(_is_number, bounds)):
                raise ValueError(f"{column}: min and max should be numbers")
            if low is not None and high is not None and low > high:
                raise ValueError(f"{column}: min should not be larger than max")
            conditions[str(column)] = Bounds(low, high)
        elif isinstance(wanted, list | tuple) and wanted:
            if not all(each is None or type(each) is str or _is_number(each) for each in wanted):
                raise ValueError(f"{column}: should list texts or numbers, and null for a missing value")
            if len(set(wanted)) < len(wanted):
                raise ValueError(f"{column}: lists a value more than once")
            conditions[str(column)] = tuple(wanted)
        else:
            raise ValueError(f"{column}: should be a list of values, or {{min: , max: }} for a column of numbers")
    return conditions


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
Positive = Annotated[float, Meta(gt=0, le=_LONGEST)]
Seconds = Annotated[float, Meta(ge=0, le=_LONGEST)]
Hertz = Annotated[float, Meta(ge=20, le=2000)]  # of a voice
Fraction = Annotated[float, Meta(gt=0, le=1)]


class Bounds(Settings, frozen=True):
    """The bounds of the eligible values of a column of numbers.

    Attributes
    ----------
    min, max
        The smallest and the largest, both inclusive; null is no bound.
    """

    min: float | None = None
    max: float | None = None


Where = dict[str, tuple[str | float | None, ...] | Bounds]


class Stratify(Settings, frozen=True, kw_only=True):
    """Which rows are eligible, and in which order; the columns are those that the snapshot declares."""

    tables: Names  # none: all that there are
    strata: Names
    require: Names
    where: Annotated[Where, Rule(_where, is_whole=True)] = field(default_factory=dict)
    allocation: Annotated[Literal["proportional", "equal"] | float, Rule(_allocation, is_whole=True)]
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    splits: Annotated[dict[Text, Fraction], Rule(_splits)]

    @classmethod
    def unknown_key(cls, key: str, value: Any) -> str | None:
        """Return the `where` in place of a key of earlier versions, each of which was a bound of one column."""
        if key == "estimated_seconds":
            low, high = value if isinstance(value, list) and len(value) == 2 else ("MIN", "MAX")
            return (
                f"is now where: {{seconds: {{min: {low}, max: {high}}}}}, for durations that the snapshot's tables "
                "have; subsample.seconds is for all others"
            )
        if net := re.fullmatch(r"min_net_(\w+)", key):
            return (
                "is gone, and no where says the same, since it compares two columns; nearest is "
                f"where: {{up_{net[1]}: {{min: {value}}}, down_{net[1]}: {{max: 0}}}}"
            )
        if bound := re.fullmatch(r"(min|max)_(\w+)", key):
            return f"is now where: {{{bound[2]}: {{{bound[1]}: {value}}}}}"
        return None


class Subsample(Settings, frozen=True, kw_only=True):
    """How many clips, as either `clips` or `hours`, and which of them are rejected.

    Attributes
    ----------
    hours
        Instead of `clips`: the first clips of the ranking that together last this long.
    """

    clips: Annotated[int, Meta(ge=1)] | None = None
    hours: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    seconds: Annotated[tuple[Seconds, Seconds | None], Rule(_range)]  # None: as long as it may be
    max_rejected: Annotated[float, Meta(ge=0, le=1)]
    exclude: Names

    def __post_init__(self) -> None:
        if (self.clips is None) == (self.hours is None):
            raise ValueError("should have either clips or hours, and not both")


class Excerpt(Settings, frozen=True):
    """The piece of each recording that is kept: how long it is, and where.

    Attributes
    ----------
    seconds
        Length of the piece. A shorter recording is kept whole.
    at
        Where in the recording: at its start, in its centre, or where a hash of the clip's id says.
    """

    seconds: Annotated[float, Meta(ge=0.001, le=_LONGEST)]
    at: Literal["start", "centre", "random"]


class Waveforms(Settings, frozen=True):
    """How waveforms are decoded and stored."""

    sample_rate: Annotated[int, Meta(ge=schema.LEAST_SAMPLE_RATE, le=192_000)]
    encoding: Text  # a key of `pipeline.waveforms.encodings.ENCODINGS`, as the stage verifies
    excerpt: Excerpt | None = None


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

    Raises ParameterError with every problem of the file.
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

    Raises ParameterError if it is not there, or is no YAML.
    """
    if path.exists() and not path.is_file():  # to open a pipe would block for ever
        raise ParameterError(str(path), ["is no regular file"])
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(str(path), ["no such file; run this in the project's folder"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(str(path), [getattr(error, "strerror", "") or str(error)]) from None
    return _parsed(text, str(path)) or {}


def _parsed(text: str, source: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:  # numbers and dates that Python lacks
        problem = str(error)
        if "://" in problem and isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            again = re.match('found duplicate key "([^"]*)"', error.problem or "")
            what = f"the key {again[1]} stands there twice" if again else "is no YAML"
            problem = f"{what}, line {error.problem_mark.line + 1}"  # the line may hold a secret
        raise ParameterError(source, [problem.replace("\n", "\n  ")]) from None
