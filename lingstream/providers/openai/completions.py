"""Chat completions, streamed or whole, from bytes to chunks. No network and no SDK in here.

The SDK builds several objects per token; orjson on each line costs half of the whole call (measured in
``docs/providers.md``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import orjson

from lingstream.core.exceptions import ProviderError
from lingstream.core.provider import Chunk, Usage

from .failures import from_event

__all__ = ["CompletionDecoder"]

LONGEST_LINE = 8 * 1024 * 1024
SURROGATES = re.compile("[\ud800-\udfff]")


class CompletionDecoder:
    """Takes what the network brings, cut anywhere, and returns the chunks in it.

    Text of several events that came together is one chunk. A body that is no event stream but one JSON
    object (a server that does not stream) is accepted.

    :param longest: bytes of the longest line, or whole JSON body; past it, ``ProviderError``.

    ``done`` is true after ``[DONE]``, ``finished`` also after a finish reason, ``started`` after any event.
    ``error`` is what the server reported in mid-stream; the chunks before it have been returned.
    """

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self.done = False
        self.finished = False
        self.started = False
        self.error: ProviderError | None = None
        self._longest = longest
        self._whole: bool | None = None
        self._rest: list[bytes] = []
        self._held: list[bytes] = []
        self._size = 0
        self._held_size = 0
        self._half = ""

    def feed(self, data: bytes) -> list[Chunk]:
        """Return the chunks that ``data`` completes: usually one, or none.

        :raises ProviderError: a line too long.
        """
        if self._whole is None and data.strip():
            # No line of an event stream begins like JSON.
            self._whole = data.lstrip()[:1] in (b"{", b"[")
        head, newline, tail = (b"", b"", data) if self._whole else data.rpartition(b"\n")
        self._size += len(data)
        if not newline:
            self._bound(self._size)
            self._rest.append(tail)
            return []
        lines = b"".join([*self._rest, head]).split(b"\n")
        self._rest = [tail] if tail else []
        self._size = len(tail)
        return self._chunks(self._events(lines))

    def close(self) -> list[Chunk]:
        """Return what the end of the connection completes.

        :raises ProviderError: ``provider-disconnected`` if the answer had not come to its end,
            ``provider-bad-response`` if there was none.
        """
        rest = b"".join(self._rest).strip()
        self._rest.clear()
        events = iter([_loads(rest)]) if rest and self._whole else self._events([rest, b""])
        chunks = self._chunks(events)
        if not self.started:
            raise _broken("an answer without any event")
        if not (self.finished or self.error):
            raise ProviderError(
                "the model server closed the connection before the end of its answer",
                code="provider-disconnected",
                retryable=True,
            )
        return chunks

    def _events(self, lines: list[bytes]) -> Iterator[Any]:
        for line in lines:
            if line.startswith(b"data:"):
                event = self._event(line[5:])
                if event is not None:
                    yield event
            elif self._held and not line.strip():
                held = b"\n".join(self._held)
                self._held.clear()
                self._held_size = 0
                yield _loads(held)
            # The rest is comments, blank lines, and fields that nobody needs.

    def _event(self, data: bytes) -> Any:
        try:
            if not self._held:
                return orjson.loads(data)
        except orjson.JSONDecodeError:
            word = data.strip()
            if word == b"[DONE]":
                self.done = self.finished = self.started = True
            if word in (b"", b"[DONE]"):
                return None
        # JSON over several data lines, or JSON that orjson refuses: the blank line tells.
        self._held.append(data)
        self._held_size += len(data)
        self._bound(self._held_size)
        return None

    def _bound(self, size: int) -> None:
        if size > self._longest:
            raise _broken(f"an event of more than {self._longest} bytes")

    def _chunks(self, events: Iterator[Any]) -> list[Chunk]:
        chunks: list[Chunk] = []
        text = reasoning = ""
        usage, finish = None, None
        try:
            for event in events:
                self.started = True
                more, thought, used, ended = _read(event)
                if thought and text:
                    # A chunk's reasoning comes before its text: keep the order of the two.
                    chunks.append(Chunk(text, reasoning))
                    text = reasoning = ""
                text += more
                reasoning += thought
                usage, finish = used or usage, ended or finish
        except ProviderError as error:
            self.error = error
        self.finished = self.finished or finish is not None
        if self._half or not text.isascii():
            text = self._whole_characters(text)
        if text or reasoning or usage or finish:
            chunks.append(Chunk(text, reasoning, usage, finish))
        return chunks

    def _whole_characters(self, text: str) -> str:
        # Servers that escape to ASCII may cut an emoji in two: its halves come in two events.
        text, self._half = self._half + text, ""
        if not SURROGATES.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff" and not self.finished:
            text, self._half = text[:-1], text[-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"))  # lone surrogates, NaN, broken UTF-8
    except ValueError:
        raise _broken(f"data that is no JSON ({len(data)} bytes)") from None


def _read(event: Any) -> tuple[str, str, Usage | None, str | None]:
    """Text, reasoning, usage and finish reason of one event, whatever of it is there."""
    if not isinstance(event, dict):
        if isinstance(event, list) and event and isinstance(event[0], dict) and event[0].get("error"):
            raise from_event(event[0]["error"])
        return "", "", None, None
    choices = event.get("choices")
    if event.get("error") or (event.get("object") == "error" and not choices):
        raise from_event(event.get("error") or event)
    used = event.get("usage")
    usage = _usage(used) if isinstance(used, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        return "", "", usage, None
    delta = choice.get("delta") or choice.get("message")
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) and finish else None
    if not isinstance(delta, dict):
        return "", "", usage, finish
    text = delta.get("content") or delta.get("refusal") or ""
    reasoning = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return (
        text if isinstance(text, str) else _parts(text),
        reasoning if isinstance(reasoning, str) else _parts(reasoning),
        usage,
        finish,
    )


def _parts(content: Any) -> str:
    """The text of a content that came as a list of parts."""
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") if isinstance(part, dict) else part for part in content)
    return "".join(text for text in texts if isinstance(text, str))


def _usage(used: dict[str, Any]) -> Usage | None:
    prompt, completion = used.get("prompt_tokens"), used.get("completion_tokens")
    if not isinstance(prompt, int) and not isinstance(completion, int):
        return None
    return Usage(prompt if isinstance(prompt, int) else 0, completion if isinstance(completion, int) else 0)


def _broken(what: str) -> ProviderError:
    return ProviderError(
        f"expected a chat completions stream, got {what}", code="provider-bad-response", retryable=False
    )
