"""Resolve a data set or a competition to the signed URL of its archive, through the real `kaggle` client.

The URL points to object storage, is valid for three days, and is a secret. Nothing is downloaded: the client stops at
the redirect. Without credentials the request is anonymous, which is usually enough for public data sets; a competition
gives its files only to who has accepted its rules.

The client is imported late, in a thread of its own with a deadline, because importing it already talks to Kaggle where
there are credentials, and it has no timeouts. What it
prints is dropped; and VERBOSE, which would make it read whole archives into memory, is taken out of this process's
environment.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from pipeline.core.errors import TransferError
from pipeline.core.params import Runtime
from pipeline.snapshot.origin import CompetitionSource, KaggleSource, OnKaggle
from pipeline.snapshot.remote.failures import explained, retry_after_seconds
from pipeline.snapshot.remote.retries import RetryPolicy, Transient

Result = TypeVar("Result")

_TOKENS = "https://www.kaggle.com/settings/api"
_NOTEBOOK = "this Kaggle notebook (KAGGLE_API_V1_TOKEN)"
_CHATTY = ("VERBOSE", "VERBOSE_OUTPUT")


def resolve(source: OnKaggle, runtime: Runtime, policy: RetryPolicy) -> str:
    """Return the URL at which storage serves the archive of a source, or its `file`, in one API call.

    Raises TransferError if Kaggle refuses, knows no such thing, or cannot be reached; the message says what to do about
    it.
    """
    return policy.call(lambda: _quietly(lambda: _ask(source), _deadline(runtime), source), "Kaggle")


def import_client(runtime: Runtime) -> None:
    """Import the client as `resolve` does.

    Raises TransferError if it cannot be.
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
    """Return the status of a server's answer to a request for nothing.

    Raises TransferError if it cannot be reached.
    """
    timeout = (runtime.connect_timeout_seconds, runtime.read_timeout_seconds)
    try:
        with requests.head(url, timeout=timeout, allow_redirects=False) as response:
            return response.status_code
    except (OSError, ValueError) as error:
        raise TransferError(explained(error)) from None


def _deadline(runtime: Runtime) -> float:
    return runtime.connect_timeout_seconds + runtime.read_timeout_seconds


def _import() -> Any:
    from kaggle.api.kaggle_api_extended import KaggleApi  # noqa: PLC0415  see the head of this module

    return KaggleApi


def _download(client: Any, source: OnKaggle) -> Any:
    """Call the client's method that downloads the archive of a source, or its `file`; return its answer."""
    from kagglesdk.competitions.types import competition_api_service as competitions  # noqa: PLC0415
    from kagglesdk.datasets.types import dataset_api_service as datasets  # noqa: PLC0415

    request: Any
    if isinstance(source, KaggleSource):
        request, method = datasets.ApiDownloadDatasetRequest(), client.datasets.dataset_api_client.download_dataset
        request.owner_slug, request.dataset_slug = source.dataset.split("/")
        request.dataset_version_number = source.version
    else:
        assert isinstance(source, CompetitionSource)
        service = client.competitions.competition_api_client
        if source.file is None:
            request, method = competitions.ApiDownloadDataFilesRequest(), service.download_data_files
        else:
            request, method = competitions.ApiDownloadDataFileRequest(), service.download_data_file
        request.competition_name = source.competition
    if source.file is not None:
        request.file_name = source.file
    return method(request)


def _ask(source: OnKaggle) -> str:
    """Have the client download, which Kaggle answers with a redirect; return where to."""
    api = _import()()
    with contextlib.suppress(SystemExit):  # which it raises where there are no credentials
        api.authenticate()
    with api.build_kaggle_client() as client:
        session: requests.Session = client.http_client()._session  # noqa: SLF001  it is handed out nowhere else
        session.max_redirects = 0  # to follow one would open the whole archive
        try:
            with _download(client, source) as response:
                raise _not_redirected(response)
        except requests.TooManyRedirects as redirected:
            answer = redirected.response
            assert answer is not None
            return urljoin(answer.url, session.get_redirect_target(answer) or "")


def _not_redirected(response: requests.Response) -> Transient:
    """Return the error for an answer that leads nowhere."""
    if response.headers.get("Content-Type", "").startswith("text/html"):
        return Transient(
            "got a web page in place of the archive's address",
            remedy="It may be a network's login page, or one that asks whether you are human: open "
            "https://www.kaggle.com in a browser on this machine, and try again.",
        )
    return Transient(
        f"it answers {response.status_code} without the archive's address",
        remedy="Try again later; kaggle may have changed its API: update the client (package kaggle).",
    )


def _quietly(action: Callable[[], Result], deadline: float, source: OnKaggle | None = None) -> Result:
    """Return what `action` returns, with its output put aside and its failures as our own."""
    for name in _CHATTY:
        os.environ.pop(name, None)
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(action())
        except BaseException as error:  # noqa: BLE001  a thread has no other way to hand on even SystemExit
            failure.append(error)

    thread = threading.Thread(target=run, name="kaggle", daemon=True)
    with contextlib.redirect_stdout(io.StringIO()):
        thread.start()
        thread.join(deadline)
    if thread.is_alive():
        raise Transient(f"no answer within {deadline:g} s")
    if failure:
        raise _translated(failure[0], source) from None
    return outcome[0]


def _translated(error: BaseException, source: OnKaggle | None) -> Exception:
    """Return our own error for one of the client's, whose text may hold a URL or a token."""
    if isinstance(error, Transient):
        return error
    if isinstance(error, ImportError):
        return TransferError(f"the client cannot be imported ({error}). Set it up again with: make repro")
    response = getattr(error, "response", None)
    if isinstance(response, requests.Response):
        return _explained_status(response, source)
    if isinstance(error, requests.RequestException):
        return Transient(explained(error))
    problem = f"({type(error).__name__}). Look at: python -m pipeline doctor"
    if isinstance(error, OSError):
        # A name that is no file's may be a token.
        file = error.filename if isinstance(error.filename, str) and os.path.lexists(error.filename) else "a file"
        problem = f"with {file}: {error.strerror}" if error.errno else f"({explained(error)})"
    return TransferError(f"the kaggle client failed {problem}")


def _explained_status(response: requests.Response, source: OnKaggle | None) -> Exception:
    status = response.status_code
    if status >= 500 or status == 429:
        problem = "too many requests; wait an hour" if status == 429 else "it may be down"
        return Transient(f"it says {status}, {problem}", retry_after_seconds(response.headers))
    if urlsplit(response.url).path.endswith("/GenerateAccessToken"):
        return TransferError(
            f"Kaggle says {status}. It no longer renews the login in ~/.kaggle/credentials.json. Log in again with: "
            "kaggle auth login, or remove the file."
        )
    remedy = "Look at: python -m pipeline doctor"
    if status in (401, 403):
        is_competition = isinstance(source, CompetitionSource)
        remedy = _remedy(status, credentials(), is_competition=is_competition)
        if source and is_competition:
            remedy += f" The rules are accepted in a browser, with the account of the credentials: {source.page}/rules"
    elif status == 404:
        what = "competition" if isinstance(source, CompetitionSource) else "data set, or no such version"
        file = f", or it has no file {source.file}" if source and source.file else ""
        remedy = f"There is no such {what}{file}. Look at the description in configs/snapshots/."
    return TransferError(f"Kaggle says {status}. {remedy}")


def _remedy(status: int, place: str | None, *, is_competition: bool) -> str:
    """Return what a 401 or 403 means, given the place of the credentials, and what to do."""
    make_token = f"make a token at {_TOKENS} and put it into KAGGLE_API_TOKEN"
    if place is None and (is_competition or status == 401):
        return f"{'A competition' if is_competition else 'It'} wants credentials: {make_token}."
    match status:
        case 401 if place == _NOTEBOOK:
            return f"It does not accept the token of {place}. Restart the notebook's session."
        case 401:
            return f"It does not accept the credentials in {place}. Make new ones at {_TOKENS}, or remove these."
        case _ if is_competition:
            return (
                f"The account of the credentials in {place} has not accepted the competition's rules, or there is no "
                "such competition, or it is over and gives its files no longer."
            )
        case _ if place:
            return (
                f"The account of the credentials in {place} has no access, or there is no such data set. Open the data "
                "set's page in a browser with that account, and accept its terms if it asks for that."
            )
    return (
        "It gives no anonymous access, or there is no such data set: it says the same for both. Look at the "
        f"description in configs/snapshots/; if that is right, {make_token}."
    )
