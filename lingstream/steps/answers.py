"""What an ``http`` step makes of a response's body; none reads more of it than :data:`MOST_BYTES`."""

from __future__ import annotations

import asyncio
import codecs
import io
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import httpx2

from lingstream.access.responses import BodyRefused, body_pieces, may_pass
from lingstream.core.engine.kinds import Put, Said, Text
from lingstream.core.exceptions import RequestFailure
from lingstream.core.phrases import Phrase

__all__ = ["MOST_BYTES", "READERS"]

MOST_BYTES = 4 * 1024 * 1024
_QUICK = 256 * 1024  # bytes of JSON that are parsed in a moment (2 ms)
#: What LangChain calls the text in a piece of an answer.
_TEXTS = ("content", "text", "answer", "output")
#: Encodings that a body may have beside UTF-8. Python knows more, some of which decode in quadratic time.
_ENCODINGS = frozenset(
    (
        *("ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1251", "cp1252", "koi8-r", "utf-16"),
        *("gb2312", "gbk", "gb18030", "big5", "shift_jis", "cp932", "euc_jp", "euc_kr"),
    )
)


async def _json(response: httpx2.Response) -> AsyncGenerator[Said, None]:
    body = await _whole(response)
    if not body:
        return  # 204, and what else has nothing to say
    try:
        value = _parsed(body) if len(body) <= _QUICK else await asyncio.to_thread(_parsed, body)
    except (ValueError, RecursionError):
        message = Phrase(
            "expected JSON from %(host)s, got %(size)s bytes of something else (%(type)r)",
            host=_host(response),
            size=len(body),
            type=response.headers.get("content-type", "without a type")[:100],
        )
        raise RequestFailure(message) from None
    yield Put("", value)


async def _text(response: httpx2.Response) -> AsyncGenerator[Said, None]:
    body = await _whole(response)
    yield Put("", body.decode(_encoding(response), "replace"))


async def _stream(response: httpx2.Response) -> AsyncGenerator[Said, None]:
    async with aclosing(_texts(response)) as texts:
        async for text in texts:
            yield Text(text)


async def _langserve(response: httpx2.Response) -> AsyncGenerator[Said, None]:
    events = _Events()
    async with aclosing(_texts(response)) as texts:
        async for piece in texts:
            for event, data in events.feed(piece):
                if event == "end":
                    return
                if event == "error":
                    _broken_off(response, data)
                if event == "data" and (text := _text_in(_loaded(response, data))):
                    yield Text(text)
    message = Phrase("%(host)s ended its answer without an event “end”", host=_host(response))
    raise RequestFailure(message, retryable=True)


#: By the option ``response``.
READERS: Mapping[str, Callable[[httpx2.Response], AsyncGenerator[Said, None]]] = {
    "json": _json,
    "text": _text,
    "stream": _stream,
    "langserve": _langserve,
}


# -- bytes and texts --------------------------------------------------------------------------------------


async def _whole(response: httpx2.Response) -> bytes:
    return b"".join([piece async for piece in _pieces(response)])


async def _texts(response: httpx2.Response) -> AsyncGenerator[str, None]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    async with aclosing(_pieces(response)) as pieces:
        async for piece in pieces:
            if text := decoder.decode(piece):
                yield text
    if rest := decoder.decode(b"", final=True):
        yield rest


async def _pieces(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(body_pieces(response, MOST_BYTES)) as pieces:
            async for piece in pieces:
                yield piece
    except BodyRefused as error:
        raise RequestFailure(error.message) from None


def _encoding(response: httpx2.Response) -> str:
    try:
        name = codecs.lookup(response.charset_encoding or "").name
    except LookupError:
        name = ""
    return name if name in _ENCODINGS else "utf-8-sig"


# -- JSON and LangServe's events --------------------------------------------------------------------------


def _parsed(body: bytes) -> Any:
    return json.loads(body, parse_constant=_no_json)


def _no_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


class _Events:
    """Server-sent events of a text that comes in pieces."""

    def __init__(self) -> None:
        self._newlines = io.IncrementalNewlineDecoder(None, translate=True)
        self._begun: list[str] = []  # of a line
        self._event = "message"
        self._data: list[str] = []

    def feed(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the name and the data of each event that is complete."""
        for line in self._lines(text):
            name, _, value = line.partition(":")
            if name == "event":
                self._event = value.removeprefix(" ")
            elif name == "data":
                self._data.append(value.removeprefix(" "))
            elif not line:
                yield self._event, "\n".join(self._data)
                self._event, self._data = "message", []

    def _lines(self, text: str) -> Iterator[str]:
        *lines, rest = self._newlines.decode(text).split("\n")
        for line in lines:
            self._begun.append(line)
            yield "".join(self._begun)
            self._begun = []
        self._begun.append(rest)


def _loaded(response: httpx2.Response, data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        message = Phrase("expected events of JSON from %(host)s, got something else", host=_host(response))
        raise RequestFailure(message) from None


def _text_in(data: Any) -> str:
    """The text of a piece: itself, or what a message or a dictionary has of it."""
    if isinstance(data, dict):
        data = next((data[name] for name in _TEXTS if name in data), "")
        if isinstance(data, dict):
            data = data.get("content", "")
        if isinstance(data, list):
            data = "".join(_part(each) for each in data)
    return data if isinstance(data, str) else ""


def _part(part: Any) -> str:
    text = part.get("text", "") if isinstance(part, dict) else part
    return text if isinstance(text, str) else ""


def _broken_off(response: httpx2.Response, data: str) -> NoReturn:
    found = _loaded(response, data or "null")
    status = found.get("status_code") if isinstance(found, dict) else None
    status = status if isinstance(status, int) else 500
    message = Phrase("%(host)s broke off with %(status)s", host=_host(response), status=status)
    raise RequestFailure(message, status=status, retryable=may_pass(status))


def _host(response: httpx2.Response) -> str:
    return response.request.url.host
