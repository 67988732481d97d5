"""Recorded checksums of files: those of dvc.lock, and of the list in a published folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.commands.verify.outputs import Problem, files_of
from pipeline.core.errors import GET_AGAIN, first_line

LOCK = "dvc.lock"
SUMS = "SHA256SUMS"
_SUM = re.compile(r"([0-9a-f]{64}) [ *](.+)")  # as sha256sum of GNU coreutils writes it
_DIRECTORY = ".dir"  # ends the MD5 of a folder


@dataclass(frozen=True)
class Lock:
    """What dvc.lock records of the outputs within a folder, whose paths are relative where that of the folder is."""

    root: Path  # of dvc.lock, absolute
    outs: Mapping[Path, str] = field(default_factory=dict)  # MD5 of each that is here, a folder's with .dir behind it
    missing: tuple[Path, ...] = ()  # those that are not here
    problems: tuple[Problem, ...] = ()  # why dvc.lock cannot be used

    @classmethod
    def above(cls, folder: Path) -> Lock | None:
        """Read what the dvc.lock of the project that `folder` is in records of it, if there is one."""
        inside = Path(os.path.normpath(folder.absolute()))
        root = next((place for place in (inside, *inside.parents) if (place / LOCK).is_file()), None)
        if root is None:
            return None
        try:
            stages = YAML(typ="safe").load((root / LOCK).read_bytes())["stages"].values()
            md5s = {out["path"]: str(out["md5"]) for stage in stages for out in stage.get("outs", ()) if "md5" in out}
        except (YAMLError, OSError, UnicodeError, TypeError, KeyError, ValueError, AttributeError) as error:
            lock = root / LOCK if folder.is_absolute() else Path(os.path.relpath(root / LOCK))
            return cls(root, problems=(Problem(lock, f"cannot be read ({first_line(error)}); get it again with git"),))
        paths = {root / path: md5 for path, md5 in md5s.items()}
        outs = {folder / path.relative_to(inside): paths[path] for path in paths if path.is_relative_to(inside)}
        here = {path: md5 for path, md5 in outs.items() if os.path.lexists(path)}
        return cls(root, here, missing=tuple(sorted(outs.keys() - here)))

    def files(self) -> set[Path]:
        """Return the files that it has a checksum of."""
        return {file for out in self.outs for file in files_of(out)}

    def compare(self, md5s: Mapping[Path, str], damaged: set[Path]) -> Iterator[Problem]:
        """Yield the files whose MD5 differs; one that is known to be `damaged` gets no second line."""
        for out, expected in self.outs.items():
            if out in damaged:
                continue
            if not expected.endswith(_DIRECTORY):
                if md5s.get(out) != expected:
                    yield Problem(out, f"is not what {LOCK} records; {GET_AGAIN}")
                continue
            found = {file.relative_to(out).as_posix(): md5s.get(file, "") for file in files_of(out)}
            if manifest_md5(found) + _DIRECTORY == expected:
                continue
            manifest = self._manifest(expected)
            problems = list(_differences(out, found, manifest) if manifest else ())
            if manifest is None and not damaged & set(files_of(out)):
                problems = [Problem(out, f"a file in it is not what {LOCK} records, or is missing; {GET_AGAIN}")]
            yield from (problem for problem in problems if problem.path not in damaged)

    def _manifest(self, md5: str) -> dict[str, str] | None:
        """Return DVC's manifest of a folder, if its cache has it and it is right: the MD5 of each file in it."""
        path = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        try:
            data = path.read_bytes()
        except OSError:
            return None
        if hashlib.md5(data, usedforsecurity=False).hexdigest() + _DIRECTORY != md5:
            return None
        return {entry["relpath"]: entry["md5"] for entry in json.loads(data)}


def manifest_md5(md5s: Mapping[str, str]) -> str:
    """Return the MD5 by which DVC knows a folder: that of its manifest, which is in the order of paths.

    As `dvc_data.hashfile.tree.Tree.as_bytes` (dvc-data 3.16) writes it.
    """
    entries = [{"md5": md5s[path], "relpath": path} for path in sorted(md5s)]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def _differences(out: Path, found: Mapping[str, str], recorded: Mapping[str, str]) -> Iterator[Problem]:
    for name in sorted({*found, *recorded}):
        if name not in found:
            yield Problem(out / name, f"is missing; {GET_AGAIN}")
        elif name not in recorded:
            yield Problem(out / name, f"is not among the files that {LOCK} records; remove it, or run: dvc repro")
        elif found[name] != recorded[name]:
            yield Problem(out / name, f"is not what {LOCK} records; {GET_AGAIN}")


def read_sums(folder: Path) -> tuple[dict[Path, str], list[Problem]]:
    """Read the SHA-256 of each file that a published folder lists, and what is wrong with the list."""
    path = folder / SUMS
    sums: dict[Path, str] = {}
    problems: list[Problem] = []
    if path.is_file():
        for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), start=1):
            entry = _SUM.fullmatch(line)
            if entry is None or Path(entry[2]).is_absolute() or ".." in Path(entry[2]).parts:
                problems.append(
                    Problem(path, f"line {number}: expected a SHA-256 and a file's name; got {line[:80]!r}")
                )
            elif not (folder / entry[2]).is_file():
                problems.append(Problem(folder / entry[2], f"is missing; {SUMS} lists it"))
            else:
                sums[folder / entry[2]] = entry[1]
    return sums, problems
