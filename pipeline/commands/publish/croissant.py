"""The folder described in Croissant 1.1: its files, the fields of its records, where it is from, what its limits are.

http://mlcommons.org/croissant/1.1; the responsible-AI fields are those of http://mlcommons.org/croissant/RAI/1.0.
Units are UCUM codes in schema.org's ``unitText``: Croissant allows properties of other vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.commands.publish.columns import Column
from pipeline.commands.publish.material import Material
from pipeline.core import schema
from pipeline.core.columns import apart
from pipeline.report import card
from pipeline.snapshot.licenses import license_of
from pipeline.snapshot.origin import OnKaggle

_TYPES = {
    pa.string(): "sc:Text",
    pa.int16(): "cr:Int16",
    pa.int32(): "cr:Int32",
    pa.int64(): "cr:Int64",
    pa.float32(): "cr:Float32",
    pa.float64(): "cr:Float64",
}
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{
        name: f"cr:{name}"
        for name in (
            *("arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject"),
            *("fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5"),
            *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
            *("separator", "source", "subField", "transform"),
        )
    },
}


@dataclass(frozen=True)
class Records:
    """A set of records: what it is called and is, the files that it is in, and its columns."""

    name: str
    description: str
    includes: str
    columns: Sequence[Column]


def describe(material: Material, records: Sequence[Records], files: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    """Return the description; `files` are the sizes in bytes and SHA-256 of Parquet files, by paths in the folder."""
    kept_apart = apart(material.waveforms[0].columns)
    what = f"value of {' or of '.join(kept_apart)}" if kept_apart else "clip"
    audio = f"Decoded, mixed down to mono, resampled to {material.sample_rate} Hz (soxr HQ)."
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": material.title,
        "description": f"A stratified sample of {material.clips} clips of {material.description.title}.",
        "license": license_of(material.description.license).url,
        "citeAs": material.description.citation,
        "version": schema.VERSION,
        "isLiveDataset": False,
        **_provenance(material),
        "rai:dataPreprocessingProtocol": [card.drawn(material.metrics), audio],
        "rai:dataLimitations": card.limits(material.metrics, kept_apart),
        "distribution": [
            *(
                {
                    "@type": "cr:FileObject",
                    "@id": path,
                    "name": path,
                    "contentUrl": path,
                    "contentSize": f"{size_bytes} B",
                    "encodingFormat": "application/x-parquet",
                    "sha256": sha256,
                }
                for path, (size_bytes, sha256) in files.items()
            ),
            *(
                {
                    "@type": "cr:FileSet",
                    "@id": f"files/{each.name}",
                    "name": f"files/{each.name}",
                    "description": f"The files of {each.name}.",
                    "encodingFormat": "application/x-parquet",
                    "includes": each.includes,
                }
                for each in records
            ),
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "splits",
                "name": "splits",
                "description": f"No {what} is in two of them.",
                "dataType": "cr:Split",
                "key": {"@id": "splits/name"},
                "field": [{"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"}],
                "data": [{"splits/name": name} for name in material.splits],
            },
            *(
                {
                    "@type": "cr:RecordSet",
                    "@id": each.name,
                    "name": each.name,
                    "description": each.description,
                    "key": {"@id": f"{each.name}/clip_id"},
                    "field": [_field(each.name, column, material.sample_rate) for column in each.columns],
                }
                for each in records
            ),
        ],
    }


def _provenance(material: Material) -> dict[str, Any]:
    source = material.description.source
    origin: dict[str, Any] = {"@type": "prov:Entity", "prov:label": material.description.title}
    if isinstance(source, OnKaggle):
        origin["@id"] = source.page
    seal = material.waveforms[0].seal
    versions = ", ".join(f"{name} {version}" for name, version in seal.decoder.items())
    return {
        "prov:wasDerivedFrom": origin,
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": card.drawn(material.metrics),
            "prov:wasAssociatedWith": {
                "@type": "prov:SoftwareAgent",
                "prov:label": f"audio-subsample {seal.version} ({versions})",
            },
        },
    }


def _field(record_set: str, column: Column, sample_rate: int) -> dict[str, Any]:
    kind = column.field.type
    source: dict[str, Any] = {"fileSet": {"@id": f"files/{record_set}"}, "extract": {"column": column.name}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{column.name}",
        "name": column.name,
        "description": column.description,
        "source": source,
    }
    if pa.types.is_struct(kind):
        source["transform"] = {"jsonPath": "bytes"}
        field |= {"dataType": "sc:AudioObject"}
        source["samplingRate"] = sample_rate
    elif pa.types.is_list(kind):
        field |= {"dataType": _TYPES[kind.value_type], "isArray": True, "arrayShape": "-1"}
    else:
        field["dataType"] = _TYPES[kind]
    if column.unit:
        field["unitText"] = column.unit
    if column.name == "split":
        field["references"] = {"field": {"@id": "splits/name"}}
    return field
