"""What is published: waveforms, features if present, the card and its numbers, and the terms of the snapshot."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.commands.verify import audit
from pipeline.core import schema
from pipeline.core.columns import fields
from pipeline.core.errors import PipelineError, ShardError
from pipeline.core.terminal import amount, listed
from pipeline.shards.folder import shard_paths
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard
from pipeline.snapshot.description import Description, describe
from pipeline.snapshot.origin import CompetitionSource
from pipeline.waveforms.encodings import waveforms_schema


class RedistributionForbidden(PipelineError):
    """The snapshot's terms do not allow its clips to be published again."""

    def __init__(self, snapshot: str, description: Description) -> None:
        path, title = schema.SNAPSHOTS / f"{snapshot}.yaml", description.title
        if description.redistribution is None:
            by_name = f"nor does the name of their licence, {description.license}"
            if isinstance(description.source, CompetitionSource):
                by_name = "and the rules of a competition may forbid it whatever the licence"
            reason = (
                f"{path} does not say whether the terms of {title} allow it, {by_name}.\n"
                "If they allow it, say so there: redistribution: true"
            )
        else:
            reason = (
                f"{path}, or its format, says redistribution: false: the terms of {title} forbid to host a copy.\n"
                "Share params.yaml and dvc.lock instead: anyone who has the data can make the same sample."
            )
        super().__init__(f"the sample cannot be published. {reason}")


@dataclass(frozen=True)
class Material:
    """What is published."""

    description: Description
    waveforms: tuple[Shard[DerivedSeal], ...]
    features: tuple[Shard[DerivedSeal], ...]  # none where none were made
    card: str  # reports/DATASET_CARD.md
    metrics: dict[str, Any]  # reports/metrics.json

    @classmethod
    def load(cls) -> Material:
        """Open everything, and make sure that all of it is whole and consistent.

        Raises RedistributionForbidden if the snapshot may not be published again, and ShardError if `verify` finds
        problems.
        """
        waveforms = _shards(schema.WAVEFORMS)
        snapshot = waveforms[0].seal.snapshot
        description = describe(snapshot)
        if not description.may_be_redistributed:
            raise RedistributionForbidden(snapshot, description)
        problems = audit.verify(Path()).problems
        if problems:
            raise ShardError(
                f"the sample is not whole and consistent, and is not published: {listed(problems, 1)}.\n"
                "To see all: python -m pipeline verify"
            )
        features = _shards(schema.FEATURES) if schema.FEATURES.is_dir() else ()
        card, metrics = (path.read_text(encoding="utf-8") for path in (schema.CARD, schema.METRICS))
        return cls(description, waveforms, features, card, json.loads(metrics))

    @property
    def sample_rate(self) -> int:
        """Of all waveforms, in Hz."""
        return int(self.waveforms[0].seal.settings["sample_rate"])

    @property
    def flac_columns(self) -> pa.Schema:
        """The columns of the waveforms with FLAC files in place of samples."""
        columns = self.waveforms[0].columns
        return waveforms_schema("flac", fields(columns), pieces="start_seconds" in columns.names)

    @cached_property
    def splits(self) -> dict[str, int]:
        """The number of clips of each split, in the order train, dev, test, others."""
        counts: Counter[str] = Counter()
        for shard in self.waveforms:
            counts.update(shard.read_all(["split"])["split"].to_pylist())
        return {name: counts[name] for name in sorted(counts, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))}

    @property
    def clips(self) -> int:
        """The number of clips."""
        return sum(shard.num_rows for shard in self.waveforms)

    @property
    def title(self) -> str:
        """The title of the snapshot without what is in parentheses, and the number of clips; at most 50 characters."""
        suffix = f": {amount(self.clips, 'clip')}"
        base = self.description.title.partition(" (")[0]
        return f"{base[: 50 - len(suffix)].rstrip(' ,')}{suffix}"

    @property
    def slug(self) -> str:
        """The title as a name in a URL, of 6 to 50 characters."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def card_head(self) -> str:
        """The YAML between the lines of dashes of the card."""
        return self.card.split("---\n", 2)[1]

    @property
    def card_body(self) -> str:
        """The card without its YAML."""
        return self.card.split("---\n", 2)[2].lstrip("\n")


_ORDER = {"train": 0, "dev": 1, "test": 2}


def _shards(folder: Path) -> tuple[Shard[DerivedSeal], ...]:
    return tuple(Shard(path, DerivedSeal) for path in shard_paths(folder))
