"""Events out of bytes that come cut anywhere: server-sent events as model servers write them, or one body.

Invariants:

1. The events do not depend on the cuts, and each byte is looked at a bounded number of times.
2. A ``data:`` line that is JSON by itself is an event at once: who forgets the blank line is read, too.
3. Nothing raises: what cannot be read is a ``ProviderError`` in the place of an event, and the last.
4. What is kept is bounded by the longest event.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

import orjson

from lingstream.core.exceptions import ProviderError

from .failures import bad_response, describe, letters

__all__ = ["DONE", "LONGEST_EVENT", "EventStream", "Named", "names_an_error"]

LONGEST_EVENT = 8 * 1024 * 1024
LONGEST_NAME = 100
LONGEST_WORDS = 500
BOM = b"\xef\xbb\xbf"
BLANK = re.compile(rb"(?:\s|\xef\xbb\xbf)*")
PLAIN = (b"data: {", b"data:{")
KEEP_ALIVE = ("ping", "pong", "keepalive", "heartbeat", "processing")
# Half an event, behind which a gateway tells what has become of the server behind it.
HALF = re.compile(r'\{.*(?=\{\s*"(?:error"|type"\s*:\s*"error"))', re.DOTALL)
BETWEEN = re.compile(r"(?:[\s,\0]|data:)*")
ENDS = (b"\n\n", b"\n\r\n")
# How far the beginning has been understood: a body may turn out to be events without "data:".
START, UNSURE, BODY, LINES = range(4)


class Done:
    """The type of :data:`DONE`."""


#: In the place of an event: the server said that this was all.
DONE: Final = Done()


class Named(NamedTuple):
    """An event with a name; ``data`` is JSON, text that is none, or ``None`` where there was nothing."""

    name: str
    data: Any


class EventStream:
    """Takes what the network brings, and returns the events in it.

    An event is the JSON value of its data, :class:`Named` if the server named it, :data:`DONE`, or a
    ``ProviderError``. After one of the latter two, what follows has no meaning.

    :param longest: bytes of the longest event.

    ``words`` is text that belonged to no event, such as a proxy's complaint; ``lone`` is true once there was
    JSON that may hold halves of surrogate pairs.
    """

    def __init__(self, longest: int = LONGEST_EVENT) -> None:
        self.words = ""
        self.lone = False
        self._longest = longest
        self._mode = START
        self._is_open = True  # something has begun that the next packet may go on with
        self._rest: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._name = ""
        self._last: Any = None
        self._held: list[bytes] = []
        self._held_size = 0

    def feed(self, data: bytes) -> list[Any]:
        """Return the events that ``data`` completes: usually one, or none."""
        # Most packets are one whole event, and to look for its lines costs half as much again.
        if not self._is_open and data.startswith(PLAIN) and data[data.find(b"\n") :] in ENDS:
            try:
                return [orjson.loads(data[5:])]
            except orjson.JSONDecodeError:
                pass
        return self._read(data)

    def close(self) -> list[Any]:
        """Return what the end of the connection completes."""
        rest = b"".join(self._rest)
        self._rest.clear()
        if self._mode in (START, LINES):
            return self._items([rest, b""])
        try:
            value = self._loads(rest)
        except ValueError:
            return self._items([*rest.split(b"\n"), b""])
        return value if isinstance(value, list) else [value]

    def _read(self, data: bytes) -> list[Any]:
        if b"\r" in data or self._after_cr:
            data = self._with_line_feeds(data)
        self._is_open = True
        self._rest.append(data)
        self._size += len(data)
        if self._mode != LINES:
            self._begin(data)
        if self._mode != LINES or b"\n" not in data:
            return [self._too_long()] if self._size > self._longest else []
        lines = b"".join(self._rest).split(b"\n")
        tail = lines.pop()
        self._rest = [tail] if tail else []
        self._size = len(tail)
        items = self._items(lines)
        self._is_open = bool(tail or self._held or self._name or self._after_cr or self._last is not None)
        return items

    def _with_line_feeds(self, data: bytes) -> bytes:
        """A line may end in CR, LF or both, and the two may come in two packets."""
        if data and self._after_cr:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _begin(self, data: bytes) -> None:
        if self._mode == START:
            data = head = BLANK.sub(b"", b"".join(self._rest), count=1)
            self._rest, self._size = [head], len(head)
            if not BOM.startswith(head):
                self._mode = UNSURE if head[:1] in (b"{", b"[") else LINES
        if self._mode == UNSURE and b"\n" in data:
            first = b"".join(self._rest).partition(b"\n")[0]
            try:
                orjson.loads(first)
                self._mode = LINES
            except orjson.JSONDecodeError:
                self._mode = BODY

    def _items(self, lines: list[bytes]) -> list[Any]:
        items: list[Any] = []
        for line in lines:
            if not line:
                if self._held or self._name:
                    self._dispatch(items)
                self._last = None
            elif line.startswith(PLAIN) and not self._held:
                self._data(line[5:], items)
            else:
                self._field(line, items)
        return items

    def _field(self, line: bytes, items: list[Any]) -> None:
        line = line.removeprefix(BOM).strip()
        name, _, value = line.partition(b":")
        if not line:
            self._dispatch(items)
        elif name == b"data":
            self._data(value, items)
        elif name == b"event":
            self._name = value.strip()[:LONGEST_NAME].decode("utf-8", "replace")
            if self._last is not None and names_an_error(self._name):
                items.append(Named(self._name, self._last))
        elif name == b"error":
            items.append(Named("error", self._json_or_text(value)))
        elif name not in (b"", b"id", b"retry"):
            self._other(line, items)

    def _other(self, line: bytes, items: list[Any]) -> None:
        """A line of no field: JSON whose ``data:`` was forgotten or stands on a line of its own, or words."""
        if self._held or line[:1] in (b"{", b"[") or _says_done(line):
            self._data(line, items)
        elif not self.words:
            self.words = line[:LONGEST_WORDS].decode("utf-8", "replace")

    def _data(self, data: bytes, items: list[Any]) -> None:
        if not self._held:
            try:
                value = orjson.loads(data)
            except orjson.JSONDecodeError:
                data = data.lstrip().removeprefix(b"data:")  # some proxies write it twice
            else:
                self._last = value
                if type(value) is str:
                    value = self._unquoted(value)
                items.append(Named(self._name, value) if self._name and value is not DONE else value)
                return
        if _says_done(data):
            self._dispatch(items)
            items.append(DONE)
        elif self._held or data.strip():
            self._hold(data, items)

    def _unquoted(self, text: str) -> Any:
        """What stands in a text: [DONE], or the JSON of a server that encodes it twice."""
        data = text.encode()
        if _says_done(data):
            return DONE
        try:
            return orjson.loads(data) if text.lstrip().startswith("{") else text
        except orjson.JSONDecodeError:
            return text

    def _hold(self, data: bytes, items: list[Any]) -> None:
        """JSON over several lines, or that orjson refuses, or none: the blank line tells."""
        self._held.append(data)
        self._held_size += len(data) + 1
        if self._held_size > self._longest:
            items.append(self._too_long())

    def _dispatch(self, items: list[Any]) -> None:
        """The blank line: the event is complete."""
        name, held, told = self._name, b"\n".join(self._held), self._last is not None
        self._name, self._last, self._held_size = "", None, 0
        self._held.clear()
        if held:
            items += self._complete(name, held)
        elif names_an_error(name) and not told:
            items.append(Named(name, None))
        elif name == "done":
            items.append(DONE)

    def _complete(self, name: str, held: bytes) -> list[Any]:
        value = self._json_or_text(held)
        values = self._several(value) or self._behind_half(value) if isinstance(value, str) else [value]
        is_idle = not values and letters(value[:LONGEST_WORDS]) in KEEP_ALIVE
        if name:
            if not (values or is_idle):
                self.words = self.words or value[:LONGEST_WORDS]
            return [Named(name, each) for each in values or [value]]
        if values or is_idle:
            return values
        return [bad_response(f"data that is no JSON: {describe(value)}")]

    def _json_or_text(self, data: bytes) -> Any:
        try:
            return self._loads(data)
        except ValueError:
            return data.decode("utf-8", "replace").strip()

    def _several(self, text: str) -> list[Any]:
        """The JSON values of a text that holds nothing else: some servers put several on one line."""
        values, at, scan = [], 0, json.JSONDecoder().raw_decode
        try:
            while at < len(text):
                value, at = scan(text, at)
                values.append(value)
                at = BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too
        except (ValueError, RecursionError):
            return []
        self.lone = True
        return values

    def _behind_half(self, text: str) -> list[Any]:
        half = HALF.match(text)
        return self._several(text[half.end() :]) if half else []

    def _loads(self, data: bytes) -> Any:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        try:
            value = json.loads(data.decode("utf-8", "replace"))  # lone surrogates, NaN, broken UTF-8
        except RecursionError:
            raise ValueError("JSON that is too deep") from None
        self.lone = True
        return value

    def _too_long(self) -> ProviderError:
        return bad_response(f"an event of more than {self._longest} bytes")


def names_an_error(name: str) -> bool:
    """Whether an event of this name tells of a failure: ``error``, ``stream_error``, ``Error``."""
    return "error" in name.lower()


def _says_done(data: bytes) -> bool:
    word = data.strip()
    return word.startswith(b"[DONE]") or (len(word) < 12 and word.strip(b"\"'[] ").upper() == b"DONE")
