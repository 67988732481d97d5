"""Resolve a Kaggle data set to the signed URL of its archive, through the real `kaggle` client.

The URL points to object storage, is valid for three days, and is a secret. Nothing is downloaded: the client stops at
the redirect. Without credentials the request is anonymous, which is usually enough for public data sets.

The client is imported late, in a thread of its own with a deadline, because importing it already talks to Kaggle where
there are credentials, and it has no timeouts; with stdout put aside, because it prints there; and without VERBOSE,
which would make it read whole archives into memory.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from pipeline.core.errors import TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.remote.failures import explained, retry_after_seconds
from pipeline.snapshot.remote.retries import RetryPolicy, Transient

Result = TypeVar("Result")

HOSTS = {"Kaggle": "https://api.kaggle.com", "Kaggle's storage": "https://storage.googleapis.com"}
_TOKENS = "https://www.kaggle.com/settings/api"
_NOTEBOOK = "this Kaggle notebook (KAGGLE_API_V1_TOKEN)"
_CHATTY = ("VERBOSE", "VERBOSE_OUTPUT")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,60}")


def resolve(dataset: str, version: int, runtime: Runtime, policy: RetryPolicy) -> str:
    """Return the URL at which storage serves the archive of ``owner/name``, in one API call.

    Raises
    ------
    TransferError
        Kaggle refuses, knows no such data set, or cannot be reached; the message says what to do about it.
    """
    return policy.call(lambda: _quietly(lambda: _ask(dataset, version), _deadline(runtime)), "Kaggle")


def import_client(runtime: Runtime) -> None:
    """Import the client as `resolve` does.

    Raises
    ------
    TransferError
        It cannot be.
    """
    try:
        _quietly(_import, _deadline(runtime))
    except Transient as failure:
        raise TransferError(f"the client: {failure}") from None


def credentials() -> str | None:
    """Return where the client finds credentials, never what they are; None where it finds none.

    In the client's own order: the token of a Kaggle notebook, an access token, a user's name and key, those of a login
    in the browser.
    """
    home = Path("~/.kaggle").expanduser()
    if {"KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_DATA_PROXY_URL"} <= os.environ.keys():
        token = os.environ.get("KAGGLE_API_V1_TOKEN")
        if token and Path(token).is_file():
            return _NOTEBOOK
    if os.environ.get("KAGGLE_API_TOKEN"):
        return "environment variable KAGGLE_API_TOKEN"
    for name in ("access_token", "access_token.txt"):
        if (home / name).is_file():
            return f"~/.kaggle/{name}"
    if os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY"):
        return "environment variables KAGGLE_USERNAME and KAGGLE_KEY"
    folders = {
        "KAGGLE_CONFIG_DIR": os.environ.get("KAGGLE_CONFIG_DIR"),
        "~/.kaggle": "~/.kaggle",
        "~/.config/kaggle": os.environ.get("XDG_CONFIG_HOME", "~/.config") + "/kaggle",
    }
    for shown, folder in folders.items():
        if folder and (Path(folder).expanduser() / "kaggle.json").is_file():
            return f"{shown}/kaggle.json"
    return "~/.kaggle/credentials.json" if (home / "credentials.json").is_file() else None


def answer(runtime: Runtime, url: str) -> int:
    """Return the status of a server's answer to a request for nothing, such as one of `HOSTS`.

    Raises
    ------
    TransferError
        It cannot be reached.
    """
    timeout = (runtime.connect_timeout_seconds, runtime.read_timeout_seconds)
    try:
        with requests.head(url, timeout=timeout, allow_redirects=False) as response:
            return response.status_code
    except (OSError, ValueError) as error:
        raise TransferError(explained(error)) from None


def _deadline(runtime: Runtime) -> float:
    return runtime.connect_timeout_seconds + runtime.read_timeout_seconds


def _import() -> tuple[Any, Any]:
    from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415  see the head of this module
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest  # noqa: PLC0415

    return KaggleApi, ApiDownloadDatasetRequest


def _ask(dataset: str, version: int) -> str:
    """Call the client's `download_dataset`, whose answer is a redirect; return where to.

    307 and 308 within Kaggle are followed, with method and credentials (RFC 9110, 15.4.8).
    """
    make_api, make_request = _import()
    api = make_api()
    with contextlib.suppress(SystemExit):  # which it raises where there are no credentials
        api.authenticate()
    request = make_request()
    request.owner_slug, request.dataset_slug = dataset.split("/")
    request.dataset_version_number = version
    with api.build_kaggle_client() as client:
        session: requests.Session = client.http_client()._session  # noqa: SLF001  it is handed out nowhere else

        def next_of(response: requests.Response) -> str | None:
            target = requests.Session.get_redirect_target(session, response)
            url = target and urljoin(response.url, target)
            if url and not (response.status_code in (307, 308) and _may_have_credentials(url, response.url)):
                response.close()
                raise _Redirected(url)
            return target

        session.get_redirect_target = next_of  # type: ignore[method-assign,assignment]
        session.rebuild_auth = lambda *_: None  # type: ignore[method-assign]
        try:
            with client.datasets.dataset_api_client.download_dataset(request) as response:
                raise _not_redirected(response)
        except _Redirected as redirected:
            return redirected.url
        except requests.exceptions.InvalidJSONError:
            raise Transient("it answers with damaged JSON in place of the archive's address") from None


class _Redirected(Exception):
    """Kaggle's answer: where the archive lies. Following it would open the whole of it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url


def _may_have_credentials(url: str, origin: str) -> bool:
    """Return whether a request to Kaggle, at `origin`, may be repeated at `url`, as 307 and 308 ask for."""
    to, of = urlsplit(url), urlsplit(origin)
    is_kaggle = to.scheme == "https" and f".{to.hostname}".endswith(".kaggle.com")
    return is_kaggle or (to.scheme, to.netloc) == (of.scheme, of.netloc)


def _not_redirected(response: requests.Response) -> Transient:
    """Return the error for an answer that leads nowhere."""
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type == "text/html":
        return Transient(
            "got a web page in place of the archive's address",
            remedy="It may be a network's login page, or one that asks whether you are human: open "
            "https://www.kaggle.com in a browser on this machine, and try again.",
        )
    if media_type in ("application/zip", "application/octet-stream"):
        return Transient(
            "it sends the archive itself in place of its address, so no parts of it can be read",
            remedy="Download it in a browser, and give the path of the file in the snapshot's description.",
        )
    body = f" ({media_type})" if _MEDIA_TYPE.fullmatch(media_type) else ""
    return Transient(
        f"it answers {response.status_code}{body} without the archive's address",
        remedy="Try again later; kaggle may have changed its API: update the client (package kaggle).",
    )


def _quietly(action: Callable[[], Result], deadline: float) -> Result:
    """Return what `action` returns, with its output put aside and its failures as our own."""
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(action())
        except BaseException as error:  # noqa: BLE001  a thread has no other way to hand on even SystemExit
            failure.append(error)

    thread = threading.Thread(target=run, name="kaggle", daemon=True)
    with _without(_CHATTY), contextlib.redirect_stdout(io.StringIO()):
        thread.start()
        thread.join(deadline)
    if thread.is_alive():
        raise Transient(f"no answer within {deadline:g} s")
    if failure:
        raise _translated(failure[0]) from None
    return outcome[0]


def _translated(error: BaseException) -> Exception:
    """Return our own error for one of the client's, whose text may hold a URL or a token."""
    if isinstance(error, Transient):
        return error
    if isinstance(error, ImportError):
        return TransferError(f"the client cannot be imported ({error}). Set it up again with: make repro")
    response = getattr(error, "response", None)
    if isinstance(response, requests.Response):
        return _explained_status(response)
    if isinstance(error, requests.RequestException):
        return Transient(explained(error))
    problem = f"({type(error).__name__}). Look at: python -m pipeline doctor"
    if isinstance(error, OSError):
        # A name that is no file's may be a token.
        file = error.filename if isinstance(error.filename, str) and os.path.lexists(error.filename) else "a file"
        problem = f"with {file}: {error.strerror}" if error.errno else f"({explained(error)})"
        if error.errno == errno.ENAMETOOLONG:  # it looks whether a file has the token's name
            problem = (
                "with KAGGLE_API_TOKEN, which is too long for it. Put the token into ~/.kaggle/access_token instead."
            )
    return TransferError(f"the kaggle client failed {problem}")


def _explained_status(response: requests.Response) -> Exception:
    status = response.status_code
    place = credentials()
    make_token = f"make a token at {_TOKENS} and put it into KAGGLE_API_TOKEN"
    if status >= 500 or status == 429:
        problem = "too many requests; wait an hour" if status == 429 else "it may be down"
        return Transient(f"it says {status}, {problem}", retry_after_seconds(response.headers))
    if urlsplit(response.url).path.endswith("/GenerateAccessToken"):
        return TransferError(
            f"Kaggle says {status}. It no longer renews the login in ~/.kaggle/credentials.json. Log in again with: "
            "kaggle auth login, or remove the file."
        )
    match status:
        case 401 if place == _NOTEBOOK:
            remedy = f"It does not accept the token of {place}. Restart the notebook's session."
        case 401 if place:
            remedy = f"It does not accept the credentials in {place}. Make new ones at {_TOKENS}, or remove these."
        case 401:
            remedy = f"It wants credentials: {make_token}."
        case 403 if place:
            remedy = (
                f"The account of the credentials in {place} has no access, or there is no such data set. Open the data "
                "set's page in a browser with that account, and accept its terms if it asks for that."
            )
        case 403:
            remedy = (
                "It gives no anonymous access, or there is no such data set: it says the same for both. Look at the "
                f"description in configs/snapshots/; if that is right, {make_token}."
            )
        case 404:
            remedy = "There is no such data set, or no such version. Look at the description in configs/snapshots/."
        case _:
            remedy = "Look at: python -m pipeline doctor"
    return TransferError(f"Kaggle says {status}. {remedy}")


@contextlib.contextmanager
def _without(names: tuple[str, ...]) -> Iterator[None]:
    """Take variables out of the environment for a while."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
