"""A small client of Chromium's DevTools protocol, for the tests that open the report in a real browser.

It talks over two pipes (``--remote-debugging-pipe``: JSON, each message ended by a NUL), so it needs no port, no driver
and no library. The protocol: https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Event = dict[str, Any]

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)
_PATIENCE_SECONDS = 60


def find_chromium() -> str | None:
    """Return the path of Chromium, if it is installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page:
    """One open page. Every event that the browser reports is kept in `events`."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[Event] = []

    def attach(self) -> None:
        """Open a tab, and be told what happens in it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda received: received.get("id") == self._number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, path: Path) -> None:
        """Open a file and wait until it and its pictures are loaded."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._until(lambda received: received.get("method") == "Page.loadEventFired")

    def run(self, script: str) -> Any:
        """Evaluate JavaScript, wait for the promise if it is one, and return the value."""
        received = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in received:
            raise RuntimeError(received["exceptionDetails"].get("exception", {}).get("description", str(received)))
        return received["result"].get("value")

    def resize(self, width: int, height: int = 900, *, phone: bool = False) -> None:
        """Set the size of the page in CSS pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def prefer(self, scheme: str, medium: str = "") -> None:
        """Emulate a preference for ``light`` or ``dark``, and a medium such as ``print``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=medium, features=features)

    def requested(self) -> list[str]:
        """Return the addresses of all that the page asked for."""
        return [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]

    def complaints(self) -> list[Event]:
        """Return errors and warnings of the console and the log, and exceptions."""
        spoken = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event for event in self.events if event.get("method") in spoken]

    def _until(self, wanted: Callable[[Event], bool]) -> Event:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            while b"\0" in self._rest:
                message, self._rest = self._rest.split(b"\0", 1)
                received = json.loads(message)
                if "method" in received:
                    self.events.append(received)
                if wanted(received):
                    return received  # type: ignore[no-any-return]
            ready, _, _ = select.select([self._from], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self._from, 1 << 20) if ready else b""
            if not data:
                raise RuntimeError("Chromium ended" if ready else f"Chromium said nothing for {_PATIENCE_SECONDS} s")
            self._rest += data


@contextmanager
def chromium(executable: str, profile: Path) -> Iterator[Page]:
    """Start a browser with an empty `profile` folder, open a page, and end it.

    Chromium reads commands from descriptor 3 and writes to 4; a shell puts the pipes there.
    """
    commands, to_browser = os.pipe()
    from_browser, answers = os.pipe()
    line = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
    process = subprocess.Popen(
        ["/bin/bash", "-c", line, executable, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(commands, answers),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    try:
        page = Page(to_browser, from_browser)
        page.attach()
        yield page
    finally:
        os.close(to_browser)  # at the end of its commands the browser ends
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser)
