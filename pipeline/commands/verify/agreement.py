"""Whether the outputs say the same of the same clips. Pure: frames in, problems out."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd

from pipeline.clips.writer import ClipsSeal
from pipeline.commands.verify.outputs import Problem
from pipeline.commands.verify.shards import Examined, some
from pipeline.core import schema
from pipeline.sampling import shares
from pipeline.sampling.sentences import normalise
from pipeline.shards.recipe import DerivedSeal, is_made_from

Examinations = Sequence[Examined | None]  # in the order of the shards; None where one is damaged


def of_folder(folder: Path, shards: Examinations) -> Iterator[Problem]:
    """Yield what the shards of one folder contradict in each other."""
    whole = [shard for shard in shards if shard is not None]
    frames = [shard.rows for shard in whole if "clip_id" in shard.rows]
    if not frames:
        return
    rows = pd.concat(frames, ignore_index=True)
    yield from of_rows(folder, rows)
    full = max(len(shard.rows) for shard in whole)
    for shard in shards[:-1]:
        if shard is not None and len(shard.rows) != full:
            yield Problem(shard.path, f"has {len(shard.rows)} rows, and is not the last; a full shard has {full}")
    for first, second in pairwise(shards):
        if first is not None and second is not None:
            yield from _of_neighbours(first, second)


def _of_neighbours(first: Examined, second: Examined) -> Iterator[Problem]:
    if isinstance(first.seal, DerivedSeal) and isinstance(second.seal, DerivedSeal):
        is_alike = first.seal.is_like(second.seal)
    elif isinstance(first.seal, ClipsSeal) and isinstance(second.seal, ClipsSeal):
        is_alike = first.seal.facts() == second.seal.facts()
        if second.seal.ranks[0] != first.seal.ranks[1] + 1:
            yield Problem(second.path, f"does not begin at the rank after the last one of {first.path.name}")
    else:
        is_alike = False
    if not is_alike:
        yield Problem(second.path, f"was made in another way than {first.path.name}; run: dvc repro")


def of_rows(path: Path, rows: pd.DataFrame) -> Iterator[Problem]:
    """Yield which ids occur twice, whether ranks rise, and which sentences and speakers are in two splits."""
    twice = rows["clip_id"][rows["clip_id"].duplicated()]
    if len(twice):
        yield Problem(path, f"clips that are in it more than once: {some(twice)}")
    if "rank" in rows and not (rows["rank"].diff().dropna() > 0).all():
        yield Problem(path, "its ranks do not rise from row to row")
    for column, what in (("text", "sentence"), ("speaker", "speaker")):
        if column in rows and "split" in rows:
            named = rows[rows[column].notna()]
            keys = named[column].map(
                {name: normalise(name) if column == "text" else name for name in named[column].unique()}
            )
            splits = named["split"].groupby(keys).nunique()
            if (leaks := splits.index[splits > 1]).size:
                yield Problem(path, f"{len(leaks)} {what}s are in more than one split, such as {leaks[0]!r}")


def of_derived(derived: Examinations, sources: Examinations, folder: Path, source: Path) -> Iterator[Problem]:
    """Yield which shards were made of others than those that lie in `source`, and which of their rows differ."""
    if len(derived) != len(sources):
        yield Problem(folder, f"has {len(derived)} shards, and {source} has {len(sources)}; run: dvc repro")
    for made, origin in zip(derived, sources, strict=False):
        if made is None or origin is None:
            continue
        if isinstance(made.seal, DerivedSeal) and not is_made_from(made.seal, origin.seal):
            yield Problem(made.path, f"was not made of {origin.path} as it is now; run: dvc repro")
        yield from of_tables(made.path, made.rows, origin.path, by_clip(origin.rows))


def by_clip(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Index rows by their clips, once for all that is compared with them; None where some have none, or the same."""
    indexed = rows.set_index("clip_id") if "clip_id" in rows else None
    return indexed if indexed is not None and indexed.index.is_unique else None


def of_tables(path: Path, rows: pd.DataFrame, other_path: Path, other: pd.DataFrame | None) -> Iterator[Problem]:
    """Yield in which of the columns that both have `rows` differ from the rows of the same clips in `other`."""
    if "clip_id" not in rows or other is None:
        return
    places = other.index.get_indexer(pd.Index(rows["clip_id"]))
    known = places >= 0
    if not known.all():
        yield Problem(path, f"has clips that {other_path} has not: {some(rows['clip_id'][~known])}")
    rows = rows[known].set_index("clip_id")
    there = other.iloc[places[known]]
    for column in rows.columns.intersection(there.columns):
        differ = (rows[column] != there[column]) & ~(rows[column].isna() & there[column].isna())
        if (unlike := differ.fillna(value=True).to_numpy(dtype=bool)).any():
            yield Problem(path, f"{column} is not what {other_path} says of {some(rows.index[unlike].to_series())}")


def of_sample(
    path: Path,
    sample: pd.DataFrame,
    ranking: tuple[Path, pd.DataFrame] | None,
    rejected: tuple[Path, pd.DataFrame] | None,
) -> Iterator[Problem]:
    """Yield what the sample contradicts: itself, the ranking that it is the head of, and the list of rejected clips."""
    yield from of_rows(path, sample)
    if rejected is not None:
        ranks = [*sample["rank"], *rejected[1]["rank"].astype("int64")]
        if sorted(ranks) != list(range(len(ranks))):
            yield Problem(path, f"its ranks and those of {rejected[0]} are not 0 to {len(ranks) - 1}, each once")
    if ranking is not None:
        ranked = by_clip(ranking[1])
        yield from of_tables(path, sample, ranking[0], ranked)
        if rejected is not None:
            ranks_there = rejected[1].astype({"rank": "int64"})[["clip_id", "rank"]]
            yield from of_tables(rejected[0], ranks_there, ranking[0], ranked)
        sizes = Counter(ranking[1]["stratum"])
        if set(sample["stratum"]) <= set(sizes):
            wrong = shares.weights(sample["stratum"], sizes) != sample["weight"].to_numpy()
            if wrong.any():
                yield Problem(path, f"weight is not what {ranking[0]} gives for {some(sample['clip_id'][wrong])}")


def of_ranking(path: Path, ranking: pd.DataFrame, clips: tuple[Path, pd.DataFrame] | None) -> Iterator[Problem]:
    """Yield what the ranking contradicts: itself, and the tables that it was made of (``clips``, with speakers)."""
    if list(ranking["rank"]) != list(range(len(ranking))):
        yield Problem(path, "its ranks are not 0, 1, 2 …")
    speakers = {} if clips is None else clips[1].set_index("clip_id").to_dict("series")
    rows = ranking
    if "speaker" in speakers:
        rows = ranking.assign(speaker=speakers["speaker"].reindex(ranking["clip_id"]).to_numpy())
    yield from of_rows(path, rows)
    if clips is not None:
        yield from of_tables(path, ranking, clips[0], by_clip(clips[1]))


def of_rejected(path: Path, data: bytes, seals: Sequence[ClipsSeal]) -> Iterator[Problem]:
    """Yield whether ``rejected.csv`` is another list, byte for byte, than the seals of all shards of clips make."""
    sealed = [rejection for seal in seals for rejection in seal.rejected]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([schema.REJECTED_COLUMNS, *sealed])
    if data != buffer.getvalue().encode():
        yield Problem(path, f"is not the list of the {len(sealed)} clips that the seals in clips say were rejected")


def of_whole_sample(sample: Path, rows: pd.DataFrame, folders: Mapping[Path, Examinations]) -> Iterator[Problem]:
    """Yield which folders hold other clips than the sample, or say something else of them."""
    sampled = by_clip(rows)
    for folder, shards in folders.items():
        whole = [shard for shard in shards if shard is not None]
        for shard in whole:
            yield from of_tables(shard.path, shard.rows, sample, sampled)
        count = sum(len(shard.rows) for shard in whole)
        if len(whole) == len(shards) and count != len(rows):
            yield Problem(folder, f"has {count} clips, and {sample} has {len(rows)}; run: dvc repro")
