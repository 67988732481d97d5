"""What the outputs that lie in a folder contradict: in themselves, and in each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.clips.writer import ClipsSeal
from pipeline.commands.verify import agreement, snapshot
from pipeline.commands.verify.agreement import Examinations
from pipeline.commands.verify.outputs import Outputs, Problem
from pipeline.commands.verify.shards import Examined
from pipeline.core import schema
from pipeline.core.errors import GET_AGAIN, PipelineError
from pipeline.report.material import read_rejected
from pipeline.shards.folder import shard_name
from pipeline.shards.table import read_table

_MADE_OF = {"waveforms": "clips", "features": "waveforms", "transcripts": "waveforms"}

Table = tuple[Path, pd.DataFrame]


@dataclass(frozen=True)
class Tables:
    """The tables that lie in a folder, each with its path, and what is wrong with those that cannot be read."""

    ranking: Table | None
    sample: Table | None
    rejected: Table | None
    problems: tuple[Problem, ...]

    @classmethod
    def read(cls, outputs: Outputs) -> Tables:
        """Read them."""
        problems: list[Problem] = []

        def read(path: Path | None, load: Callable[[Path], pd.DataFrame]) -> Table | None:
            if path is None:
                return None
            try:
                return path, load(path)
            except (PipelineError, OSError, ValueError) as error:
                problems.append(Problem.of(path, error))
                return None

        ranking = read(outputs.ranking, lambda path: read_table(path, schema.RANKING_SCHEMA).to_pandas())
        sample = read(outputs.sample, lambda path: read_table(path, schema.SAMPLE_SCHEMA).to_pandas())
        rejected = read(outputs.rejected, lambda path: read_rejected(path).to_pandas())
        return cls(ranking, sample, rejected, tuple(problems))


def contradictions(outputs: Outputs, examined: Mapping[Path, Examined | None]) -> Iterator[Problem]:
    """Yield every contradiction; `examined` has all shards, None for a damaged one."""
    folders: dict[str, Examinations] = {}
    for output, folder in outputs.folders():
        paths = outputs.shards(output)
        if [path.name for path in paths] != [shard_name(number) for number in range(len(paths))] or not paths:
            yield Problem(folder, f"a shard is missing; {GET_AGAIN}")
            continue
        folders[output] = shards = [examined[path] for path in paths]
        yield from (Problem(shard.path, what) for shard in shards if shard for what in shard.problems)
        yield from agreement.of_folder(folder, shards)
    places = dict(outputs.folders())
    for made, source in _MADE_OF.items():
        if made in folders and source in folders:
            yield from agreement.of_derived(folders[made], folders[source], places[made], places[source])
    tables = Tables.read(outputs)
    yield from tables.problems
    yield from _of_snapshot(outputs, tables)
    yield from _of_rejected(outputs, folders.get("clips", []))
    if tables.sample is not None:
        yield from agreement.of_sample(*tables.sample, tables.ranking, tables.rejected)
        yield from agreement.of_whole_sample(*tables.sample, {places[name]: shards for name, shards in folders.items()})
        yield from _of_metrics(outputs.reports, tables.sample)


def _of_snapshot(outputs: Outputs, tables: Tables) -> Iterator[Problem]:
    """Yield what the snapshot's tables, its index and the ranking that was made of them contradict."""
    clips = None
    if outputs.snapshot is not None:
        snapshot_format, problems = snapshot.examine(outputs.snapshot)
        yield from problems
        if tables.ranking is not None and snapshot_format is not None:
            with suppress(PipelineError, OSError):  # the table is among the problems already
                named = list(tables.ranking[1]["table"].unique())
                clips = outputs.snapshot, snapshot.read_clips(outputs.snapshot, named, snapshot_format)
    if tables.ranking is not None:
        yield from agreement.of_ranking(*tables.ranking, clips)


def _of_rejected(outputs: Outputs, clips: Examinations) -> Iterator[Problem]:
    seals = [shard.seal for shard in clips if shard and isinstance(shard.seal, ClipsSeal)]
    if outputs.rejected is not None and seals and len(seals) == len(clips):
        yield from agreement.of_rejected(outputs.rejected, outputs.rejected.read_bytes(), seals)


def _of_metrics(reports: Path | None, sample: Table) -> Iterator[Problem]:
    """Yield whether the report counts other clips than the sample has."""
    path = reports / schema.METRICS.name if reports is not None else None
    if path is None or not path.is_file():
        return
    try:
        accepted = json.loads(path.read_bytes())["accepted"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Problem(path, f"cannot be read ({type(error).__name__}: {error})")
        return
    if accepted != len(sample[1]):
        yield Problem(path, f"counts {accepted} clips, and {sample[0]} has {len(sample[1])}; run: dvc repro")
