"""Frames as WebSocket text messages, none of which is too long: one that would be goes as several.

Servers, proxies and clients have a largest message (daphne's is 1 MiB, and it drops the connection), and a
document may be longer. ``docs/protocol.md``, "Long messages", is the rule's home.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Append, Op, Set
from lingstream.core.exceptions import UsageError
from lingstream.core.log.frames import TEXT_EVENTS, Frame, FrameId, parse_id, value_weight

from .frames import frame_to_wire
from .json import dumps, loads
from .shared import LastText

__all__ = ["LONGEST", "SocketMessages", "ref_of"]

LONGEST = 524_288
"""Bytes of the longest message."""

_ENVELOPE = 150  # bytes around the ops of a message, at most: the run, an id
_PIECE = 16  # a piece of text has LONGEST / 16 characters: JSON writes twelve bytes for one at worst
_WHOLE = 32  # a value below LONGEST / 32 characters is not taken apart
_HEAD = 300  # characters of a message in which its ref is looked for
_REF = re.compile(r'\s*\{\s*"ref"\s*:\s*("(?:[^"\\]|\\.){0,200}"|[0-9]{1,15})\s*[,}]')
_last = LastText()


def ref_of(content: str | bytes) -> Any:
    """Return the ``ref`` of a message that need not be readable, if the message begins with it.

    For messages that are not parsed, or cannot be: what answers them has to say what it answers.
    """
    head = content[:_HEAD]
    found = _REF.match(head.decode(errors="replace") if isinstance(head, bytes) else head)
    try:
        return loads(found[1]) if found else None
    except UsageError:
        return None


class SocketMessages:
    """Encodes one viewer's frames as text messages.

    All but the last of a frame's messages have ids inside it, ``<previous frame>+<n>``, to which nobody can
    resume. What can be neither long nor taken apart (an event's data) is refused: an error takes its place.

    :param run: the run's id.
    :param after: where the viewer resumes.
    :param longest: bytes of the longest message.
    """

    def __init__(self, run: str, after: str | None = None, *, longest: int = LONGEST) -> None:
        self._run = run
        self._previous = parse_id(after or "") or FrameId(0, 0)
        self._longest = longest

    def encode(self, frame: Frame) -> Iterable[str]:
        """Return the messages of one frame; those of a long one are made as they are asked for."""
        text = _last.of(frame, self._run, self._text)
        previous, self._previous = self._previous, frame.id
        return (text.decode(),) if len(text) <= self._longest else self._several(frame, previous)

    def _several(self, frame: Frame, previous: FrameId) -> Iterator[str]:
        number = previous.part
        held: Frame | None = None
        for part in self._parts(frame):
            if held:
                number += 1
                yield self._text(held._replace(id=previous._replace(part=number))).decode()
            held = part
        if held:
            yield self._text(held._replace(id=frame.id)).decode()

    def _text(self, frame: Frame) -> bytes:
        return dumps(frame_to_wire(self._run, frame))

    def _parts(self, frame: Frame) -> Iterator[Frame]:
        if frame.kind == "ops":
            yield from self._ops(frame, (part for op in frame.body for part in self._split(op)))
        elif frame.kind == "snapshot":
            yield from self._snapshot(frame)
        elif frame.kind == "event" and frame.body["event"] in TEXT_EVENTS:
            for piece in self._pieces(frame.body["data"]):
                yield frame._replace(body={**frame.body, "data": piece})
        else:
            yield self._refused(frame)

    def _ops(self, frame: Frame, ops: Iterable[Op]) -> Iterator[Frame]:
        """As many ops in each message as fit."""
        room = self._longest - _ENVELOPE
        batch: list[Op] = []
        size = 0
        for op in ops:
            text = dumps(op.to_wire())
            # Half a character in one op has the whole message written in ASCII: thrice as long, at worst.
            weight = len(text) * (1 if text.isascii() else 3) + 1
            if batch and size + weight > room:
                yield frame._replace(kind="ops", body=batch)
                batch, size = [], 0
            if weight > room:
                yield self._refused(frame, f"an op at {op.uri[:80]!r}", weight)
            else:
                batch.append(op)
                size += weight
        if batch:
            yield frame._replace(kind="ops", body=batch)

    def _snapshot(self, frame: Frame) -> Iterator[Frame]:
        """A snapshot without a document, then what builds the document up."""
        head = {**frame.body, "document": None}
        texts = [(event, bot, text) for event in TEXT_EVENTS for bot, text in head.get(event, {}).items()]
        if sum(len(text) for _, _, text in texts) > self._longest // _PIECE:
            head.update({event: {} for event in TEXT_EVENTS if event in head})
        else:
            texts = []
        if len(self._text(frame._replace(body=head))) > self._longest:
            head["bots"] = {}  # thousands of them: their events say the same
        yield frame._replace(body=head)
        for event, bot, text in texts:
            for piece in self._pieces(text):
                yield Frame(frame.id, "event", {"event": event, "bot": bot, "data": piece})
        yield from self._ops(frame, self._split(Set("", frame.body["document"])))

    def _split(self, op: Op) -> Iterator[Op]:
        """Ops with the same fold, none of them long unless its uri is."""
        if type(op) is Append:
            yield from (Append(op.uri, piece) for piece in self._pieces(op.delta))
            return
        todo: list[Any] = [op]
        while todo:
            uri, value, fix = todo.pop()
            if value_weight(value, self._longest // _WHOLE) <= self._longest // _WHOLE:
                yield Set(uri, value, fix)
            elif isinstance(value, str):
                pieces = self._pieces(value)
                yield Set(uri, next(pieces), fix)
                yield from (Append(uri, piece) for piece in pieces)
            else:
                named = value.items() if isinstance(value, dict) else enumerate(value)
                below = [Set(jsonuri.concat(uri, jsonuri.escape(str(key))), item) for key, item in named]
                yield Set(uri, type(value)(), fix)
                todo.extend(reversed(below))

    def _pieces(self, text: str) -> Iterator[str]:
        size = self._longest // _PIECE
        return (text[start : start + size] for start in range(0, len(text) or 1, size))

    def _refused(self, frame: Frame, what: str = "", size: int = 0) -> Frame:
        """What stands in the place of what is too long; a run's end and its errors only lose their length."""
        if frame.kind == "done":
            return frame._replace(body={**frame.body, "usage": {}})
        if frame.kind == "error":
            message = str(frame.body.get("message"))[: self._longest // _PIECE]
            return frame._replace(body={**frame.body, "message": message})
        what = what or f"the event {str(frame.body['event'])[:80]!r}"
        size = size or len(self._text(frame))
        message = f"{what} has {size} bytes, more than the {self._longest} of the longest message"
        return Frame(frame.id, "error", {"code": "too-large", "message": message, "retryable": False})
