"""Have the server run a command, and end as it does: ``client.py SOCKET REAL ARGUMENTS…``; REAL runs what it refuses.

It is started for each command, with as little as an interpreter needs.
"""

from __future__ import annotations

import _socket  # what `socket` wraps, in a fraction of its time
import contextlib
import marshal
import os
import resource
import signal
import struct
import sys

LIMITS = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))


def limits() -> list[tuple[int, int]]:
    """Return the limits of this process."""
    return [resource.getrlimit(getattr(resource, name)) for name in LIMITS]


def main() -> None:
    """Pass on what this process is made of, and wait."""
    address, real, *arguments = sys.argv[1:]
    files = [file for file in map(int, os.listdir("/proc/self/fd")) if is_open(file)]  # noqa: PTH208  pathlib takes longer
    request = marshal.dumps((real, arguments, os.getcwd(), dict(os.environ), files, limits()))  # noqa: PTH109
    connection = _socket.socket(_socket.AF_UNIX)
    accepted = b""
    with contextlib.suppress(OSError):  # the server may have ended
        connection.connect(address)
        rights = struct.pack(f"{len(files)}i", *files)
        connection.sendmsg([struct.pack("I", len(request))], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
        while request:
            request = request[connection.send(request) :]
        accepted = connection.recv(1)
    if not accepted:
        os.execv(real, [real, *arguments])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the server ends the command when this process is gone
    for file in files:
        if file > 2:
            os.close(file)  # whoever waits for its end waits for the command's
    (status,) = struct.unpack("i", connection.recv(4) or struct.pack("i", 1))
    if status < 0:
        with contextlib.suppress(OSError):  # some are always fatal
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def is_open(file: int) -> bool:
    """Tell whether a file is open; the one that listed them is not any more."""
    try:
        os.fstat(file)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
