"""The chain of seals: whether each output was made of the one that lies there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.clips.plan import CLIP_COLUMNS, Candidates
from pipeline.clips.rejected import rejected_csv
from pipeline.clips.writer import ClipsSeal, clips_fingerprint
from pipeline.commands.verify.outputs import FOLDERS_OF_SHARDS, Problem, shards_of
from pipeline.core import schema
from pipeline.core.errors import GET_AGAIN, PipelineError, SnapshotError
from pipeline.core.schema import Reason
from pipeline.registry import DERIVED
from pipeline.shards.folder import shard_name
from pipeline.shards.recipe import DerivedSeal, is_made_from
from pipeline.shards.sealed import Shard
from pipeline.shards.table import read_table
from pipeline.snapshot.clips import read_clips
from pipeline.snapshot.receipt import read_receipt

Shards = Sequence[Shard[Any] | None]  # None where one is damaged


def check_chain(outputs: Mapping[str, Path], whole: Mapping[Path, Shard[Any]]) -> Iterator[Problem]:
    """Yield where the chain of `find_outputs` breaks; `whole` are the shards and tables that are, byte for byte."""
    folders: dict[str, Shards] = {}
    for name in FOLDERS_OF_SHARDS:
        if name in outputs:
            paths = shards_of(outputs[name])
            if not paths or [path.name for path in paths] != [shard_name(number) for number in range(len(paths))]:
                yield Problem(outputs[name], f"a shard is missing; {GET_AGAIN}")
                continue
            folders[name] = [whole.get(path) for path in paths]
            yield from _check_folder(name, folders[name])
    for name, source in DERIVED.items():
        if name in folders and source in folders:
            yield from _check_derived(outputs, name, folders[name], source, folders[source])
    yield from _check_tables(outputs, whole, folders.get("clips", ()))


def _check_folder(name: str, shards: Shards) -> Iterator[Problem]:
    """Yield which shards are of another output, made in another way than their neighbour, or out of order."""
    for shard in shards:
        if shard and isinstance(shard.seal, DerivedSeal) and shard.seal.recipe != name:
            yield Problem(Path(shard.path), f"is a shard of {shard.seal.recipe}; {GET_AGAIN}")
    for before, after in pairwise(shards):
        if before is None or after is None:
            continue
        if name == "clips":
            is_alike = before.seal.facts() == after.seal.facts()
            is_next = before.seal.ranks[1] + 1 == after.seal.ranks[0]
        else:
            is_alike = before.seal.is_like(after.seal)
            first, second = before.first_rank, after.first_rank
            is_next = first is None or second is None or first < second
        if not is_alike:
            yield Problem(Path(after.path), f"was made in another way than {before.path}; run: dvc repro")
        if not is_next:
            yield Problem(Path(after.path), f"does not continue {before.path}; {GET_AGAIN}")


def _check_derived(
    outputs: Mapping[str, Path], name: str, shards: Shards, source: str, origins: Shards
) -> Iterator[Problem]:
    """Yield which shards were made of others than those that lie there."""
    may_be_fewer = name == schema.TRANSCRIPTS.name  # `transcribe --clips`
    if len(shards) > len(origins) or (len(shards) < len(origins) and not may_be_fewer):
        counts = f"has {len(shards)} shards, and {outputs[source]} has {len(origins)}"
        yield Problem(outputs[name], f"{counts}; run: dvc repro")
    for shard, origin in zip(shards, origins, strict=False):
        if shard and origin and not is_made_from(shard.seal, origin.seal):
            yield Problem(Path(shard.path), f"was not made of {origin.path} as it is now; run: dvc repro")


def _check_tables(
    outputs: Mapping[str, Path], whole: Mapping[Path, Shard[Any]], shards_of_clips: Shards
) -> Iterator[Problem]:
    """Yield what the table of clips, the ranking, the sample and the seals of clips contradict."""
    tables = {}
    for name, columns in (("ranking", schema.ranking_schema), ("sample", schema.sample_schema)):
        if outputs.get(name) in whole:
            try:
                tables[name] = read_table(outputs[name], columns)
            except PipelineError as error:
                yield Problem.of(outputs[name], error)
    ranking, sample = tables.get("ranking"), tables.get("sample")
    if ranking is not None and sample is not None:
        rows = ranking.filter(pc.is_in(ranking["rank"], sample["rank"].combine_chunks()))
        if not rows.equals(sample.select(ranking.column_names)):
            yield Problem(outputs["sample"], f"was not made of {outputs['ranking']} as it is now; run: dvc repro")
    drawn_from, problem = None, None
    if "snapshot" in outputs:
        drawn_from, problem = _read_table_of_clips(outputs["snapshot"], ranking)
    if problem is not None:
        yield problem
    clips = {Path(shard.path): shard.seal for shard in shards_of_clips if shard}
    if clips and len(clips) == len(shards_of_clips):
        yield from _check_clips(outputs, clips, sample)
        if ranking is not None and drawn_from is not None:
            yield from _check_drawn(outputs, clips, ranking, drawn_from)


def _read_table_of_clips(folder: Path, ranking: pa.Table | None) -> tuple[pa.Table | None, Problem | None]:
    """Return the rows of the tables that the ranking draws from, or what is wrong with the table of clips."""
    path = folder / schema.RECEIPT.name
    try:
        receipt = read_receipt(path)
        path = folder / schema.CLIP_TABLE.name
        tables = [] if ranking is None else ranking["table"].unique().to_pylist()
        return read_clips(receipt, [name for name in tables if name in receipt.usable], CLIP_COLUMNS, path), None
    except (PipelineError, OSError) as error:
        return None, Problem.of(path, error)


def _check_clips(
    outputs: Mapping[str, Path], clips: Mapping[Path, ClipsSeal], sample: pa.Table | None
) -> Iterator[Problem]:
    """Yield whether ``rejected.csv`` and ``sample.parquet`` list other clips than the seals of all shards of clips."""
    rejections = [rejection for seal in clips.values() for rejection in seal.rejected]
    rejected = {rejection.rank for rejection in rejections}
    examined = (rank for seal in clips.values() for rank in range(seal.ranks[0], seal.ranks[1] + 1))
    if sample is not None and sample["rank"].to_pylist() != [rank for rank in examined if rank not in rejected]:
        yield Problem(outputs["sample"], f"lists other clips than {outputs['clips']} has; run: dvc repro")
    path = outputs.get("rejected")
    if path is not None and path.is_file() and path.read_bytes() != rejected_csv(rejections).encode():
        listed = f"the {len(rejections)} clips that the seals in {outputs['clips']} say were rejected"
        yield Problem(path, f"is not the list of {listed}; {GET_AGAIN}")


def _check_drawn(
    outputs: Mapping[str, Path], clips: Mapping[Path, ClipsSeal], ranking: pa.Table, drawn_from: pa.Table
) -> Iterator[Problem]:
    """Yield which shards of clips were made of another ranking or table of clips."""
    excluded = {each.clip_id for seal in clips.values() for each in seal.rejected if each.reason == Reason.EXCLUDED}
    try:
        candidates = Candidates(ranking, drawn_from, excluded)
    except SnapshotError:
        yield Problem(outputs["ranking"], f"was not made of {outputs['snapshot']} as it is now; run: dvc repro")
        return
    for path, seal in clips.items():
        first, last = seal.ranks
        if seal.fingerprint != clips_fingerprint(seal, candidates.between(first, last + 1)):
            sources = f"{outputs['ranking']} and {outputs['snapshot']}"
            yield Problem(path, f"was not made of {sources} as they are now; run: dvc repro")
