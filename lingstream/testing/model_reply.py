"""What the model server of :mod:`lingstream.testing` answers, and its bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

__all__ = [
    "MARK",
    "STAMP",
    "Answer",
    "Gate",
    "Packet",
    "Piece",
    "Reply",
    "completion",
    "grouped",
    "packets",
    "sent",
    "stamp_age",
    "stamped",
    "texts_of",
]

STAMP_WRAP = 16**8
#: Where a stamp goes.
MARK = "\0"
BOM = "\ufeff".encode()


class Gate(Protocol):
    """Anything to wait for between two pieces, such as an :class:`asyncio.Event`."""

    async def wait(self) -> object: ...


class Stamp:
    """A token that holds the time of its sending."""

    def __init__(self, before: bytes = b"", after: bytes = b"") -> None:
        self._before = before
        self._after = after

    def event(self) -> bytes:
        """Return the event's bytes, stamped with now."""
        return b"%b%08x %b" % (self._before, _microseconds(), self._after)


STAMP = Stamp()
Piece: TypeAlias = str | bytes | Mapping[str, Any] | Gate | Stamp
Packet: TypeAlias = bytes | Gate | Stamp


@dataclass(frozen=True)
class Reply:
    """One answer of the model server, and how its bytes go out.

    It is sent as a chat completion, or as a response, as the request's path says; an event that is given as
    it is (``dict``, ``bytes``) has to fit the path.

    :param content: the answer; a text is sent in deltas of ``chunk`` characters. Of a sequence, each ``str``
        is one delta, a ``dict`` one event as it is (``{"error": {…}}``, or ``{"choices": …}`` of any odd
        shape), ``bytes`` go out raw, :data:`STAMP` is a token with its time of sending, and a gate such as an
        ``asyncio.Event`` is waited for.
    :param reasoning: deltas sent before the content, in the field ``reasoning_field``.
    :param usage: prompt and completion tokens of the usage chunk, sent if the client asks for it.
    :param finish: ``finish_reason`` of the last choice; ``None`` sends none.
    :param done: close the stream with ``[DONE]``.
    :param drop: close the connection after the content instead of ending the answer; of one that is not
        streamed, after half of its body.
    :param status: of HTTP; from 400 on, the body is ``body`` or an error of the OpenAI form.
    :param headers: further response headers (``Retry-After``).
    :param body: this JSON, or these bytes, as the whole answer.
    :param before: gate that holds back even the response's head.
    :param rate: writes per second; 0 sends as fast as the socket takes.
    :param cut: bytes per write, 1 splits everywhere; 0 writes whole events.
    :param merge: events per write, when not cut.
    :param newline: end of line, ``\\n``, ``\\r\\n`` or ``\\r``.
    :param space: the space after ``data:``.
    :param bom: a byte order mark before the first event.
    :param comments: a comment before every event.
    """

    content: str | Sequence[Piece] = ""
    chunk: int = 4
    reasoning: Sequence[str] = ()
    reasoning_field: str = "reasoning_content"
    usage: tuple[int, int] | None = (7, 11)
    finish: str | None = "stop"
    done: bool = True
    drop: bool = False
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    before: Gate | None = None
    rate: float = 0.0
    cut: int = 0
    merge: int = 1
    newline: str = "\n"
    space: bool = True
    bom: bool = False
    comments: bool = False


Answer: TypeAlias = str | Sequence[Piece] | Reply


def packets(reply: Reply, request: Mapping[str, Any]) -> Iterator[Packet]:
    """Yield the stream's body as it is written: bytes, with gates and stamps between them."""
    return grouped(_items(reply, request), reply)


def completion(reply: Reply, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same answer as one JSON body, for a request without ``stream``."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts_of(reply))}
    if reply.reasoning:
        message[reply.reasoning_field] = "".join(reply.reasoning)
    return {
        **_base(request, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}],
        "usage": _usage(reply.usage or (0, 0)),
    }


def stamped(count: int, rate: float = 0.0) -> Reply:
    """Return a JSON document with one long string of ``count`` tokens, each the time of its sending.

    A token is eight hexadecimal digits and a space; :func:`stamp_age` reads it.

    :param rate: tokens per second.
    """
    return Reply(['{"text": "', *[STAMP] * count, '"}'], rate=rate)


def stamp_age(token: str | bytes) -> float:
    """Return how long ago a stamped token was sent, in seconds; the same machine only, up to 71 minutes."""
    return ((_microseconds() - int(token, 16)) % STAMP_WRAP) / 1e6


def _microseconds() -> int:
    # The monotonic clock is one for all processes of a machine; the wall clock may be set in mid-run.
    return (time.monotonic_ns() // 1000) % STAMP_WRAP


def texts_of(reply: Reply) -> Iterable[Any]:
    """Return the pieces of the content."""
    content = reply.content
    if not isinstance(content, str):
        return content
    return [content[start : start + reply.chunk] for start in range(0, len(content), reply.chunk)]


def grouped(items: Iterable[Packet], reply: Reply) -> Iterator[Packet]:
    """Yield events in packets as large as the reply wants them."""
    group = [BOM] if reply.bom else []
    for item in items:
        if not isinstance(item, bytes):
            yield from _flush(group, reply.cut)
            yield item
            continue
        group.append(item)
        if not reply.cut and len(group) >= reply.merge:
            yield from _flush(group, reply.cut)
    yield from _flush(group, reply.cut)


def sent(reply: Reply, event: Mapping[str, Any], name: str = "") -> bytes:
    """Return the bytes of an event."""
    data = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
    return _line(reply, data, name)


def _items(reply: Reply, request: Mapping[str, Any]) -> Iterator[Packet]:
    base = _base(request, "chat.completion.chunk")
    yield sent(reply, _choice(base, {"role": "assistant", "content": ""}))
    for text in reply.reasoning:
        yield sent(reply, _choice(base, {"content": None, reply.reasoning_field: text}))
    stamp = Stamp(*sent(reply, _choice(base, {"content": MARK})).split(json.dumps(MARK)[1:-1].encode()))
    for piece in texts_of(reply):
        if isinstance(piece, str):
            yield sent(reply, _choice(base, {"content": piece}))
        elif isinstance(piece, Mapping):
            yield sent(reply, piece)
        else:
            yield stamp if isinstance(piece, Stamp) else piece
    if not reply.drop:
        yield from _ending(reply, request, base)


def _ending(reply: Reply, request: Mapping[str, Any], base: dict[str, Any]) -> Iterator[bytes]:
    if reply.finish is not None:
        yield sent(reply, _choice(base, {}, reply.finish))
    if reply.usage and (request.get("stream_options") or {}).get("include_usage"):
        yield sent(reply, {**base, "choices": [], "usage": _usage(reply.usage)})
    if reply.done:
        yield _line(reply, b"[DONE]")


def _flush(group: list[bytes], cut: int) -> Iterator[bytes]:
    data = b"".join(group)
    group.clear()
    step = cut or len(data)
    for start in range(0, len(data), step or 1):
        yield data[start : start + step]


def _line(reply: Reply, data: bytes, name: str = "") -> bytes:
    end = reply.newline.encode()
    before = b": keep-alive" + end + end if reply.comments else b""
    if name:
        before += b"event: " + name.encode() + end
    return before + (b"data: " if reply.space else b"data:") + data + end + end


def _base(request: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-Bq3nQ0e4Jm1dX8sVt7uYw2zK5rLhA",
        "object": kind,
        "created": 1767225600,
        "model": request.get("model", ""),
        "system_fingerprint": "fp_44709d6fcb",
    }


def _choice(base: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**base, "choices": [choice]}


def _usage(tokens: tuple[int, int]) -> dict[str, int]:
    return {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
