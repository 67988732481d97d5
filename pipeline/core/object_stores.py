"""Object stores by their URLs, through fsspec, and advice for the errors of their libraries."""

from __future__ import annotations

import os
import re
from typing import Any

from pipeline.core.errors import first_line, how_to_install

_SECONDS = {"connect_timeout": 10, "read_timeout": 30}  # of silence; botocore's default is 60
_RETRIES = 3
_ADVICE = (  # searched in this order: a pattern in the error, and what to do about it
    ("no such bucket|bucket does not exist|nosuchbucket", "there is no such bucket; correct the URL"),
    ("filenotfound", "there is no such folder; correct its name, or AWS_ENDPOINT_URL"),
    ("private key", "set GOOGLE_APPLICATION_CREDENTIALS to the key of a service account"),
    (
        r"credentials|token|access key|accesskey|signature|forbidden|denied|\b403\b",
        "set credentials that may read it, such as AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    (r"region|\b301\b|redirect|location constraint", "set AWS_DEFAULT_REGION to the region of the bucket"),
    ("pars|html|xml", "what answers is no object store; correct the URL or AWS_ENDPOINT_URL"),
    ("errno 121|internal server error", "try again; if that changes nothing, correct the URL or AWS_ENDPOINT_URL"),
    ("time|connect|resolve", "see whether the network works and AWS_ENDPOINT_URL is right, then try again"),
)


def filesystem_of(url: str) -> tuple[str, Any]:
    """Return a URL's path on its file system, and that as fsspec has it.

    Raises ValueError if the URL has credentials in it, or the package for its protocol is not installed.
    """
    if re.match(r"[^/]*//[^/]*@", url):
        raise ValueError("a URL with credentials in it is not opened; set them in the environment (docs/remotes.md)")
    protocol = url.partition("://")[0]
    options: dict[str, Any] = {}
    if protocol in {"s3", "s3a"}:
        options = {"config_kwargs": {**_SECONDS, "retries": {"max_attempts": 1}, "signature_version": "s3v4"}}
    try:
        import fsspec  # noqa: PLC0415  of an extra

        filesystem, path = fsspec.core.url_to_fs(url, **options)
        if options:
            filesystem.retries = _RETRIES
    except ImportError as error:
        raise ValueError(
            f"{url}: what reads from {protocol}:// is not installed ({error}); "
            f"gs:// and az:// have packages of their own (docs/remotes.md), s3:// the extra s3. {how_to_install('s3')}"
        ) from None
    except ValueError as error:
        raise ValueError(f"{url}: cannot be opened ({error})") from None
    return str(path), filesystem


def describe_error(error: BaseException) -> str:
    """Return the first line of an error, and what to do about it; never a secret, or the query of a URL."""
    line = re.sub(r"\?\S*", "?…", first_line(error))[:200]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        secret = os.environ.get(name)
        line = line.replace(secret, "…") if secret else line
    kind = f"{type(error).__name__} {error}".lower()
    advice = next((advice for words, advice in _ADVICE if re.search(words, kind)), "correct the URL, or try again")
    return f"{line}; {advice}"
