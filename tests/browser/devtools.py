"""A Chromium of its own, by the DevTools protocol: playwright turns the cache for the back button off."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.chaos.patience import scaled

__all__ = ["Tab", "opened"]

WITHIN = 30  # seconds of an idle machine


class Tab:
    """The browser's one page."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._asked = 0

    def goto(self, url: str) -> None:
        """Follow a link to another page."""
        self.send("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page that is shown."""
        return self.send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait for it in whatever page is shown by then."""
        end = time.monotonic() + scaled(WITHIN)
        while not self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, f"not within {scaled(WITHIN)} s: {condition}"
            time.sleep(0.02)  # a page that is left takes what waits in it along

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._asked += 1
        self._connection.send(json.dumps({"id": self._asked, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=scaled(WITHIN)))
            if message.get("id") == self._asked:
                return message["result"]  # type: ignore[no-any-return]


@contextmanager
def opened(executable: str, arguments: list[str], profile: Path) -> Iterator[Tab]:
    """Start the browser with a profile that is empty."""
    options = ["--headless", "--disable-breakpad", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
    log = subprocess.DEVNULL
    process = subprocess.Popen([executable, *options, *arguments, "about:blank"], stdout=log, stderr=log)
    try:
        with connect(_address(profile / "DevToolsActivePort"), max_size=None) as connection:
            yield Tab(connection)
    finally:
        process.terminate()
        process.wait()


def _address(written: Path) -> str:
    end = time.monotonic() + scaled(WITHIN)
    while not (written.exists() and "\n" in written.read_text()):
        assert time.monotonic() < end, "the browser did not start"
        time.sleep(0.05)
    port = written.read_text().splitlines()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        (page,) = [target for target in json.load(answer) if target["type"] == "page"]
    return str(page["webSocketDebuggerUrl"])
