"""params.yaml (what to compute) and configs/runtime.yaml (how to run) → frozen, validated objects.

Every problem of a file is reported at once, each with the path of its key and what is allowed. Nothing below this
module reads a dictionary of parameters or an environment variable.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeGuard, TypeVar, get_args

import pyarrow as pa
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline.core import schema
from pipeline.core.errors import ParameterError


class Settings(BaseModel):
    """A section of a settings file: frozen, of exact types, without unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise PydanticCustomError("repeated", "names {twice} more than once", {"twice": ", ".join(twice)})
    return values


def _columns(values: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [value for value in values if value not in schema.STRATUM_COLUMNS]
    if unknown:
        raise PydanticCustomError(
            "column",
            "{unknown}: no metadata column; there are {known}",
            {"unknown": ", ".join(unknown), "known": ", ".join(schema.STRATUM_COLUMNS)},
        )
    return values


def _allocation(value: Any) -> Any:
    power = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    if value not in ("proportional", "equal") and not power:
        raise PydanticCustomError("allocation", "should be proportional, equal or a power from 0 to 1")
    return value


def _range(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise PydanticCustomError("range", "should be two numbers, the smaller one first")
    return value


def _splits(value: dict[str, float]) -> dict[str, float]:
    if abs(sum(value.values()) - 1) > 1e-9:
        raise PydanticCustomError(
            "splits", "fractions should add up to 1, not {sum}", {"sum": f"{sum(value.values()):g}"}
        )
    return dict(sorted(value.items()))  # the order of keys in a YAML file means nothing


def _where(value: Any) -> Any:
    """Check ``stratify.where``: metadata columns, each with the values that may be drawn; null is a missing one."""
    if not isinstance(value, dict):
        raise PydanticCustomError("where", "should be a list of values for each column, such as accent: [us]")
    _columns(tuple(map(str, value)))
    for column, values in sorted(value.items()):
        kind = int if pa.types.is_integer(schema.RANKING_SCHEMA.field(column).type) else str
        listed = isinstance(values, list | tuple) and len(values) > 0
        if not listed or any(type(each) not in {kind, type(None)} for each in values):
            wanted = "whole numbers" if kind is int else "texts"
            raise PydanticCustomError(
                "where",
                "{column}: should be a list of {wanted}, null for a missing value",
                {"column": column, "wanted": wanted},
            )
        if len(set(values)) < len(values):
            raise PydanticCustomError("where", "{column}: lists a value more than once", {"column": column})
    return {column: tuple(values) for column, values in sorted(value.items())}  # the order of keys means nothing


def _executor(value: str) -> str:
    if not _EXECUTOR.fullmatch(value):
        raise PydanticCustomError(
            "executor",
            "should be local, dask://HOST:PORT of a running scheduler, "
            "or MODULE:FUNCTION that returns a concurrent.futures.Executor",
        )
    return value


_EXECUTOR = re.compile(r"local|dask://(\[[0-9A-Fa-f:]+\]|[^\s/:@]+):[0-9]{1,5}|[A-Za-z_][\w.]*:[A-Za-z_]\w*")

Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(strict=False), AfterValidator(_unique)]
Columns = Annotated[Names, AfterValidator(_columns)]
Seconds = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], Field(strict=False)]
SecondsRange = Annotated[Seconds, AfterValidator(_range)]
Hertz = Annotated[float, Field(ge=20, le=2000)]  # of a voice
Fraction = Annotated[float, Field(gt=0, le=1)]


class Stratify(Settings):
    """Which rows are eligible, and in which order."""

    tables: Annotated[Names, Field(min_length=1)]
    strata: Columns
    require: Columns
    where: Annotated[dict[str, tuple[str | int | None, ...]], BeforeValidator(_where)] = {}
    allocation: Annotated[Literal["proportional", "equal"] | float, BeforeValidator(_allocation)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    splits: Annotated[dict[Annotated[str, Field(min_length=1)], Fraction], AfterValidator(_splits)]
    min_up_votes: Annotated[int, Field(ge=0)] | None = None
    max_down_votes: Annotated[int, Field(ge=0)] | None = None
    min_net_votes: int | None = None
    estimated_seconds: SecondsRange | None = None


class Subsample(Settings):
    """How many clips, and which of them are rejected. Either `clips` or `hours` is given."""

    clips: Annotated[int, Field(ge=1)] | None = None
    hours: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    seconds: SecondsRange
    max_rejected: Annotated[float, Field(ge=0, le=1)]
    exclude: Names

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.clips is None) == (self.hours is None):
            raise PydanticCustomError("sizes", "should have either clips or hours, and not both")
        return self


class Waveforms(Settings):
    """How waveforms are decoded and stored."""

    sample_rate: Annotated[int, Field(ge=schema.LEAST_SAMPLE_RATE, le=192_000)]
    encoding: Literal["pcm16", "float32", "flac"]


class Features(Settings):
    """What is measured of the waveforms."""

    f0_hz: Annotated[tuple[Hertz, Hertz], Field(strict=False), AfterValidator(_range)]


class Shards(Settings):
    """How the outputs are cut into files."""

    clips: Annotated[int, Field(ge=1, le=100_000)]


class Params(Settings):
    """Everything that changes the result: params.yaml."""

    snapshot: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    stratify: Stratify
    subsample: Subsample
    waveforms: Waveforms
    features: Features = Features(f0_hz=(65, 500))
    shards: Shards


class Runtime(Settings):
    """How to run, which changes no byte of any output: configs/runtime.yaml.

    Each key can be set by an environment variable instead, such as ``PIPELINE_WORKERS=4``.
    """

    workers: Annotated[int, Field(ge=1)] | None = None
    executor: Annotated[str, AfterValidator(_executor)] = "local"
    connections: Annotated[int, Field(ge=1, le=64)] = 16
    connect_timeout_seconds: Annotated[float, Field(gt=0)] = 10
    read_timeout_seconds: Annotated[float, Field(gt=0)] = 30
    retries: Annotated[int, Field(ge=0, le=20)] = 5
    transfer: Literal["ranges", "whole"] = "ranges"

    @property
    def processes(self) -> int:
        """Worker processes: as many as asked for, or one for each core that this process may use."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()  # macOS has none
        return self.workers or cores or 1


Model = TypeVar("Model", bound=Settings)

_MOST_VALUES = 100_000  # of a settings file; a sample has at most some thousands of exclusions


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
    for key in Runtime.model_fields:
        text = os.environ.get(f"PIPELINE_{key.upper()}")
        if text is not None:
            values = {**values, key: _parsed(text, f"environment variable PIPELINE_{key.upper()}")}
    return validated(Runtime, values, str(path))


def archive_folder() -> Path:
    """Return the folder of whole archives, which all of DVC's experiments share: it lies in the original checkout."""
    return Path(os.environ.get("DVC_ROOT", "."), schema.ARCHIVE)


def read_yaml(path: Path) -> Any:
    """Read a YAML 1.2 file as DVC does: a key that stands twice is an error.

    Raises
    ------
    ParameterError
        It is not there, is no YAML, or holds more values than any settings have once its aliases are expanded.
    """
    try:
        if not path.is_file() and path.exists():
            raise ParameterError(str(path), ["is no regular file"])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParameterError(str(path), ["no such file; is this the folder of the project?"]) from None
    except OSError as error:
        raise ParameterError(str(path), [error.strerror or str(error)]) from None
    except UnicodeDecodeError as error:
        raise ParameterError(str(path), [str(error)]) from None
    return _parsed(text, str(path)) or {}


def _parsed(text: str, source: str) -> Any:
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise ParameterError(source, ["is nested too deeply"]) from None
    except (YAMLError, ValueError, OverflowError) as error:  # the last two: numbers and dates that Python does not have
        problem = str(error)
        if "://" in problem and isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            problem = f"is no YAML, line {error.problem_mark.line + 1}"  # the line may hold a secret
        raise ParameterError(source, [problem.replace("\n", "\n  ")]) from None
    _require_bounded(value, source)
    return value


def _require_bounded(value: Any, source: str) -> None:
    """Count every value as often as aliases repeat it: a few lines can stand for a billion."""
    todo, count = [value], 0
    while todo:
        count += 1
        if count > _MOST_VALUES:
            raise ParameterError(source, [f"holds more than {_MOST_VALUES} values, its aliases expanded"])
        inner = todo.pop()
        if isinstance(inner, dict):
            todo += inner.values()
        elif isinstance(inner, list):
            todo += inner


def validated(model: type[Model], values: Any, source: str) -> Model:
    """Make a `model` of `values`, or say everything that is wrong with them."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ParameterError(source, [_sentence(model, problem) for problem in error.errors()]) from None


def _sentence(model: type[Settings], problem: ErrorDetails) -> str:
    location = [part for part in problem["loc"] if not isinstance(part, str) or "[" not in part]
    path = ".".join(map(str, location)) or "(the whole file)"
    if _may_be_secret(path):
        path = "a key"
    match problem["type"]:
        case "extra_forbidden":
            known = sorted(_section(model, location[:-1]).model_fields)
            close = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            return f"{path}: unknown key{hint}; known here: {', '.join(known)}"
        case "missing":
            return f"{path}: missing"
        case "secret" | "executor":
            return f"{path}: {problem['msg']}"  # the value is not to be shown
    said = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
    got = repr(problem["input"])
    if _may_be_secret(said):  # it names the value, such as a kind of source that it does not know
        allowed = problem.get("ctx", {}).get("expected_tags")
        return f"{path}: {f'its kind should be one of {allowed}' if allowed else 'has a value that is not allowed'}"
    if _may_be_secret(got):
        return f"{path}: {said}"
    return f"{path}: {said}; got {got}"


def _may_be_secret(text: str) -> bool:
    """Tell whether a text may hold a URL, which may hold a secret."""
    return "://" in text or "@" in text


def _section(model: type[Settings], location: list[int | str]) -> type[Settings]:
    """Return the section at `location`, in which a part may also be the `kind` that tells one section from another."""
    options = [model]
    for part in location:
        fields = [option.model_fields[str(part)].annotation for option in options if part in option.model_fields]
        if fields:
            options = [option for option in (fields[0], *get_args(fields[0])) if _is_section(option)]
        else:
            options = [option for option in options if part in get_args(option.model_fields["kind"].annotation)]
    return options[0]


def _is_section(annotation: Any) -> TypeGuard[type[Settings]]:
    return isinstance(annotation, type) and issubclass(annotation, Settings)
