"""Tar archives of all kinds: what tarfile reads is what we read, and what is no whole archive is said to be none."""

from __future__ import annotations

import gzip
import random
import sys
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import schema
from pipeline.core.errors import SnapshotChanged, SnapshotError
from pipeline.snapshot import gunzip
from pipeline.snapshot.archive import LocalFile, Member
from pipeline.snapshot.tar_snapshot import TarIndex, TarSnapshot, index_path, read_tar, verify_tar
from tests.support.tarballs import demo_files, flip, pack, plain, tarred

KINDS = ["a.tar", "a.tar.gz", "a.tgz"]
LONG = "/".join(["cv-corpus-17.0-2024-03-15", "en", "clips", *["a-long-folder-of-clips"] * 12, "x.mp3"])


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def packed(data: bytes, name: str) -> LocalFile:
    Path(name).write_bytes(data if name.endswith(".tar") else gzip.compress(data))
    return LocalFile(Path(name))


def indexed(file: LocalFile) -> TarIndex:
    return read_tar(file, index_path(file.path))


def read_all(file: LocalFile) -> dict[str, bytes]:
    index = indexed(file)
    snapshot = TarSnapshot(file, index.identity)
    try:
        return {row["name"]: snapshot.read(Member(**row)) for row in index.members.to_pylist()}
    finally:
        snapshot.close()


# What is right


names = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/\\:", exclude_categories=["Cc"]), min_size=1, max_size=200
)


@pytest.mark.more
@given(
    st.dictionaries(names.filter(lambda name: name not in {".", ".."}), st.binary(max_size=2000), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.sampled_from(KINDS),
)
def test_tar_that_tarfile_writes_is_read(members: dict[str, bytes], how: int, kind: str) -> None:
    file = packed(tarred(plain(members), how), kind)
    assert read_all(file) == members
    index = indexed(file).members
    assert index.schema == schema.MEMBERS
    assert index["crc32"].to_pylist() == [zlib.crc32(data) for data in members.values()]


@pytest.mark.parametrize("how", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_tar_names_may_be_long(how: int) -> None:
    name = LONG[-150:] if how == tarfile.USTAR_FORMAT else LONG
    assert read_all(packed(tarred(plain({name: b"x" * 700, "b": b""}), how), "a.tar.gz")) == {
        name: b"x" * 700,
        "b": b"",
    }


def test_tar_in_several_gzip_members_with_padding_are_read_over() -> None:
    whole = tarred(plain({"a": b"one" * 500, "b": b"two"}))
    Path("a.tar.gz").write_bytes(gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]) + bytes(700))
    assert read_all(LocalFile(Path("a.tar.gz"))) == {"a": b"one" * 500, "b": b"two"}


def test_tar_folders_and_links_that_nobody_needs_are_no_members() -> None:
    folder, link, pipe = (tarfile.TarInfo(name) for name in ("clips", "README", "queue"))
    folder.type, link.type, pipe.type = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE
    members = [(folder, b""), (link, b""), *plain({"clips/a.mp3": b"data"}), (pipe, b"")]
    assert read_all(packed(tarred(members), "a.tar.gz")) == {"clips/a.mp3": b"data"}


# What is no good archive


@pytest.mark.more
@pytest.mark.parametrize("kind", KINDS[:2])
def test_tar_cut_anywhere_is_refused(kind: str) -> None:
    random_data = random.Random(7).randbytes(30_000)
    whole = packed(tarred(plain({"a.mp3": random_data, "b.mp3": b"x" * 5000})), kind).path.read_bytes()
    end = len(whole) if kind.endswith("gz") else whole.rindex(b"x") + 1
    lengths = {*range(1, 1200, 97), *range(1200, end - 1200, 1511), *range(end - 300, end, 7), end - 1}
    for length in sorted(lengths):
        Path(kind).write_bytes(whole[:length])
        with pytest.raises(SnapshotError, match="no whole"):
            indexed(LocalFile(Path(kind)))
    assert [path.suffix for path in schema.ARCHIVE.iterdir()] == [".lock"]


def test_tar_that_ends_between_two_members_is_refused() -> None:
    whole = tarred(plain({"a.mp3": b"x" * 512, "b.mp3": b"y" * 512}))
    for end in (1024, 2048):
        with pytest.raises(SnapshotError, match="no header of a member, and no end"):
            indexed(packed(whole[:end], "a.tar"))


@pytest.mark.parametrize("junk", [b"", b"\0", b"\x1f", b"\x1f\x8b", b"\x1f\x8b\x08", b"<html></html>" * 100])
@pytest.mark.parametrize("kind", KINDS[:2])
def test_tar_that_is_no_archive_is_refused(junk: bytes, kind: str) -> None:
    Path(kind).write_bytes(junk)
    with pytest.raises(SnapshotError, match=r"no whole|is empty"):
        indexed(LocalFile(Path(kind)))


@pytest.mark.parametrize(("at", "said"), [(-6, "no whole gzip"), (-2, "no whole gzip"), (5000, "no whole")])
def test_tar_with_a_flipped_bit_is_found_by_the_checksum_of_gzip(at: int, said: str) -> None:
    data = random.Random(7).randbytes(30_000)
    file = packed(tarred(plain({"a.mp3": data})), "a.tar.gz")
    flip(file.path, at)
    with pytest.raises(SnapshotError, match=said):
        indexed(LocalFile(file.path))


@pytest.mark.parametrize("inside", [True, False])
def test_tar_with_something_behind_its_end_is_refused(inside: bool) -> None:
    whole = tarred(plain({"a": b"data"}))
    Path("a.tar.gz").write_bytes(gzip.compress(whole * 2) if inside else gzip.compress(whole) + b"more")
    with pytest.raises(SnapshotError, match="something follows its end" if inside else "follow the end of its gzip"):
        indexed(LocalFile(Path("a.tar.gz")))


@pytest.mark.parametrize(
    ("magic", "said"), [(b"PK\3\4", r"zip file.* ends in \.zip"), (b"\xfd7zXZ\0", "xz file.*kind: directory")]
)
def test_tar_that_is_another_archive_is_told_by_its_first_bytes(magic: bytes, said: str) -> None:
    with pytest.raises(SnapshotError, match=said):
        indexed(packed(magic + bytes(2000), "a.tar"))


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "..\\up", "."])
def test_tar_with_a_name_that_leads_out_is_refused(name: str) -> None:
    with pytest.raises(SnapshotError, match=r"leads out of the archive|no usable name"):
        indexed(packed(tarred(plain({name: b"x"})), "a.tar.gz"))


def test_tar_with_a_name_that_is_not_utf8_is_refused() -> None:
    whole = tarred(plain({"caf\udce9.mp3": b"x"}), tarfile.GNU_FORMAT)
    with pytest.raises(SnapshotError, match=r"not UTF-8: b'caf.xe9\.mp3'"):
        indexed(packed(whole, "a.tar.gz"))


def test_tar_with_a_duplicate_name_is_refused() -> None:
    members = [*plain({"same": b"1"}), *plain({"other": b"2"}), *plain({"same": b"3"})]
    with pytest.raises(SnapshotError, match="contains 2 members named 'same'"):
        indexed(packed(tarred(members), "a.tar.gz"))


@pytest.mark.parametrize("name", ["clips/a.mp3", "validated.tsv", "a.WAV"])
def test_tar_with_a_clip_or_table_that_is_a_link_is_refused(name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(SnapshotError, match=f"'{name}' is a link, a device or a sparse file.*kind: directory"):
        indexed(packed(tarred([(info, b"")]), "a.tar.gz"))


@pytest.mark.more
@given(st.data())
def test_tar_with_damage_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever bytes it has, there is no other exception; where gzip vouches for them, what is read is right."""
    kind, how = (
        data.draw(st.sampled_from(KINDS[:2])),
        data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])),
    )
    files = {"a.mp3": bytes(range(256)) * 3, f"{LONG[-120:]}é": b"two"}
    is_inside = kind.endswith("gz") and data.draw(st.booleans())  # the tar is damaged, and gzip vouches for that
    whole = bytearray(tarred(plain(files), how)[:6656])
    if kind.endswith("gz") and not is_inside:
        whole = bytearray(gzip.compress(bytes(whole) + bytes(1024), mtime=0))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 4))
        whole[at : at + 4] = data.draw(
            st.one_of(st.binary(min_size=1, max_size=4), st.sampled_from([b"\xff" * 4, bytes(4), b"g   ", b"-999"]))
        )
    Path(kind).write_bytes(gzip.compress(bytes(whole) + bytes(1024)) if is_inside else whole)
    try:
        found = read_all(LocalFile(Path(kind)))
    except SnapshotError:
        return
    if kind.endswith("gz") and not is_inside:
        assert found == files


# The index is kept


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Path]:
    passes: list[Path] = []

    def inflated(path: Path, advance: Callable[[int], None]) -> object:
        passes.append(path)
        return gunzip.inflated(path, advance)

    monkeypatch.setattr(name, inflated)
    return passes


@pytest.mark.more
@pytest.mark.parametrize("fault", ["truncated", "of another"])
def test_tar_index_that_is_not_right_is_made_again(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LocalFile(pack(demo_files(), Path("a.tar.gz")))
    before = indexed(file)
    cache = index_path(file.path)
    if fault == "of another":
        other = packed(tarred(plain({"a": b"data"})), "other.tar.gz")
        indexed(other)
        index_path(other.path).replace(cache)
    else:
        cache.write_bytes(cache.read_bytes()[:-100])
    passes = counted(monkeypatch, "pipeline.snapshot.tar_snapshot.inflated")
    snapshot = TarSnapshot(file, before.identity)
    row = before.members.to_pylist()[40]
    assert zlib.crc32(snapshot.read(Member(**row))) == row["crc32"]
    snapshot.close()
    again = indexed(file)
    assert len(passes) == 1
    assert again.members.equals(before.members)
    assert (again.identity, again.points) == (before.identity, before.points)


@pytest.mark.parametrize("package", ["indexed_gzip", "isal.isal_zlib"])
def test_tar_package_that_is_missing_is_named_and_a_bare_tar_needs_none(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    whole = tarred(plain({"a": b"data"}))
    with pytest.raises(SnapshotError, match=r"the extra tar\. In a clone of the project: make env"):
        indexed(packed(whole, "a.tar.gz"))
    assert read_all(packed(whole, "a.tar")) == {"a": b"data"}


# Read again


@pytest.mark.more
@pytest.mark.parametrize("kind", KINDS[:2])
def test_tar_is_recognised_again_and_another_one_is_not(kind: str) -> None:
    file = LocalFile(pack(demo_files(), Path(kind)))
    identity = indexed(file).identity
    verify_tar(file, identity)
    flip(file.path, -1 if kind.endswith("gz") else 100)
    with pytest.raises(SnapshotChanged, match="pieces with SHA-256"):
        verify_tar(file, identity)
    size = file.path.stat().st_size
    file.path.write_bytes(file.path.read_bytes() + b"x")
    with pytest.raises(SnapshotChanged, match=f"{size} bytes"):
        verify_tar(file, identity)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_tar_clip_that_changed_on_the_disk_is_not_given_out(kind: str) -> None:
    data = random.Random(7).randbytes(3_000_000)
    file = packed(tarred(plain({"a.mp3": data[:2_000_000], "b.mp3": data[2_000_000:]})), kind)
    index = indexed(file)
    flip(file.path, 1_000_000)
    snapshot = TarSnapshot(file, index.identity)
    with pytest.raises(SnapshotError, match=r"CRC-32|no whole"):
        snapshot.read(Member(**index.members.to_pylist()[0]))
    snapshot.close()


def test_tar_index_of_another_archive_of_that_name_is_an_error() -> None:
    first = indexed(packed(tarred(plain({"a": b"data"})), "a.tar.gz"))
    snapshot = TarSnapshot(packed(tarred(plain({"a": b"more"})), "a.tar.gz"), first.identity)
    with pytest.raises(SnapshotChanged, match="members_sha256"):
        snapshot.read(Member(**first.members.to_pylist()[0]))


@pytest.mark.more
def test_tar_clips_are_prefetched_in_one_pass_and_few_are_read_at_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(7)
    files = {f"clips/{number:03}.mp3": dice.randbytes(24_000) for number in range(200)}
    file = packed(tarred(plain(files)), "a.tar.gz")
    index = indexed(file)
    members = [Member(**row) for row in index.members.to_pylist()]
    dice.shuffle(members)
    passes = counted(monkeypatch, "pipeline.snapshot.tar_snapshot.inflated")
    for count, expected in ((0, 0), (3, 0), (150, 1)):
        snapshot = TarSnapshot(file, index.identity)
        snapshot.prefetch(iter(members[:count]))
        assert len(passes) == expected
        assert all(snapshot.read(member) == files[member.name] for member in members)  # those not gathered, too
        snapshot.close()
    assert len(passes) == 1
    snapshot = TarSnapshot(file, index.identity)
    with pytest.raises(SnapshotChanged, match="CRC-32"):
        snapshot.read(replace(members[0], crc32=1))


def test_tar_without_gzip_is_read_at_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    file = LocalFile(pack(demo_files(), Path("a.tar")))
    index = indexed(file)
    monkeypatch.setattr("pipeline.snapshot.tar_snapshot._pieces", None)
    snapshot = TarSnapshot(file, index.identity)
    snapshot.prefetch(Member(**row) for row in index.members.to_pylist())
    row = index.members.to_pylist()[7]
    assert snapshot.read(Member(**row)) == demo_files()[row["name"]]
