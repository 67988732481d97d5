"""Resolve a Kaggle data set to the signed URL of its archive, through the real `kaggle` client.

The URL points to object storage, is valid for three days, and is a secret. Nothing is downloaded: the client stops at
the redirect. Without credentials the request is anonymous, which is enough for public data sets.

The client is imported late, in a thread of its own with a deadline, because importing it already talks to Kaggle where
there are credentials, and it has no timeouts; with stdout put aside, because it prints there; and without VERBOSE,
which would make it read whole archives into memory.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin

import requests

from pipeline.core.errors import TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.remote.failures import explained, retry_after_seconds
from pipeline.snapshot.remote.retries import RetryPolicy, Transient

Result = TypeVar("Result")

_TOKENS = "https://www.kaggle.com/settings/api"
_CHATTY = ("VERBOSE", "VERBOSE_OUTPUT")


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

    In the client's own order: an access token, a user's name and key, those of a login in the browser.
    """
    home = Path("~/.kaggle").expanduser()
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
    """Return the status of whatever a server answers to a request for nothing.

    Raises
    ------
    TransferError
        It cannot be reached.
    """
    timeout = (runtime.connect_timeout_seconds, runtime.read_timeout_seconds)
    try:
        with requests.head(url, timeout=timeout, allow_redirects=False) as response:
            return response.status_code
    except (requests.RequestException, ValueError) as error:
        raise TransferError(explained(error)) from None


def _deadline(runtime: Runtime) -> float:
    return runtime.connect_timeout_seconds + runtime.read_timeout_seconds


def _import() -> tuple[Any, Any]:
    from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415  see the head of this module
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest  # noqa: PLC0415

    return KaggleApi, ApiDownloadDatasetRequest


def _ask(dataset: str, version: int) -> str:
    """Call the client's `download_dataset`, whose answer is a redirect; return where to."""
    make_api, make_request = _import()
    api = make_api()
    with contextlib.suppress(SystemExit):  # which it raises where there are no credentials
        api.authenticate()
    request = make_request()
    request.owner_slug, request.dataset_slug = dataset.split("/")
    request.dataset_version_number = version
    with api.build_kaggle_client() as client:
        session = getattr(client.http_client(), "_session", None)
        if isinstance(session, requests.Session):
            session.max_redirects = 0  # following it would open the whole archive, only to be closed
        try:
            with client.datasets.dataset_api_client.download_dataset(request) as followed:
                return str(followed.url)
        except requests.TooManyRedirects as stopped:
            if (response := stopped.response) is None:
                raise
            with response:
                return str(urljoin(response.url, response.headers["Location"]))


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
    """Return our own error for one of the client's, whose text may hold a URL."""
    if isinstance(error, ImportError):
        return TransferError(f"the client cannot be imported ({error}). Set it up again with: make repro")
    response = getattr(error, "response", None)
    if isinstance(response, requests.Response):
        return _explained_status(response)
    if isinstance(error, requests.RequestException):
        return Transient(explained(error))
    if isinstance(error, OSError):
        return TransferError(f"the kaggle client could not use {error.filename}: {error.strerror}")
    return TransferError(f"the kaggle client failed ({type(error).__name__}). Look at: python -m pipeline doctor")


def _explained_status(response: requests.Response) -> Exception:
    status = response.status_code
    place = credentials()
    match status:
        case 401 if place:
            remedy = f"It does not accept the credentials in {place}. Make new ones at {_TOKENS}, or remove these."
        case 401:
            remedy = f"It wants credentials: make a token at {_TOKENS} and put it into KAGGLE_API_TOKEN."
        case 403 if place:
            remedy = (
                f"The account of the credentials in {place} has no access. Open the data set's page in a browser with "
                "that account, and accept its terms if it asks for that."
            )
        case 403:
            remedy = f"It gives no anonymous access: make a token at {_TOKENS} and put it into KAGGLE_API_TOKEN."
        case 404:
            remedy = "There is no such data set, or no such version. Look at the description in configs/snapshots/."
        case 429:
            return Transient("it says 429, too many requests; wait an hour", retry_after_seconds(response.headers))
        case _ if status >= 500:
            return Transient(f"it says {status}; it may be down", retry_after_seconds(response.headers))
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
