"""Clips as files for a course: ``sample-0001.mp3 …``, each whole or not at all.

A table of them, their licence and their citation lie beside them. An original is the file as published, byte for byte;
WAV and FLAC are the waveform of the shard in 16 bits. No file is ever removed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.audio import decode
from pipeline.clips import reader
from pipeline.commands import cuts
from pipeline.core import atomic
from pipeline.core.errors import ParameterError, PipelineError, SampleError
from pipeline.core.terminal import amount, listed
from pipeline.snapshot.description import Description, describe
from pipeline.snapshot.licenses import license_of
from pipeline.waveforms.conditions import meets, require_columns
from pipeline.waveforms.reader import Waveforms, open_waveforms

FORMATS = ("original", "mp3", "wav", "flac", "lhotse")
TABLE, README, LICENSE = "samples.csv", "README.md", "LICENSE"
MISSING = "?"  # as in the names of strata

_FACTS = ("split", "start_seconds", "duration_seconds", "source_sha256")  # in the table, behind the declared columns


class FolderUnusable(PipelineError):
    """The folder to write to cannot be made or read."""

    def __init__(self, folder: Path, error: OSError) -> None:
        super().__init__(f"{folder}: {error.strerror or error}. Nothing was written; name another folder with --to.")


class FolderInUse(PipelineError):
    """The folder to write to has files in it."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(
            f"{folder} is not empty: it has {listed(names, 3)}. Nothing was written. Name another folder, or "
            f"replace what has the same name with --force."
        )


class FolderOfOthers(PipelineError):
    """The folder to write to has a README or a licence that no export wrote: it is not replaced, even if forced."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        super().__init__(
            f"{folder} has a {' and a '.join(names)} of something else. Nothing was written; "
            "name another folder with --to."
        )


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add which clips, where to, and in which form."""
    parser.add_argument("--clips", type=count, required=True, metavar="N", help="how many, from the first on")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="an empty folder, or a new one")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="original",
        help="original (default; also called mp3) is the file as published, lhotse is FLAC with a CutSet",
    )
    parser.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE", help="such as split=train; may be repeated"
    )
    parser.add_argument("--pictures", action="store_true", help="add a picture of each as PNG, which `show` draws")
    parser.add_argument("--force", action="store_true", help="write even if there are files, replacing same names")


def count(text: str) -> int:
    """Return the value of an option that is a number of clips."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"should be a number of clips, 1 or more; got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> Iterator[str]:
    """Yield what to print."""
    written = export(
        options.clips,
        options.to,
        file_format=options.format,
        where=options.where,
        pictures=options.pictures,
        force=options.force,
    )
    yield f"export: {written}"


def export(
    clips: int,
    folder: Path,
    *,
    file_format: str = "original",
    where: Sequence[str] = (),
    pictures: bool = False,
    force: bool = False,
) -> str:
    """Export the first `clips` clips of the ranking that match `where`; return what to tell the user.

    Raises
    ------
    ParameterError
        A condition names a column or a value that is not there; the message lists those that are.
    SampleError
        Fewer clips match.
    FolderInUse
        There are files in the folder, and `force` is not set.
    FolderOfOthers
        There is a README or a licence in it that no export wrote.
    FolderUnusable
        It cannot be made.
    """
    waveforms = open_waveforms()
    chosen = select(waveforms, where)
    if len(chosen) < clips:
        matching = (
            f"only {amount(len(chosen), 'clip')} match {' '.join(where)}" if where else f"there are {len(chosen)}"
        )
        raise SampleError(f"{matching}; --clips asks for {clips}")
    chosen = chosen.head(clips)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(path.name for path in folder.iterdir())
    except OSError as error:
        raise FolderUnusable(folder, error) from None
    if present and not force:
        raise FolderInUse(folder, present)
    if TABLE not in present and (theirs := [name for name in (README, LICENSE) if name in present]):
        raise FolderOfOthers(folder, theirs)
    snapshot = describe(waveforms.about["snapshot"])
    whole = {column.name: "Int32" for column in chosen.declared if column.type == "integer"}
    metadata = chosen.metadata().astype(whole)  # also where some are missing
    names = [column.name for column in chosen.declared]
    table = metadata[["clip_id", *names, *(fact for fact in _FACTS if fact in metadata)]]
    if file_format in ("original", "mp3"):
        contents = reader.read_originals(zip(table["clip_id"], table["source_sha256"], strict=True), cut=True)
    else:
        kind = cuts.AUDIO_FORMAT if file_format == "lhotse" else file_format
        samples = ((decode.to_pcm16(clip.waveform)[0], clip.sample_rate) for clip in chosen)
        contents = (reader.Original(decode.to_file(pcm, rate, kind.upper()), f".{kind}") for pcm, rate in samples)
    files = []
    for number, (data, extension) in enumerate(contents, start=1):
        files.append(f"sample-{number:04d}{extension}")
        atomic.write_bytes(folder / files[-1], data)
    if pictures:
        from pipeline.commands import drawing  # noqa: PLC0415  audio alone needs no pillow

        for clip, file in zip(chosen, files, strict=True):
            picture = drawing.png(clip.waveform, clip.sample_rate)
            atomic.write_bytes((folder / file).with_suffix(".png"), picture)
    if file_format == "lhotse":
        records = metadata.astype(object).where(metadata.notna(), None).to_dict("records")
        cut_lines = cuts.manifest(records, files, names, chosen.text)
        atomic.write_text(folder / cuts.MANIFEST, "".join(cut_lines))
    table.insert(0, "file", files)
    atomic.write_text(folder / TABLE, table.map(_as_text).to_csv(index=False, lineterminator="\n"))
    is_longer = file_format in ("original", "mp3") and "excerpt" in waveforms.about["settings"]
    atomic.write_text(folder / README, readme(snapshot, clips, pictures=pictures, is_longer=is_longer))
    atomic.write_text(
        folder / LICENSE, f"These clips are from {snapshot.title}, under this licence: {terms(snapshot)}\n"
    )
    return f"{amount(clips, 'clip')}, {TABLE}, {README} and {LICENSE} in {folder}"


def readme(snapshot: Description, clips: int, *, pictures: bool, is_longer: bool) -> str:
    """Return what lies beside the files: where they are from, how to cite them, and what each file is.

    `is_longer` is whether a file is the clip that the sample has an excerpt of.
    """
    drawn = "Each `.png` is a clip's waveform and mel spectrogram, over time.\n" if pictures else ""
    taken = (
        "The sample has an excerpt of each file: `start_seconds` says where it begins in its recording, and "
        "`duration_seconds` how long it is.\n"
        if is_longer
        else ""
    )
    forbidden = "Its terms forbid to publish the clips again.\n" if snapshot.redistribution is False else ""
    return (
        f"# {amount(clips, 'clip')} of {snapshot.title}\n\n"
        f"- Citation: {snapshot.citation}\n"
        f"- Licence: {terms(snapshot)}\n\n"
        f"`{TABLE}` has a row for each clip: its file, its id in the data set, and its columns.\n"
        f"{taken}{drawn}{forbidden}"
    )


def terms(snapshot: Description) -> str:
    """Return the name of the licence of a snapshot, and where its text is, if that is known."""
    url = license_of(snapshot.license).url
    return snapshot.license if url == snapshot.license else f"{snapshot.license}, {url}"


def _as_text(cell: object) -> object:
    """Return a cell that a spreadsheet does not take for a formula (owasp.org, CSV Injection)."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def select(clips: Waveforms, where: Sequence[str]) -> Waveforms:
    """Return a view of the clips for which all conditions hold, each a value of the column's type."""
    frame = clips.metadata()
    keep = np.ones(len(clips), dtype=bool)
    problems = []
    for condition in where:
        column, equals, text = condition.partition("=")
        try:
            if not equals:
                raise ValueError("expected COLUMN=VALUE")
            require_columns([column], frame.columns.tolist())
            keep &= meets(frame[column], _typed(text, frame[column]), MISSING)
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"--where {condition}: {error.args[0]}")
    if problems:
        raise ParameterError("the command line", problems)
    return clips[keep]


def _typed(text: str, cells: pd.Series) -> str | float | None:
    """Return a value as its column has it."""
    if text == MISSING:
        return None
    if pd.api.types.is_numeric_dtype(cells):
        with suppress(ValueError):
            return float(text)
    return text
