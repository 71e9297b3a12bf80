"""The whole values that a step puts into the document, beside its text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import Document, copy_json
from lingstream.core.document.shared import SharedDocument
from lingstream.core.parsing.output import BotOutput

from .data import json_text
from .frames import StepFrames
from .kinds import Put

__all__ = ["Values"]

_PIECE = 16_384  # characters of a value that are written in one turn of the loop


class Values:
    """What one step run has put.

    :param root: uri below which it writes.
    :param charge: told of the characters that a value has as JSON.
    """

    def __init__(self, frames: StepFrames, root: str, charge: Callable[[int], None]) -> None:
        self._frames = frames
        self._root = root
        self._charge = charge
        self._puts: list[tuple[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._puts)

    def put(self, put: Put) -> tuple[Put, Awaitable[None] | None]:
        """Write a value as if a model had said it at once.

        :returns: a copy of what is put, and what is still to be waited for where it is long.
        :raises UsageError: it is no JSON data.
        """
        text = json_text(put.value, "a step")
        self._charge(len(text))
        kept = Put(jsonuri.normalize(put.uri), json.loads(text))
        self._puts.append(kept)
        place = jsonuri.concat(self._root, kept.uri)
        self._frames.open(place)
        output = BotOutput("json", None, place)
        if len(text) > _PIECE:
            return kept, self._write(output, place, text)
        self._frames.settle(output.feed(text), place)
        self._frames.settle(output.close(), place)
        return kept, None

    def over(self, value: Any) -> Any:
        """Return ``value`` with all that was put into it."""
        if value is None and len(self._puts) == 1 and not self._puts[0][0]:
            return copy_json(self._puts[0][1])
        document = Document(copy_json(value))
        shared = SharedDocument(document)
        for uri, put in self._puts:
            document.apply(shared.set(uri, copy_json(put)))
        return document.value

    async def _write(self, output: BotOutput, place: str, text: str) -> None:
        """Piece by piece, so that other runs go on."""
        for start in range(0, len(text), _PIECE):
            self._frames.settle(output.feed(text[start : start + _PIECE]), place)
            await asyncio.sleep(0)
        self._frames.settle(output.close(), place)
