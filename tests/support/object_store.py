"""A real S3 server on loopback that notes what it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from moto.server import ThreadedMotoServer

KEY, SECRET = "AKIATESTTESTTESTTEST", "a-secret-that-nobody-may-see"
BUCKET = "shelf"


class Request(NamedTuple):
    """What was asked: the method, the path with its query, and the bytes of a range."""

    method: str
    path: str
    size_bytes: int | None


@dataclass
class ObjectStore:
    """An S3 server with one bucket."""

    server: ThreadedMotoServer
    port: int
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables for its clients."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.url,
        }

    def put(self, folder: Path, name: str) -> None:
        """Store the files of a folder under a name."""
        s3 = client()
        for path in folder.iterdir():
            s3.put_object(Bucket=BUCKET, Key=f"{name}/{path.name}", Body=path.read_bytes())

    def comes_back(self) -> None:
        """Serve again, at the same place, with what was stored."""
        self.server = _started(self.port)

    def objects(self) -> list[str]:
        """Return the keys of all objects that were put since the requests were cleared."""
        return sorted(request.path for request in self.requests if request.method == "PUT")

    def note(self, handler: Any) -> None:
        """Note a request that was answered."""
        found = re.fullmatch(r"bytes=(?:(\d+)-)?-?(\d+)", handler.headers.get("Range") or "")
        size = (int(found[2]) - int(found[1]) + 1 if found[1] else int(found[2])) if found else None
        self.requests.append(Request(handler.command, handler.path, size))


# What they import takes a while, and most processes of a test run need none of it.


def client() -> Any:
    """Return a client of the server that is serving, which the environment names."""
    import boto3

    return boto3.client("s3")


def forget() -> None:
    """Clear the cache of file systems of this process, with their connections and listings."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()


def _started(port: int) -> ThreadedMotoServer:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    return server


@contextmanager
def serving() -> Iterator[ObjectStore]:
    """Serve an empty bucket."""
    from werkzeug.serving import WSGIRequestHandler

    forget()
    server = _started(0)
    with pytest.MonkeyPatch.context() as patch:
        store = ObjectStore(server, server.get_host_and_port()[1])
        patch.setattr(WSGIRequestHandler, "log_request", lambda handler, *_: store.note(handler))
        for name, value in store.variables.items():
            patch.setenv(name, value)
        client().create_bucket(Bucket=BUCKET)
        store.requests.clear()
        yield store
        store.server.stop()
