"""Where a snapshot lies: the section `source` of its description."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta, structs

from pipeline.core.params import Text
from pipeline.core.settings import Rule, Settings

STORES = ("s3", "gs")  # object stores: pipeline/snapshot/remote/store.py
_REMOTE = ("http", "https", *STORES)
_ONLY_ON_KAGGLE = "is for Kaggle, which serves each file on its own; unpack the archive, and describe what is in it"
_SCHEMES = "http, https, s3 or gs"


def shown(url: str) -> str:
    """Return a URL without user, query and fragment, which may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_tar(path: str) -> bool:
    """Tell whether a path names a tar archive, gzipped or not."""
    return path.lower().endswith((".tar.gz", ".tgz", ".tar"))


def _without_secrets(path: str) -> str:
    """Accept a path, or a URL that cannot hold a secret: DVC writes every parameter into dvc.lock.

    Any key of a query may be a signature or a token, so no query is accepted.
    """
    if not path.isprintable():
        raise ValueError("should have no control characters")
    try:
        url = urlsplit(path)
    except ValueError:
        raise ValueError(f"should be a path, or a URL of {_SCHEMES}") from None
    if "://" not in path and url.scheme not in ("http", "https"):
        return path
    if "@" in url.netloc:
        raise ValueError("should hold no user and password; docs/kaggle.md says where they belong")
    if url.scheme not in _REMOTE or not url.hostname:
        raise ValueError(f"should be a path, or a URL of {_SCHEMES}")
    if "?" in path or "#" in path:
        raise ValueError(
            "should have no query and no fragment (? or #), which may hold a secret; "
            "download the archive yourself, and give the path of the file"
        )
    return path


def _folder(path: str) -> str:
    if "://" in _without_secrets(path):
        raise ValueError("should be a folder on disk")
    return path


def _file(path: str) -> str:
    """Accept the path of a file of a data set."""
    if not path.isprintable() or any(part.strip() in ("", ".", "..") for part in path.split("/")):
        raise ValueError("should be the path of a file, as the data set's page on Kaggle shows it")
    return path


def _dataset(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+/[A-Za-z0-9._-]+", name):
        raise ValueError("should be OWNER/NAME, the end of the data set's address")
    return name


def _competition(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ValueError("should be NAME, the end of the competition's address")
    return name


def _files(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_file, paths))


Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Place = Annotated[Text, Rule(_without_secrets)]
Folder = Annotated[Text, Rule(_folder)]


class _AtOnePath(Settings, frozen=True):
    @classmethod
    def unknown_key(cls, key: str, value: Any) -> str | None:  # noqa: ARG003  it is that of all sections
        """Say of the keys of a file on Kaggle that they are of no use here."""
        return _ONLY_ON_KAGGLE if key in ("file", "beside") else None


class ArchiveSource(_AtOnePath, frozen=True):
    """A zip or tar archive: on disk, at an http(s) URL, or in an object store.

    Attributes
    ----------
    path
        Path of a zip, ``.tar``, ``.tar.gz`` or ``.tgz``, from the root of the repository; or its URL (http, https, s3
        or gs) without user, password and query.
    sha256
        SHA-256 of the archive, in hex. An archive with another one is an error.
    """

    kind: Literal["archive"]
    path: Place
    sha256: Sha256 | None = None

    @property
    def is_remote(self) -> bool:
        """Whether its clips are fetched over a network."""
        return self.url is not None

    @property
    def url(self) -> SplitResult | None:
        """Its URL, or None if it is on disk."""
        url = urlsplit(self.path)
        return url if url.scheme in _REMOTE else None

    @property
    def is_tar(self) -> bool:
        """Whether its name is that of a tar archive, gzipped or not; a remote one is downloaded whole first."""
        return is_tar(self.url.path if self.url else self.path)

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine: not where it lies."""
        return {"kind": self.kind, "file": PurePath(self.url.path if self.url else self.path).name}


class OnKaggle(Settings, frozen=True, kw_only=True):
    """What data sets and competitions on Kaggle have in common: an archive of all files, and each file on its own.

    Attributes
    ----------
    file
        An archive among its files, which is read in place of the archive of all files.
    beside
        Tables among its files, which are fetched with that one and count as members of it.
    """

    file: Annotated[Text, Rule(_file)] | None = None
    beside: Annotated[tuple[Text, ...], Rule(_files)] = ()
    is_remote: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.beside and self.file is None:
            raise ValueError("beside: there is no file that they lie beside; the archive of all files holds its tables")

    @property
    def name(self) -> str:
        """Its name in messages, with that of the file."""
        raise NotImplementedError

    @property
    def page(self) -> str:
        """Its page on Kaggle."""
        raise NotImplementedError

    @property
    def is_tar(self) -> bool:
        """Whether its name is that of a tar archive, which is downloaded whole first."""
        return is_tar(self.file or "")

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine."""
        return {key: value for key, value in structs.asdict(self).items() if key != "beside" and value is not None}


class KaggleSource(OnKaggle, frozen=True):
    """The archive of a Kaggle data set.

    Attributes
    ----------
    dataset
        ``OWNER/NAME``, as in the data set's address.
    version
        The number of its version.
    """

    kind: Literal["kaggle"]
    dataset: Annotated[str, Rule(_dataset)]
    version: Annotated[int, Meta(ge=1)]

    @property
    def name(self) -> str:
        """Data set, version and file."""
        return f"{self.dataset}/{self.version}" + (f"/{self.file}" if self.file else "")

    @property
    def page(self) -> str:
        """The page of its version on Kaggle."""
        return f"https://www.kaggle.com/datasets/{self.dataset}/versions/{self.version}"


class CompetitionSource(OnKaggle, frozen=True):
    """The archive of a Kaggle competition, whose files have no versions.

    Attributes
    ----------
    competition
        As in the competition's address: ``NAME``.
    """

    kind: Literal["kaggle-competition"]
    competition: Annotated[str, Rule(_competition)]

    @property
    def name(self) -> str:
        """Competition and file."""
        return f"competitions/{self.competition}" + (f"/{self.file}" if self.file else "")

    @property
    def page(self) -> str:
        """Its page on Kaggle."""
        return f"https://www.kaggle.com/competitions/{self.competition}"


class DirectorySource(_AtOnePath, frozen=True):
    """The same tree, unpacked.

    Attributes
    ----------
    path
        Path of the folder, from the root of the repository.
    """

    kind: Literal["directory"]
    path: Folder
    is_remote: ClassVar[bool] = False
    is_tar: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine: not where it lies."""
        return {"kind": self.kind}
