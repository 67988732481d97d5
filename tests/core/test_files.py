"""What lies in the place of a file or a folder is one line that names it, and no pipe is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core import atomic
from pipeline.core.errors import ShardError, explain
from pipeline.core.files import require_file
from pipeline.shards.recipe import DerivedSeal
from pipeline.shards.sealed import Shard

IN_PLACE: dict[str, Callable[[Path], object]] = {
    "no such file": lambda path: path,
    "a link to a missing file": lambda path: path.symlink_to("gone"),
    "a link to a missing": lambda path: path.symlink_to(path.name),  # a loop
    "no regular file": lambda path: path.mkdir(),
    "no regular": os.mkfifo,
}


@pytest.mark.parametrize("message", IN_PLACE)
def test_require_file_says_what_lies_in_its_place(message: str, tmp_path: Path) -> None:
    path = tmp_path / "part-00000.parquet"
    IN_PLACE[message](path)
    for read in (lambda: require_file(path, ShardError), lambda: Shard(path, DerivedSeal)):
        with pytest.raises(ShardError) as caught:
            read()
        assert str(caught.value).startswith(f"{path}: {message}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("message", [message for message in IN_PLACE if message != "no regular file"])
def test_replacing_folder_replaces_what_is_no_folder(message: str, tmp_path: Path) -> None:
    IN_PLACE[message](tmp_path / "snapshot")
    with atomic.replacing_folder(tmp_path / "snapshot") as new:
        (new / "receipt.json").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["snapshot", "receipt.json"]


def test_explain_names_what_lies_in_the_place_of_an_output(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "folder").symlink_to("folder")
    cases: list[tuple[Path, Callable[[], object]]] = [
        (tmp_path / "table", lambda: atomic.write_text(tmp_path / "table", "x")),
        (tmp_path / "folder", lambda: (tmp_path / "folder").mkdir(parents=True, exist_ok=True)),
        (tmp_path / "folder/file", lambda: atomic.write_text(tmp_path / "folder/file", "x")),
    ]
    for path, write in cases:
        with pytest.raises(OSError, match="\\[Errno") as caught:
            write()
        message, status = explain(caught.value)
        assert (message or "").startswith(f"{str(path).removesuffix('/file')}: something else lies in the place")
        assert status == 1


@pytest.mark.parametrize("link", ["hardlink_to", "symlink_to"])
def test_replacing_a_link_never_writes_to_what_it_links_to(link: str, tmp_path: Path) -> None:
    """As into DVC's cache."""
    (tmp_path / "cached").write_text("old")
    getattr(tmp_path / "output", link)(tmp_path / "cached")
    atomic.write_text(tmp_path / "output", "new")
    assert [(tmp_path / name).read_text() for name in ("cached", "output")] == ["old", "new"]
