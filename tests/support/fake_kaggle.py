"""Kaggle and its storage on 127.0.0.1, for the real `kaggle` client: counts what is asked, and fails where told to.

It is a proxy: with KAGGLE_API_ENVIRONMENT=LOCALHOST the client talks to http://localhost, and http_proxy brings that
here. The API answers with a redirect to another host name, which the proxy is as well. Every redirect has a signature
of its own, which may expire, and which must never be seen in what a run leaves behind. With a certificate it answers
CONNECT, and is the real hosts behind TLS. Statuses, headers and bodies are those that the real ones send.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from base64 import b64encode
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

SECRET = "SECRETSIGNATURE"  # in every signed URL
API = "api.kaggle.com"
STORAGE = "storage.googleapis.com"
_LOCATION = (
    "{scheme}://{storage}:443/kaggle-data-sets/1166/2095/bundle/archive.zip?X-Goog-Algorithm=GOOG4-RSA-SHA256"
    "&X-Goog-Credential=gcp-kaggle-com%40kaggle-161607.iam.gserviceaccount.com%2F20260101%2Fauto%2Fstorage%2F"
    "goog4_request&X-Goog-Date=20260101T000000Z&X-Goog-Expires=259200&X-Goog-SignedHeaders=host"
    "&X-Goog-Signature={signature}"
)
_FILE_LOCATION = (  # of competitions, and of single files
    "{scheme}://{storage}:443/kaggle-competitions-data/kaggle-v2/9988/128738/{file}?GoogleAccessId=web-data%40kaggle-"
    "161607.iam.gserviceaccount.com&Expires=1767225600&Signature={signature}"
    "&response-content-disposition=attachment%3B+filename%3D{file}"
)
_EXPIRED = (
    "<?xml version='1.0' encoding='UTF-8'?><Error><Code>ExpiredToken</Code><Message>Invalid argument.</Message>"
    f"<Details>The provided token has expired. {SECRET}</Details></Error>"
)
_DOWNLOADS = frozenset(
    {
        "datasets.DatasetApiService/DownloadDataset",
        "competitions.CompetitionApiService/DownloadDataFiles",
        "competitions.CompetitionApiService/DownloadDataFile",
    }
)
_STATUS = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Content(Hashable, Protocol):
    """A file that is served, such as the archive; one with other bytes is another."""

    def size(self) -> int:
        """How many bytes it has."""

    def part(self, start: int, stop: int) -> bytes:
        """Return some of them."""


@dataclass(frozen=True)
class FileContent:
    """An archive in a file."""

    path: Path

    def size(self) -> int:
        return self.path.stat().st_size

    def part(self, start: int, stop: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)


@dataclass(frozen=True)
class Bytes:
    """A small file."""

    data: bytes

    def size(self) -> int:
        return len(self.data)

    def part(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


@functools.cache  # storage gives it with every part
def md5_of(content: Content) -> bytes:
    """Return the digest of a whole archive."""
    return hashlib.md5(content.part(0, content.size())).digest()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    kind is one of: status (`raw` is the body of the API's answer), reset, short, flip, stall, html, ignore_range,
    no_suffix (`status` to a range from the end), etag, no_length, expired, zeros (a body of zeros), trickle (a
    byte now and then), no_content_range, raw (just those bytes).
    """

    kind: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    at: int | None = None  # the byte of the answer that flips; in its middle where not given
    raw: bytes = b""


@dataclass
class FakeKaggle:
    """What is served, what goes wrong, and what was counted."""

    content: Content
    file: str = "archive.zip"
    files: dict[str, Content] = field(default_factory=dict)  # that are served one by one, by name
    etag: str | None = ""  # as storage makes it: the MD5, or something else where it has none
    md5: bool = True
    ranges: bool = True
    length: bool = True
    latency_seconds: float = 0.0
    api_faults: dict[int, Fault] = field(default_factory=dict)  # by the number of the call, from 0
    faults: dict[int, Fault] = field(default_factory=dict)  # by the number of the request to storage, from 0
    always: Fault | None = None  # at every request to storage
    api_calls: list[dict[str, Any]] = field(default_factory=list)
    api_headers: list[dict[str, str]] = field(default_factory=list)
    requests: list[str | None] = field(default_factory=list)  # the Range of each request to storage
    authorizations: list[str | None] = field(default_factory=list)  # sent to storage
    methods: list[str] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)  # ports of the clients' ends
    uploads: dict[str, bytes] = field(default_factory=dict)  # what was put to storage, by the token of the upload
    upload_names: dict[str, str] = field(default_factory=dict)  # the name of each file, by its token
    created: list[dict[str, Any]] = field(default_factory=list)  # what data sets were asked for
    hosts: list[str] = field(default_factory=list)  # that CONNECT asked for
    sent_bytes: int = 0
    port: int = 0
    certificate: Path | None = None  # and its key, for both names, in one file
    oldest_valid: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stopped: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        """Be healthy, and count from nothing."""
        self.faults, self.api_faults, self.always = {}, {}, None
        self.api_calls, self.api_headers, self.requests, self.methods, self.sent_bytes = [], [], [], [], 0

    def expire(self) -> None:
        """Let every signature that was handed out so far expire."""
        self.oldest_valid += 1000

    def environment(self, home: Path) -> dict[str, str]:
        """Return the variables that lead the kaggle client, and ours, here."""
        own = {"KAGGLE_CONFIG_DIR": str(home / "kaggle"), "HOME": str(home)}
        proxy = f"http://127.0.0.1:{self.port}"
        if self.certificate:
            return {
                **own,
                "KAGGLE_API_ENVIRONMENT": "PROD",
                "https_proxy": proxy,
                "REQUESTS_CA_BUNDLE": str(self.certificate),
            }
        return {**own, "KAGGLE_API_ENVIRONMENT": "LOCALHOST", "http_proxy": proxy}

    @property
    def url(self) -> str:
        """A URL of the archive without Kaggle or proxy in between."""
        return f"http://127.0.0.1:{self.port}/{self.file}"

    @contextmanager
    def serving(self) -> Iterator[FakeKaggle]:
        """Serve on a free port of 127.0.0.1."""
        server = _Server(("127.0.0.1", self.port), _Handler)
        server.fake = self
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.stopped.set()
            server.shutdown()
            server.server_close()
            thread.join()
            self.stopped.clear()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    fake: FakeKaggle


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    @property
    def fake(self) -> FakeKaggle:
        return self.server.fake

    @property
    def content(self) -> Content:
        """What lies where the request leads: one of the files, or the archive of all."""
        return self.fake.files.get(urlsplit(self.path).path.rpartition("/")[2], self.fake.content)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  its name there
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone
            self.close_connection = True
        finally:
            if self.connection is not self.request:  # behind TLS
                self.connection.close()

    def do_CONNECT(self) -> None:
        """Be the host that is asked for, behind TLS."""
        assert self.fake.certificate is not None
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.fake.certificate)
        self.fake.hosts.append(self.path)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", 0)
        self.close_connection = False  # a client may say HTTP/1.0 here

    def do_HEAD(self) -> None:
        self.fake.methods.append("HEAD")
        self.send_response(200)
        for name, value in [*self.headers_of(Fault("")), ("Content-Length", str(self.content.size()))]:
            self.send_header(name, value)
        self.end_headers()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or b"{}")
        if self.path.endswith(("/StartBlobUpload", "/CreateDataset")):
            self.take(self.path.rpartition("/")[2], asked)
            return
        method = self.path.rpartition("/v1/")[2]
        if method not in _DOWNLOADS:
            self.refuse(404, "no such method")
            return
        with self.fake.lock:
            number = len(self.fake.api_calls)
            self.fake.api_calls.append(asked)
            self.fake.api_headers.append(dict(self.headers))
        fault = self.fake.api_faults.get(number) or self.fake.api_faults.get(-1)
        if fault is not None:
            if fault.kind == "stall":
                self.fake.stopped.wait(5)
                self.close_connection = True
                return
            if fault.status >= 400:
                self.refuse(fault.status, f"see {SECRET}", fault.headers)
            else:
                self.answer(fault.status, fault.headers, fault.raw)
            return
        self.redirect(method, asked.get("fileName"), number)

    def redirect(self, method: str, file: str | None, number: int) -> None:
        """Answer with the address of the archive, or of one file."""
        is_competition = method.startswith("competitions.")
        if is_competition and "Authorization" not in self.headers:
            self.refuse(401, "Unauthenticated")
            return
        if file and file not in self.fake.files:
            self.refuse(404, "no such file")
            return
        location = _FILE_LOCATION if is_competition or file else _LOCATION
        told = {
            "scheme": "https" if self.fake.certificate else "http",
            "storage": STORAGE,
            "signature": f"{SECRET}{self.fake.oldest_valid + number}",
            "file": file or self.fake.file,
        }
        self.answer(302, {"Location": location.format(**told)}, b"")

    def take(self, method: str, asked: dict[str, Any]) -> None:
        """Answer as Kaggle does when a data set is uploaded: a place for each file, then the data set itself."""
        with self.fake.lock:
            if method == "CreateDataset":
                self.fake.created.append(asked)
                said = {"status": "ok", "ref": "/owner/slug", "url": "https://www.kaggle.com/datasets/owner/slug"}
            else:
                token = f"token-{len(self.fake.upload_names)}"
                self.fake.upload_names[token] = asked["name"]
                said = {"token": token, "createUrl": f"http://{STORAGE}/upload/{token}"}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def do_PUT(self) -> None:
        """Keep a file."""
        self.fake.uploads[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, {}, b"")

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.rpartition("/")[2] not in {self.fake.file, *self.fake.files}:
            self.refuse(404, "no such file")
            return
        with self.fake.lock:
            number = len(self.fake.requests)
            self.fake.requests.append(self.headers.get("Range"))
            self.fake.authorizations.append(self.headers.get("Authorization"))
            self.fake.methods.append("GET")
            self.fake.connections.add(self.client_address[1])
        if self.fake.latency_seconds:
            time.sleep(self.fake.latency_seconds)
        query = parse_qs(url.query)
        signature = next(iter(query.get("X-Goog-Signature") or query.get("Signature") or ()), None)
        fault = self.fake.always or self.fake.faults.get(number)
        if fault and fault.kind == "expired":
            self.fake.expire()
            fault = None
        if signature is not None and int(signature.removeprefix(SECRET)) < self.fake.oldest_valid:
            self.answer(400, {"Content-Type": "application/xml; charset=UTF-8"}, _EXPIRED.encode())
            return
        self.serve(fault)

    def serve(self, fault: Fault | None) -> None:
        kind = fault.kind if fault else ""
        if fault and kind == "status":
            self.answer(fault.status, fault.headers, f"see {SECRET}".encode())
            return
        if kind == "html":
            self.answer(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Please log in</html>")
            return
        if fault and kind == "raw":
            self.close_connection = True
            self.wfile.write(fault.raw)
            return
        size = self.content.size()
        start, stop, status = 0, size, 200
        asked = _RANGE.fullmatch(self.headers.get("Range") or "")
        if fault and kind == "no_suffix" and asked and not asked[1]:
            self.answer(fault.status, fault.headers, b"")
            return
        if asked and self.fake.ranges and kind != "ignore_range":
            first, last = asked.groups()
            start = int(first) if first else max(0, size - int(last))
            stop = min(size, int(last) + 1) if first and last else size
            status = 206
            if start >= size:
                self.answer(416, {"Content-Range": f"bytes */{size}"}, b"")
                return
        self.send(fault or Fault(""), status, start, stop, size)

    def send(self, fault: Fault, status: int, start: int, stop: int, size: int) -> None:
        kind = fault.kind
        headers = self.headers_of(fault)
        if status == 206 and kind != "no_content_range":
            headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        if kind == "no_length" or not self.fake.length:
            headers.append(("Connection", "close"))
            self.close_connection = True
        else:
            headers.append(("Content-Length", str(stop - start)))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.body(fault, start, stop)

    def headers_of(self, fault: Fault) -> list[tuple[str, str]]:
        """Return what storage says of the archive."""
        fake = self.fake
        headers = [
            ("Content-Type", "application/zip"),
            ("Accept-Ranges", "bytes"),
            ("Last-Modified", "Wed, 29 Nov 2017 00:00:00 GMT"),
            ("x-goog-generation", "1511913600000000"),
            ("x-goog-stored-content-encoding", "identity"),
            ("x-goog-hash", "crc32c=AAAAAA=="),
        ]
        if fake.md5:
            headers.append(("x-goog-hash", f"md5={b64encode(md5_of(self.content)).decode()}"))
        if fake.etag is not None:
            made = f'"{md5_of(self.content).hex()}"' if fake.md5 else '"CKih16GjycICEAE="'
            headers.append(("ETag", '"another"' if fault.kind == "etag" else fake.etag or made))
        return headers

    def body(self, fault: Fault, start: int, stop: int) -> None:
        kind = fault.kind
        if kind == "trickle":
            self.trickle(self.content.part(start, stop))
            return
        until = start + (stop - start) // 2 if kind in ("reset", "short", "stall") else stop
        for at in range(start, until, 1 << 20):
            data = bytearray(self.content.part(at, min(until, at + (1 << 20))))
            if kind == "zeros":
                data = bytearray(len(data))
            if kind == "flip" and at == start:
                data[len(data) // 2 if fault.at is None else min(fault.at, len(data) - 1)] ^= 0x55
            self.wfile.write(data)
            with self.fake.lock:
                self.fake.sent_bytes += len(data)
        if kind == "stall":
            self.fake.stopped.wait(5)
        if kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if kind in ("stall", "reset", "short"):
            self.close_connection = True

    def trickle(self, data: bytes) -> None:
        self.close_connection = True
        for byte in data:
            self.wfile.write(bytes([byte]))  # ends in an OSError once the client has gone
            if self.fake.stopped.wait(0.05):
                break

    def refuse(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        error = {"code": status, "message": message, "status": _STATUS.get(status, "UNKNOWN")}
        body = json.dumps({"error": error}).encode()
        self.answer(status, {"Content-Type": "application/json", **(headers or {})}, body)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
