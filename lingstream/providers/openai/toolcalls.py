"""Pieces of tool calls, each with the index of its call, whatever the server says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lingstream.core.provider import ToolCall

__all__ = ["ToolCalls"]

MOST_CALLS = 1000
LONGEST_NAME = 500
MARKS = re.compile(r'\\.|["{}\[\]]', re.DOTALL)


class ToolCalls:
    """Numbers the calls of one answer.

    Some servers leave the index out (Gemini), also where the place of a piece in its delta is all that tells
    its call, write it as a text, give 0 to all calls that are made side by side, also without ids (Gemini),
    or to the first piece of each (DeepSeek), repeat the name with each piece (Qwen), or send all of a call
    again at the end. Past 1,000 calls no more are taken.
    """

    def __init__(self) -> None:
        self._known: list[ToolCall] = []  # without their arguments
        self._said: list[_Arguments] = []
        self._named: set[int] = set()  # by this delta
        self._numbers: dict[int, int] = {}  # the server's index → ours

    def __bool__(self) -> bool:
        return bool(self._known)

    def read(self, delta: Mapping[str, Any]) -> tuple[ToolCall, ...]:
        """Return the pieces in a delta or a message."""
        found = delta.get("tool_calls")
        if not isinstance(found, list):
            legacy = delta.get("function_call")
            found = [{"index": 0, "function": legacy}] if isinstance(legacy, Mapping) else []
        return tuple(self._pieces(found))

    def piece(
        self, index: Any, id: Any, name: Any, arguments: Any, number: int | None = None
    ) -> ToolCall | None:
        """Return a piece with the index of its call; ``None`` if it says nothing.

        :param index: the server's, or ``None``.
        :param number: the index of its call, where the place of the piece tells it.
        """
        id, name = _text(id), _text(name)
        index = int(index) if isinstance(index, int) or _is_digits(index) else None
        arguments = _json(arguments)
        if number is None:
            number = self._number(index, id, name)
            if number < len(self._known) and self._is_another(number, id, name, arguments):
                number = len(self._known)
        if number >= MOST_CALLS:
            return None
        if index is not None:
            self._numbers[index] = number
        if number == len(self._known):
            self._known.append(ToolCall(number, id, name))
            self._said.append(_Arguments())
        else:
            id, name = self._news(number, id, name)
        self._said[number].add(arguments)
        said = (id, name, arguments)
        return ToolCall(number, *said) if any(said) else None

    def _pieces(self, found: list[Any]) -> Iterator[ToolCall]:
        before = self._known[-len(found) :] if len(found) > 1 else []
        self._named.clear()
        for place, each in enumerate(found):
            if isinstance(each, Mapping):
                function = each.get("function")
                said = function if isinstance(function, Mapping) else each
                index, id, name = each.get("index"), each.get("id"), said.get("name")
                by_place = index is None and not (id or name) and len(before) == len(found)
                number = before[place].index if by_place else None
                if piece := self.piece(index, id, name, said.get("arguments"), number):
                    self._named |= {piece.index} if name else set()
                    yield piece

    def _number(self, index: int | None, id: str, name: str) -> int:
        known = self._known
        if index is None:
            same = [call.index for call in known if id and call.id == id]
            new = not known or (name and not same and (id or known[-1].name))
            return len(known) if new else same[0] if same else known[-1].index
        is_rest = not (id or name) and index < len(known)  # its beginning came under another index
        number = self._numbers.get(index, index if is_rest else len(known))
        if number < len(known) and id and name and known[number].id not in ("", id):
            return len(known)  # another call under the same index
        return number

    def _is_another(self, number: int, id: str, name: str, arguments: str) -> bool:
        """Whether it is another call under the index of one that has all of its arguments, or its name."""
        call, is_whole = self._known[number], self._said[number].are_whole
        if not (name and call.name and (is_whole or number in self._named)) or (id and id == call.id):
            return False
        return name != call.name or (is_whole and bool(arguments))

    def _news(self, number: int, id: str, name: str) -> tuple[str, str]:
        """What of the two had not been said."""
        call = self._known[number]
        id = "" if call.id else id
        name = "" if name == call.name or len(call.name) > LONGEST_NAME else name
        self._known[number] = ToolCall(number, call.id or id, call.name + name)
        return id, name


class _Arguments:
    """Whether the JSON of a call's arguments is whole, of which each piece is looked at once."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_quoted = self._has_begun = False
        self._half = ""  # of an escape

    @property
    def are_whole(self) -> bool:
        return self._has_begun and not (self._depth or self._is_quoted)

    def add(self, text: str) -> None:
        text, end = self._half + text, 0
        for mark in MARKS.finditer(text):
            end = mark.end()
            if mark[0] == '"':
                self._is_quoted = not self._is_quoted
            elif not self._is_quoted and mark[0] in ("{", "[", "}", "]"):
                self._depth += 1 if mark[0] in "{[" else -1
                self._has_begun = True
        self._half = "\\" if text[end:].endswith("\\") else ""


def _text(value: Any) -> str:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _is_digits(index: Any) -> bool:
    return isinstance(index, str) and index.isdecimal() and len(index) < 10


def _json(arguments: Any) -> str:
    """Arguments are JSON text; Ollama gives the object."""
    if arguments is None or isinstance(arguments, str):
        return _text(arguments)
    try:
        return json.dumps(arguments)
    except RecursionError:
        return ""
