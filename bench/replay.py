"""The streams of ``bench/client.py``, and the server that plays one to a page as its contender reads it.

All forms come over one HTTP response, tick by tick, with the same pieces of text in each tick. As server-sent
events each delta is a message of its own: one of our frames, an op, a ``<turbo-stream>`` or an
``<hx-partial>``. As JSON, the text as a model writes it, a tick is one chunk.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["END", "PART", "RUN", "Player", "Stream", "serve", "streams"]

RUN = "00000000-0000-4000-8000-000000000001"
TICK = 0.01  # seconds
LIST = '<ul data-ling-each=""><template><li data-ling="."></li></template></ul>'
MARKDOWN = '<article data-ling-markdown="0"></article>'
PART = (
    "## A part\n\nSome *text* with **strong** words, `code` and [a link](https://example.com/).\n\n"
    "* one\n* two\n* three\n\n```py\nprint(1)\n```\n\n"
)
END = "The end"
PAGE = b'<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,"><main></main>'


class Stream(NamedTuple):
    """A document that is a list of texts, as ops in the order in which they come.

    :param markup: for ``<ling-stream>``.
    :param start: what is there before the first op.
    :param batch: how many ops come with each tick.
    :param last: what the page shows when all of it is drawn; if None, the whole text.
    :param closes: a text is told to be complete as soon as another one begins, to who can be told.
    """

    markup: str
    start: list[str]
    ops: list[dict[str, Any]]
    batch: int
    last: str | None = None
    closes: bool = False

    def expected(self) -> str:
        if self.last is not None:
            return self.last
        texts = list(self.start)
        for op in self.ops:
            texts = write(texts, op)
        return "".join(texts)


def write(texts: list[str], op: dict[str, Any]) -> list[str]:
    if "value" in op:
        return list(op["value"])
    index = int(op["uri"])
    texts[index:] = [texts[index] + op["delta"] if index < len(texts) else op["delta"], *texts[index + 1 :]]
    return texts


def streams(seconds: float) -> dict[str, Stream]:
    """What is compared: plain texts, and then Markdown."""
    dice = random.Random(1)
    words = ("cloud ", "rain ", "of ", "a ", "mountain ", "云 ")
    nodes = "".join(f'<p data-ling="{index}"></p>' for index in range(200))
    page = "".join(f'<p data-ling="{index}"></p>' for index in range(10_000))
    deltas = [
        {"uri": str(dice.randrange(200)), "delta": dice.choice(words)} for _ in range(int(seconds * 1_000))
    ]
    in_some = [{**op, "uri": str(int(op["uri"]) * 50)} for op in deltas]
    in_turn = sorted(deltas, key=lambda op: int(op["uri"]))
    pairs = [{"uri": str(index), "delta": word} for index in range(2_000) for word in ("a ", "b ")]
    many = [{"uri": "", "value": [f"item {index}" for index in range(10_000)]}]
    long = [{"uri": "0", "delta": "a word or two, and more of them. " * 300} for _ in range(100)]
    return {
        "200 nodes": Stream(nodes, [""] * 200, deltas, 10),
        "200 nodes, in turn": Stream(nodes, [""] * 200, in_turn, 10),
        "200 of 10,000 nodes": Stream(page, [""] * 10_000, in_some, 10),
        "2,000 items": Stream(LIST, [], pairs, int(4_000 / seconds / 100), closes=True),
        "10,000 items at once": Stream(LIST, [], many, 1),
        "1 MB of text": Stream('<p data-ling="0"></p>', [""], long, 1),
        "Markdown, 50 KB": markdown((PART * 400)[:50_000]),
        "Markdown, 3,000 items": markdown("* one more item\n" * 3_000),
    }


def markdown(text: str) -> Stream:
    text += f"\n\n{END}."  # a mark at the end may be held back until the run ends
    pieces = [{"uri": "0", "delta": text[at : at + 20]} for at in range(0, len(text), 20)]
    return Stream(MARKDOWN, [""], pieces, 5, END)


def message(data: str) -> str:
    return f"data: {data}\n\n"


def as_op(stream: Stream) -> list[str]:
    return [message(json.dumps(op)) for op in stream.ops]


def as_frames(stream: Stream) -> list[str]:
    """A message for each op, with that of the text that it is the last of, where texts close."""
    numbers = itertools.count(2)

    def frame(**content: Any) -> str:
        return message(json.dumps({"run": RUN, "id": f"1-{next(numbers)}", **content}))

    pieces = []
    for op, following in zip(stream.ops, [*stream.ops[1:], None], strict=True):
        pieces.append(frame(ops=[op]))
        if stream.closes and op["uri"] != (following or {}).get("uri"):
            pieces[-1] += frame(event="string-response", bot="a#1", step="a", root="", uri=op["uri"])
    return pieces


def as_markup(stream: Stream, wrap: Callable[[str, str], str]) -> list[str]:
    """What is appended to which element: an item to the list, or a text to an element that is there.

    :param wrap: gives the message, of an element's id and what is appended to it.
    """
    made = len(stream.start)
    messages = []
    for op in stream.ops:
        new = op["value"] if "value" in op else [op["delta"]]
        is_new = "value" in op or int(op["uri"]) >= made
        items = "".join(f'<li id="t{made + index}">{escape(text)}</li>' for index, text in enumerate(new))
        made += len(new) if is_new else 0
        messages.append(message(wrap("root", items) if is_new else wrap(f"t{op['uri']}", escape(new[0]))))
    return messages


def as_turbo(stream: Stream) -> list[str]:
    return as_markup(
        stream,
        lambda target, html: (
            f'<turbo-stream action="append" target="{target}"><template>{html}</template></turbo-stream>'
        ),
    )


def as_htmx(stream: Stream) -> list[str]:
    return as_markup(
        stream,
        lambda target, html: f'<hx-partial hx-target="#{target}" hx-swap="beforeend">{html}</hx-partial>',
    )


def as_json(stream: Stream) -> list[str]:
    """The text of the document, which ends in the middle of its last string."""
    if "value" in stream.ops[0]:
        return [json.dumps(stream.ops[0]["value"])]
    at, pieces = -1, []
    for op in stream.ops:
        opening = ""
        while at < int(op["uri"]):
            at += 1
            opening += '","' if at else '["'
        if at > int(op["uri"]):
            raise ValueError("expected ops in the order of the document: as JSON there is no other")
        pieces.append(opening + json.dumps(op["delta"], ensure_ascii=False)[1:-1])
    return pieces


def as_parts(stream: Stream) -> list[str]:
    """What ``useChat`` reads, of a stream of one text."""
    deltas = [{"type": "text-delta", "id": "0", "delta": op["delta"]} for op in stream.ops]
    parts = [{"type": "start"}, {"type": "text-start", "id": "0"}, *deltas]
    return [message(json.dumps(part)) for part in parts]


FORMS = {
    "op": as_op,
    "frames": as_frames,
    "turbo": as_turbo,
    "htmx": as_htmx,
    "json": as_json,
    "parts": as_parts,
}


class Player:
    """One stream, played to whoever asks first.

    :param form: one of ``FORMS``.
    """

    def __init__(self, stream: Stream, form: str) -> None:
        pieces = FORMS[form](stream)
        self._ticks = [
            "".join(pieces[at : at + stream.batch]).encode() for at in range(0, len(pieces), stream.batch)
        ]
        self.type = "text/plain; charset=utf-8" if form == "json" else "text/event-stream"
        self.opening = b"" if form == "json" else b": connected\n\n"
        if form == "frames":
            snapshot = {"document": stream.start, "status": "running", "bots": {}}
            self.opening = message(json.dumps({"run": RUN, "id": "1-1", "snapshot": snapshot})).encode()
        self.asked = threading.Event()
        self.begun = threading.Event()
        self.ended = threading.Event()
        self.left = threading.Event()
        """Set when the page is done with it: an end of the response would have some ask again."""

    def ticks(self) -> Iterator[bytes]:
        due = time.monotonic()
        for tick in self._ticks:
            yield tick
            due += TICK
            time.sleep(max(0.0, due - time.monotonic()))


class Site(ThreadingHTTPServer):
    """The page, other pages, files, and at any other address what is played at the moment."""

    daemon_threads = True
    player: Player
    folders: Sequence[Path]
    pages: Mapping[str, bytes] = {"/": PAGE}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page may leave a response for another one."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(SimpleHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if page := self.server.pages.get(self.path):
            self.respond("text/html" if page.startswith(b"<") else "application/json")
            self.wfile.write(page)
        elif path.endswith((".js", ".css", ".svg")):
            super().do_GET()
        elif "Upgrade" in self.headers:
            self.send_error(501)
        else:
            self.play(self.server.player)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.play(self.server.player)

    def play(self, player: Player) -> None:
        self.respond(player.type)
        self.wfile.write(player.opening)
        player.asked.set()
        player.begun.wait()
        for tick in player.ticks():
            self.wfile.write(tick)
        player.ended.set()
        player.left.wait()

    def respond(self, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()

    def translate_path(self, path: str) -> str:
        places = [folder / path.lstrip("/") for folder in self.server.folders]
        return str(next((place for place in places if place.exists()), places[0]))

    def guess_type(self, path: Any) -> str:
        return "text/javascript" if str(path).endswith(".js") else str(super().guess_type(path))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve(*folders: Path) -> Iterator[tuple[Site, str]]:
    """A site on a free port, with the scripts of some folders; the first that has one of a name serves it."""
    site = Site(("127.0.0.1", 0), Handler)
    site.folders = folders
    threading.Thread(target=site.serve_forever, daemon=True).start()
    try:
        yield site, f"http://127.0.0.1:{site.server_port}/"
    finally:
        site.shutdown()
