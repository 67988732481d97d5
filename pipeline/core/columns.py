"""Declared columns: what a snapshot's description says of each, carried in the metadata of Arrow fields."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Role = Literal["label", "text"]
Value = str | int | float

TYPES = {"text": pa.string(), "integer": pa.int32(), "number": pa.float64()}

# What the stages write beside the declared columns, and what the reader's clips have as attributes.
RESERVED = frozenset(
    {"clip_id", "table", "path", "size_bytes", "crc32", "method", "flags", "offset", "compressed_bytes", "seconds"}
    | {"rank", "split", "stratum", "weight", "reason", "detail", "audio", "waveform", "columns", "features", "metadata"}
    | {"sample_rate", "num_samples", "duration_seconds", "start_seconds", "peak_dbfs", "rms_dbfs", "clipped_samples"}
    | {"source_format", "source_sample_rate", "source_channels", "source_sha256", "words", "words_per_second"}
    | {"end_seconds"}
)


@dataclass(frozen=True)
class Column:
    """A declared column. A missing value is null."""

    name: str
    type: Literal["text", "integer", "number"] = "text"  # a key of `TYPES`
    roles: tuple[Role, ...] = ()  # label: what a classifier predicts, and the report compares by; text: what is said
    is_apart: bool = False  # whether no value of it may be in two splits
    unit: str | None = None
    description: str | None = None
    values: tuple[Value, ...] = ()  # the documented ones, if any; others may occur

    @property
    def field(self) -> pa.Field:
        """The Arrow field that carries the declaration, in Parquet files as well."""
        said = {
            "type": self.type,
            "roles": " ".join(self.roles),
            "apart": "true" if self.is_apart else "",
            "unit": self.unit,
            "description": self.description,
            "values": json.dumps(self.values, ensure_ascii=False) if self.values else "",
        }
        return pa.field(self.name, TYPES[self.type], metadata={key: value for key, value in said.items() if value})


def declared(schema: pa.Schema) -> tuple[Column, ...]:
    """Return the declared columns of a table, in its order."""
    columns = []
    for field in schema:
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        if said.get("type") in TYPES:
            column = Column(
                field.name,
                said["type"],
                tuple(said.get("roles", "").split()),
                "apart" in said,
                said.get("unit"),
                said.get("description"),
                tuple(json.loads(said.get("values", "[]"))),
            )
            columns.append(column)
    return tuple(columns)


def fields(schema: pa.Schema) -> list[pa.Field]:
    """Return the fields of the declared columns, which carry what is declared of them."""
    return [schema.field(column.name) for column in declared(schema)]


def with_role(schema: pa.Schema, role: Role) -> str | None:
    """Return the name of the column that has a role; None where there is none."""
    return next((column.name for column in declared(schema) if role in column.roles), None)


def apart(schema: pa.Schema) -> tuple[str, ...]:
    """Return the names of the columns of which no value may be in two splits."""
    return tuple(column.name for column in declared(schema) if column.is_apart)
