"""The client's modules and the pages of tests, from a server, so that the browser keeps the modules.

Through routes of playwright each of forty modules would take its way through three processes, in each test.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["HOSTS", "SCRIPT", "put", "serving"]

STATIC = Path(__file__).resolve().parent.parent.parent / "lingstream" / "static"
HOSTS = "*.test:80"  # no secure contexts for a browser, as many intranets are none
HTML = "text/html; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"


class Answer(NamedTuple):
    """What is at an address; a browser may keep it for ``age`` seconds."""

    body: bytes
    type: str
    headers: dict[str, str] = {}
    age: int = 0


NOTHING = Answer(b"", "image/svg+xml")  # icons and pictures
answers: dict[str, Answer] = {}


def put(url: str, body: str, type: str = HTML, headers: dict[str, str] | None = None) -> None:
    """Have something at an address from now on, for all pages."""
    answers[url] = Answer(body.encode("utf-8", "surrogatepass"), type, headers or {})


@contextmanager
def serving() -> Iterator[int]:
    """Serve what is put, and the modules at any host; yields the port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser leaves when it likes."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body, kind, headers, age = answers.get(f"http://{self.headers['Host']}{path}") or _module(path)
        self.send_response(200)
        common = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": f"max-age={age}"}
        for name, value in (common | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _module(path: str) -> Answer:
    file = STATIC / path.removeprefix("/static/")
    is_module = path.startswith("/static/lingstream/") and file.is_file()
    return Answer(file.read_bytes(), SCRIPT, age=3_600) if is_module else NOTHING
