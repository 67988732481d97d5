"""An archive in an object store, read over HTTP like any other: at a URL that the store's own library signs."""

from __future__ import annotations

from pipeline.core.errors import TransferError
from pipeline.core.object_stores import describe_error, filesystem_of
from pipeline.snapshot.origin import shown

REMEDY = (
    "Set credentials that may read it, such as AWS_PROFILE or GOOGLE_APPLICATION_CREDENTIALS, and for S3 "
    "AWS_DEFAULT_REGION to the region of the bucket."
)
_SECONDS = 6 * 3600  # that a signed URL is good for; then it is signed again


def sign(url: str) -> str:
    """Return an http(s) URL of the object at `url`, such as ``s3://bucket/archive.zip``: a secret, good for hours.

    The store is not asked for it: a wrong key shows in the first request.

    Raises TransferError if what its protocol needs is not installed, there are no credentials, or none that can sign.
    """
    try:
        path, filesystem = filesystem_of(url)
    except ValueError as error:
        raise TransferError(str(error)) from None
    try:
        return str(filesystem.sign(path, expiration=_SECONDS))
    except Exception as error:  # noqa: BLE001  each store's library has exceptions of its own
        raise TransferError(f"{shown(url)}: no URL can be signed for it: {describe_error(error)}") from None
