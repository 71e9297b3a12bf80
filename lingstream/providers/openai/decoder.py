"""From events to chunks: what the two protocols have in common. No network and no SDK in here.

The SDK builds several objects per token; orjson on each line costs half of the whole call (measured in
``docs/providers.md``).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from lingstream.core.exceptions import ProviderError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Chunk, TokenLogprob, ToolCall, Usage, merged_calls

from .eventstream import DONE, LONGEST_EVENT, EventStream, Named, names_an_error
from .failures import bad_response, broken_off, describe

__all__ = ["NOTHING", "Decoder"]

NOTHING = Chunk()
SURROGATES = re.compile("[\ud800-\udfff]")
UNKNOWN = "\ufffd"


class Decoder(ABC):
    """Takes what the network brings, cut anywhere, and returns the chunks in it; nothing raises.

    Text of several events that came together is one chunk. A body that is no event stream but one JSON
    object (a server that does not stream) is accepted.

    :param longest: bytes of the longest event, or of the whole JSON body.

    ``done`` is true once nothing more is expected, ``finished`` also after a finish reason, ``started`` after
    any event. ``error`` is why it failed; the chunks before that have been returned.
    """

    def __init__(self, longest: int = LONGEST_EVENT) -> None:
        self.done = False
        self.finished = False
        self.started = False
        self.error: ProviderError | None = None
        self._events = EventStream(longest)
        self._halves = {"text": "", "reasoning": ""}  # of a surrogate pair

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that ``data`` completes: usually one, or none."""
        if self.done or self.error:
            return []
        text, events = "", self._events.feed(data)
        if self._events.lone:
            return self._chunks("", events)
        for number, event in enumerate(events):
            piece = self._plain(event)
            if piece is None:
                return self._chunks(text, events[number:])
            text += piece
        if not text:
            return []
        self.started = True
        return [Chunk(text)]

    def close(self) -> list[Chunk]:
        """Return what the end of the connection completes.

        ``error`` is then ``provider-disconnected`` if the answer had not come to its end, and
        ``provider-bad-response`` if there was none.
        """
        if self.done or self.error:
            return []
        was_finished = self.finished
        chunks = self._chunks("", self._events.close(), closing=True)
        if self.error and was_finished and self.error.code == "provider-bad-response":
            self.error = None  # half an event after the end of the answer
        if not (self.finished or self.error):
            self.error = self._too_early()
        return chunks

    @abstractmethod
    def _plain(self, event: Any) -> str | None:
        """Return the text of an event that holds nothing else; ``None`` if :meth:`_read` has to see."""

    @abstractmethod
    def _read(self, event: Mapping[str, Any], name: str) -> Chunk:
        """Return what is in an event; set ``finished``, ``done`` and ``error`` if it says so."""

    def _withheld(self) -> Chunk:
        """What was withheld, now that nothing follows."""
        return NOTHING

    def _chunks(self, text: str, events: Sequence[Any], *, closing: bool = False) -> list[Chunk]:
        gathered = _Gathered(text)
        for event in events:
            self.started = True
            text_alone = self._plain(event)
            piece = self._piece(event) if text_alone is None else Chunk(text_alone)
            gathered.add(self._whole_characters(piece))
            if self.done or self.error:
                break
        if closing or self.done or self.error:
            gathered.add(self._whole_characters(self._withheld()))
            text, reasoning = (UNKNOWN if half else "" for half in self._halves.values())
            gathered.add(Chunk(text, reasoning))
        return gathered.chunks()

    def _piece(self, event: Any) -> Chunk:
        name = ""
        if isinstance(event, Named):
            name, event = event
            if names_an_error(name):
                event = broken_off(event)
        if isinstance(event, list) and event:
            event = event[0]  # Gemini puts errors in a list
        if event is DONE:
            self.done = self.finished = True
        elif isinstance(event, ProviderError):
            self.error = event
        elif isinstance(event, dict):
            return self._read(event, name)
        return NOTHING

    def _whole_characters(self, piece: Chunk) -> Chunk:
        """Servers that escape to ASCII may cut an emoji in two: its halves come in two events."""
        if not self._events.lone:
            return piece
        return piece._replace(
            text=self._joined("text", piece.text), reasoning=self._joined("reasoning", piece.reasoning)
        )

    def _joined(self, kind: str, text: str) -> str:
        if not text:
            return ""
        text, self._halves[kind] = self._halves[kind] + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._halves[kind] = text[:-1], text[-1]
        if not SURROGATES.search(text):
            return text
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _too_early(self) -> ProviderError:
        words = describe(self._events.words)
        if not self.started:
            return bad_response(words or Phrase("nothing"))
        message = Phrase("the model server closed the connection before the end of its answer")
        if words:
            message = Phrase("%(problem)s: %(words)s", problem=message, words=words)
        return ProviderError(message, code="provider-disconnected", retryable=True)


class _Gathered:
    """Pieces that came together: one chunk, or more where text came before reasoning."""

    def __init__(self, text: str) -> None:
        self._done: list[Chunk] = []
        self._text = text
        self._reasoning = ""
        self._usage: Usage | None = None
        self._finish: str | None = None
        self._calls: list[ToolCall] = []
        self._logprobs: list[TokenLogprob] = []

    def add(self, piece: Chunk) -> None:
        """Add what one event held."""
        if piece.reasoning and self._text:
            # A chunk's reasoning comes before its text: keep the order of the two.
            self._done.append(Chunk(self._text, self._reasoning))
            self._text = self._reasoning = ""
        self._text += piece.text
        self._reasoning += piece.reasoning
        self._usage = piece.usage or self._usage
        self._finish = piece.finish or self._finish
        self._calls += piece.tool_calls
        self._logprobs += piece.logprobs

    def chunks(self) -> list[Chunk]:
        """Return all of it."""
        calls = merged_calls(self._calls)
        last = Chunk(self._text, self._reasoning, self._usage, self._finish, calls, tuple(self._logprobs))
        return [*self._done, last] if last != NOTHING else self._done
