"""A snapshot's description in ``configs/snapshots/NAME.yaml``: title, licence, citation, format, and where it lies.

The description is frozen and validated; reading it never opens the snapshot.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from pipeline.core import schema
from pipeline.core.errors import ParameterError
from pipeline.core.params import Text, read_yaml
from pipeline.core.settings import Rule, Settings, validated

STORES = ("s3", "gs")  # object stores: pipeline/snapshot/remote/store.py
_REMOTE = ("http", "https", *STORES)
_SCHEMES = "http, https, s3 or gs"


def shown(url: str) -> str:
    """Return scheme, host and path of a URL: all of it that may be seen."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def is_tar(path: str) -> bool:
    """Tell whether a path is that of a tar archive: the releases of Mozilla Data Collective are gzipped ones."""
    return path.lower().endswith((".tar.gz", ".tgz", ".tar"))


def _without_secrets(path: str) -> str:
    """Take a path, or a URL that cannot hold a secret: DVC writes every parameter into dvc.lock.

    Which keys of a query are signatures or tokens cannot be told by their names, so that none is taken.
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


Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Place = Annotated[Text, Rule(_without_secrets)]
Folder = Annotated[Text, Rule(_folder)]


class ArchiveSource(Settings, frozen=True):
    """A zip or tar archive: on disk, at an http(s) URL, or in an object store."""

    kind: Literal["archive"]
    path: Place
    sha256: Sha256 | None = None

    @property
    def is_remote(self) -> bool:
        """Whether its clips are fetched over a network."""
        return self.url is not None

    @property
    def url(self) -> SplitResult | None:
        """Its URL; None where it is on disk."""
        url = urlsplit(self.path)
        return url if url.scheme in _REMOTE else None

    @property
    def is_tar(self) -> bool:
        """Whether its name is that of a tar archive, gzipped or not; one that is remote is downloaded whole first."""
        return is_tar(self.url.path if self.url else self.path)

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine: not where it lies."""
        return {"kind": self.kind, "file": PurePath(self.url.path if self.url else self.path).name}


class KaggleSource(Settings, frozen=True):
    """The archive of a Kaggle data set."""

    kind: Literal["kaggle"]
    dataset: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9._-]+\Z")]
    version: Annotated[int, Meta(ge=1)]
    is_remote: ClassVar[bool] = True

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine."""
        return {"kind": self.kind, "dataset": self.dataset, "version": self.version}


class DirectorySource(Settings, frozen=True):
    """The same tree, unpacked."""

    kind: Literal["directory"]
    path: Folder
    is_remote: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """Return what names it on any machine: not where it lies."""
        return {"kind": self.kind}


class Description(Settings, frozen=True):
    """A snapshot's description: what it is, who says so, under which licence, and where it lies.

    Attributes
    ----------
    redistribution
        Whether its terms allow to publish its clips again; None where the description does not say so.
    """

    title: str
    license: str
    citation: str
    format: Literal["kaggle-v1", "mozilla-tsv"]
    source: KaggleSource | ArchiveSource | DirectorySource
    redistribution: bool | None = None

    @property
    def may_be_redistributed(self) -> bool:
        """Whether a sample may be published: where nothing is said, only one of v1, which has no terms but CC0.

        Later releases come from Mozilla Data Collective, whose terms forbid to host a copy.
        """
        return self.format == "kaggle-v1" if self.redistribution is None else self.redistribution


def describe(name: str, folder: Path = schema.SNAPSHOTS) -> Description:
    """Read the description of the snapshot called `name`.

    Raises
    ------
    ParameterError
        It is not known (the message lists those that are), or its description is not valid.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise ParameterError(str(schema.PARAMS), [f"snapshot: {name!r} is not known; there are: {known} ({folder}/)"])
    return validated(Description, read_yaml(path), str(path))
