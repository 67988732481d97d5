"""The rejected clips, each with its reason: counted, and listed in ``data/rejected.csv``."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pyarrow.csv import ConvertOptions, ParseOptions, read_csv

from pipeline.core import schema
from pipeline.core.errors import GET_AGAIN, SampleError, SnapshotError, TableError, first_line
from pipeline.core.files import require_file
from pipeline.core.schema import Reason
from pipeline.core.terminal import amount


class Rejection(NamedTuple):
    """A rejected clip: a row of the file."""

    rank: int
    clip_id: str
    reason: str
    detail: str


@dataclass
class Counts:
    """What became of the clips that were examined, in the order of the ranking."""

    max_rejected: float
    accepted: list[int] = field(default_factory=list)  # ranks
    rejected: list[Rejection] = field(default_factory=list)

    def add(self, ranks: tuple[int, int], rejected: Iterable[Rejection]) -> None:
        """Count the clips of a shard: the first and the last of its ranks, and those that were rejected."""
        self.rejected += rejected
        left_out = {rejection.rank for rejection in self.rejected}
        self.accepted += [rank for rank in range(ranks[0], ranks[1] + 1) if rank not in left_out]

    def reasons(self) -> str:
        """Return how many were rejected for which reason, in words."""
        return _reasons(self.rejected)

    def verify(self, accepted: int, more: Iterable[Rejection] = ()) -> None:
        """Raise `SampleError` where more are rejected than `max_rejected` allows beside `accepted` good ones."""
        rejected = [each for each in (*self.rejected, *more) if each.reason != Reason.EXCLUDED]
        examined = accepted + len(rejected)
        if len(rejected) > self.max_rejected * examined:
            last = rejected[-1]
            verb = "is" if len(rejected) == 1 else "are"
            raise SampleError(
                f"at least {len(rejected)} of {amount(examined, 'clip')} {verb} rejected, more than "
                f"subsample.max_rejected = {self.max_rejected:g} allows: {_reasons(rejected)}.\n"
                f"The last one was {last.clip_id} at rank {last.rank}: {last.reason}, {last.detail}.\n"
                "If the snapshot is like that, allow more in params.yaml; otherwise get it again."
            )


def rejected_csv(rejected: Iterable[Sequence[Any]]) -> str:
    """Return the text of the file that lists these clips."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([schema.REJECTED_COLUMNS, *rejected])
    return buffer.getvalue()


def read_rejected(path: Path = schema.REJECTED) -> pa.Table:
    """Read the file: `schema.REJECTED_COLUMNS`, all of them strings.

    Raises TableError if it is not what `subsample` writes.
    """
    require_file(path, SnapshotError)
    types = dict.fromkeys(schema.REJECTED_COLUMNS, pa.string())
    try:
        return read_csv(
            path,
            parse_options=ParseOptions(newlines_in_values=True),
            convert_options=ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except (pa.ArrowInvalid, KeyError) as error:
        raise TableError(str(path), None, f"is damaged ({first_line(error)}); {GET_AGAIN}, or dvc repro") from None


def _reasons(rejected: Iterable[Rejection]) -> str:
    counts = Counter(rejection.reason for rejection in rejected)
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
