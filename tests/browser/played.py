"""A server that the test plays: pages with some markup, and the other end of their sockets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocketRoute

from tests.chaos.patience import scaled

from .files import SCRIPT, put

TIMEOUT = 30_000  # milliseconds of an idle machine
ORIGIN = "http://lingstream.test"
VECTORS = json.loads((Path(__file__).parent.parent / "cases" / "protocol.json").read_text())
RUN = VECTORS["cases"][0]["frames"][0]["run"]
STRICT = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
}


class Peer:
    """The server's end of the page's sockets."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sockets: list[WebSocketRoute] = []
        self.messages: list[dict[str, Any]] = []
        page.route_web_socket(f"{ORIGIN.replace('http', 'ws')}/ws/ling/", self._accept)

    def _accept(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda text: self._receive(socket, json.loads(text)))

    def _receive(self, socket: WebSocketRoute, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            socket.send('{"type": "pong"}')
        else:
            self.messages.append(message)

    def wait(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The last of `count` messages of a kind, once they have come."""
        end = time.monotonic() + scaled(TIMEOUT / 1000)
        while len(found := [message for message in self.messages if message["type"] == kind]) < count:
            assert time.monotonic() < end, f"expected {count} of {kind}, got {self.messages}"
            self.page.wait_for_timeout(5)  # lets playwright dispatch what has come in
        return found[-1]

    def start(self, count: int = 1, run: str = RUN) -> None:
        ref = self.wait("start", count)["ref"]
        self.send({"started": {"run": run, "token": "T", "share": "S", "workflow": "w"}, "ref": ref})

    def send(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.sockets[-1].send(json.dumps(message))

    def ops(self, number: int, *ops: dict[str, Any]) -> None:
        self.send({"run": RUN, "id": f"1-{number}", "ops": list(ops)})


@contextmanager
def playing(
    page: Page, *, policy: dict[str, str] = STRICT, files: dict[str, str] | None = None
) -> Iterator[Callable[[str], Peer]]:
    """Give a function that opens a page with some markup in its body, beside scripts of its own."""

    def open_page(markup: str) -> Peer:
        script = '<script type="module" src="/static/lingstream/index.js" data-lingstream></script>'
        html = f"<!DOCTYPE html><html><head>{script}</head><body>{markup}</body></html>"
        put(f"{ORIGIN}/", html, headers=policy)
        for path, source in (files or {}).items():
            put(f"{ORIGIN}{path}", source, SCRIPT)
        peer = Peer(page)
        page.goto(ORIGIN)
        return peer

    yield open_page


def set_(uri: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"uri": uri, "value": value, **more}


def append(uri: str, delta: str) -> dict[str, Any]:
    return {"uri": uri, "delta": delta}


def snapshot(document: Any = None, number: int = 1) -> dict[str, Any]:
    return {
        "run": RUN,
        "id": f"1-{number}",
        "snapshot": {"document": document, "status": "running", "bots": {}},
    }


def done(number: int, status: str = "finished", crc32: int | None = None) -> dict[str, Any]:
    return {"run": RUN, "id": f"1-{number}", "done": {"status": status, "usage": None, "crc32": crc32}}


STREAM = """<ling-stream workflow="w" data-input='{"q": 1}'>%s</ling-stream>"""
