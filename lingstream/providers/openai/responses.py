"""Responses, OpenAI's protocol of reasoning models, streamed or whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lingstream.core.provider import Chunk

from .decoder import NOTHING, Decoder
from .eventstream import LONGEST_EVENT, Named
from .failures import broken_off, failure_in
from .fields import logprobs_of, usage_of
from .finish import read_finish
from .toolcalls import ToolCalls
from .wholes import WholeTexts

__all__ = ["ResponseDecoder"]

MOST_CALLS = 10_000
THOUGHTS = ("reasoning_text", "summary_text")
CALLS = ("function_call", "custom_tool_call")
BETWEEN_SUMMARIES = "\n\n"
STATUSES = ("completed", "incomplete", "failed", "cancelled")
ENDS = (*STATUSES, "done")
FAILED = ("failed", "cancelled")


class ResponseDecoder(Decoder):
    """Decodes the events of a response.

    Each text comes in deltas, and then whole, up to four times: of what is whole, only what no delta has
    brought is taken. Of a model's thoughts and their summary, that is read which comes first. Tools that the
    server runs itself, such as those of MCP, are no calls.
    """

    def __init__(self, longest: int = LONGEST_EVENT) -> None:
        super().__init__(longest)
        self._calls = ToolCalls()
        self._arguments: dict[int | None, int] = {}  # characters, by the item
        self._indices: dict[str, int] = {}  # by the call's id
        self._index: int | None = None  # of the call that was last told of
        self._parts = {kind: WholeTexts(longest) for kind in ("text", "refusal")}
        self._items = WholeTexts(longest)
        self._spoken = False
        self._thoughts = ""
        self._summary: tuple[Any, Any] | None = None

    def _plain(self, event: Any) -> str | None:
        if type(event) is Named:
            event = event.data
        try:
            if event["type"] != "response.output_text.delta" or event.get("logprobs"):
                return None
            text = event["delta"]
        except (LookupError, TypeError):
            return None
        return self._show("text", event, text) if type(text) is str else None

    def _read(self, event: Mapping[str, Any], name: str) -> Chunk:
        kind = event.get("type") or name
        if event.get("object") == "response" and not event.get("type"):
            return self._end(event, "")
        if not isinstance(kind, str) or not kind.startswith("response."):
            self.error = failure_in(event, has_choices=False)
            return NOTHING
        kind = kind.removeprefix("response.")
        if kind == "error":
            self.error = broken_off(event)
            return NOTHING
        if kind in ENDS:
            response = event.get("response")
            return self._end(response if isinstance(response, Mapping) else event, kind)
        reader = _READERS.get(kind)
        if reader is None:
            response = event.get("response")
            if isinstance(response, Mapping) and (response.get("error") or response.get("status") in FAILED):
                return self._end(response, "")
            return NOTHING
        return reader(self, event)

    def _delta(self, event: Mapping[str, Any]) -> Chunk:
        text = self._show("text", event, _text(event.get("delta")))
        return Chunk(text, logprobs=logprobs_of(event.get("logprobs")))

    def _refusal(self, event: Mapping[str, Any]) -> Chunk:
        return Chunk(self._show("refusal", event, _text(event.get("delta"))))

    def _text_done(self, event: Mapping[str, Any]) -> Chunk:
        whole = event.get("part", event)
        if isinstance(whole, Mapping) and whole.get("type") in THOUGHTS:
            return NOTHING
        rest = self._parts[_kind(whole)].rest(
            _part(event), _spoken(whole), "text" if whole is event else "part"
        )
        self._items.add(_item(event), rest)
        self._spoken = self._spoken or bool(rest)
        return Chunk(rest)

    def _thought(self, event: Mapping[str, Any]) -> Chunk:
        return self._think("text", event, _text(event.get("delta")), event.get("content_index"))

    def _thought_in_short(self, event: Mapping[str, Any]) -> Chunk:
        return self._think("summary", event, _text(event.get("delta")), event.get("summary_index"))

    def _think(self, thoughts: str, event: Mapping[str, Any], text: str, number: Any) -> Chunk:
        if not text or self._thoughts not in ("", thoughts):
            return NOTHING
        place = (event.get("output_index"), number)
        between = BETWEEN_SUMMARIES if thoughts == "summary" and self._summary not in (None, place) else ""
        self._thoughts, self._summary = thoughts, place
        return Chunk("", between + text)

    def _call(self, event: Mapping[str, Any]) -> Chunk:
        index = self._index_of_call(event, None)
        arguments = self._argue(index, _text(event.get("delta")))
        piece = self._calls.piece(index, "", "", arguments)
        return Chunk(tool_calls=(piece,)) if piece else NOTHING

    def _item_begins(self, event: Mapping[str, Any]) -> Chunk:
        item = event.get("item")
        is_call = isinstance(item, Mapping) and item.get("type") in CALLS
        return self._item(event) if is_call else NOTHING

    def _item(self, event: Mapping[str, Any]) -> Chunk:
        item = event.get("item", event)
        return self._whole_item(item, event) if isinstance(item, Mapping) else NOTHING

    def _whole_item(self, item: Mapping[str, Any], event: Mapping[str, Any]) -> Chunk:
        if item.get("type") == "message":
            place = _item({"item_id": item.get("id"), **event})
            return Chunk(self._rest_of_message(place, _list(item.get("content"))))
        if item.get("type") == "reasoning" and self._thoughts in ("", "whole"):
            said = [_spoken(part) for part in _list(item.get("content")) or _list(item.get("summary"))]
            thought = BETWEEN_SUMMARIES.join(filter(None, said))
            self._thoughts = "whole" if thought else self._thoughts
            return Chunk("", thought)
        if not _is_call(item, event):
            return NOTHING
        index = self._index_of_call(event, item.get("call_id"))
        arguments = self._rest_of_call(index, _text(item.get("arguments") or item.get("input")))
        piece = self._calls.piece(index, item.get("call_id"), item.get("name"), arguments)
        return Chunk(tool_calls=(piece,)) if piece else NOTHING

    def _end(self, response: Mapping[str, Any], kind: str) -> Chunk:
        said = response.get("status")
        status = said if said in STATUSES else kind if kind in STATUSES else "completed"
        self.done = True
        spoken, thought, called = self._spoken, bool(self._thoughts), bool(self._calls)
        pieces = [] if spoken and called else self._output(response)
        finish = self._finish(response, status)
        self.finished = self.finished or finish is not None
        return Chunk(
            "" if spoken else "".join(piece.text for piece in pieces),
            "" if thought else "".join(piece.reasoning for piece in pieces),
            usage_of(response.get("usage")),
            finish,
            () if called else tuple(call for piece in pieces for call in piece.tool_calls),
        )

    def _output(self, response: Mapping[str, Any]) -> list[Chunk]:
        items = enumerate(_list(response.get("output")))
        return [
            self._whole_item(item, {"output_index": number})
            for number, item in items
            if isinstance(item, Mapping)
        ]

    def _finish(self, response: Mapping[str, Any], status: str) -> str | None:
        failure = response.get("error")
        if failure or status not in ("completed", "incomplete"):
            said = failure if isinstance(failure, Mapping) else response
            self.error = broken_off(said, "" if failure else status)
            return None
        if status == "completed":
            return "tool_calls" if self._calls else "stop"
        details = response.get("incomplete_details")
        finish, self.error = read_finish(details.get("reason") if isinstance(details, Mapping) else None)
        return None if self.error else finish or "length"

    def _show(self, kind: str, event: Mapping[str, Any], text: str) -> str:
        if text:
            self._parts[kind].add(_part(event), text)
            self._items.add(_item(event), text)
            self._spoken = True
        return text

    def _rest_of_message(self, item: int | str | None, content: list[Any]) -> str:
        for number, part in enumerate(content):
            self._parts[_kind(part)].rest((item, number), _spoken(part), "item")
        rest = self._items.rest(item, "".join(map(_spoken, content)), "item")
        self._spoken = self._spoken or bool(rest)
        return rest

    def _index_of_call(self, event: Mapping[str, Any], id: Any) -> int | None:
        """Return the index of an event, or else of the call with that id, or else of the last one.

        A new call without an index has a negative one.
        """
        index, id = _index(event), _text(id)
        if index is None:
            index = self._indices.get(id, -1 - len(self._indices)) if id else self._index
        if id and index is not None and len(self._indices) < MOST_CALLS:
            self._indices[id] = index
        self._index = index
        return index

    def _argue(self, item: int | None, text: str) -> str:
        if item in self._arguments or len(self._arguments) < MOST_CALLS:
            self._arguments[item] = self._arguments.get(item, 0) + len(text)
        return text

    def _rest_of_call(self, item: int | None, whole: str) -> str:
        if item not in self._arguments and None in self._arguments:
            self._arguments[item] = self._arguments.pop(None)
        return self._argue(item, whole[self._arguments.get(item, 0) :])


_READERS: Mapping[str, Callable[[ResponseDecoder, Mapping[str, Any]], Chunk]] = {
    "output_text.delta": ResponseDecoder._delta,
    "content_part.delta": ResponseDecoder._delta,
    "output_text.done": ResponseDecoder._text_done,
    "refusal.delta": ResponseDecoder._refusal,
    "refusal.done": ResponseDecoder._text_done,
    "content_part.done": ResponseDecoder._text_done,
    "reasoning_text.delta": ResponseDecoder._thought,
    "reasoning.delta": ResponseDecoder._thought,
    "reasoning_summary_text.delta": ResponseDecoder._thought_in_short,
    "reasoning_summary.delta": ResponseDecoder._thought_in_short,
    "function_call_arguments.delta": ResponseDecoder._call,
    "function_call_arguments.done": ResponseDecoder._item,
    "custom_tool_call_input.delta": ResponseDecoder._call,
    "custom_tool_call_input.done": ResponseDecoder._item,
    "output_item.added": ResponseDecoder._item_begins,
    "output_item.done": ResponseDecoder._item,
}


def _is_call(item: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    """Whether it is for us to answer: tools that the server runs itself have no ``call_id``."""
    if item.get("type") in CALLS:
        return True
    is_ours = item is event or bool(item.get("call_id") and item.get("name"))
    return is_ours and ("arguments" in item or "input" in item)


def _part(event: Mapping[str, Any]) -> tuple[int | str | None, int | None]:
    return _item(event), _index(event, "content_index")


def _item(event: Mapping[str, Any]) -> int | str | None:
    index, id = _index(event), event.get("item_id")
    return id if index is None and type(id) is str else index


def _index(event: Mapping[str, Any], name: str = "output_index") -> int | None:
    index = event.get(name)
    if isinstance(index, str) and index.isdecimal() and len(index) < 10:
        return int(index)
    return index if type(index) is int else None


def _kind(part: Any) -> str:
    return "refusal" if isinstance(part, Mapping) and part.get("refusal") and not part.get("text") else "text"


def _spoken(part: Any) -> str:
    """The text of a part; a refusal is text, too."""
    return _text(part.get("text") or part.get("refusal")) if isinstance(part, Mapping) else ""


def _text(value: Any) -> str:
    """The text of a delta, which some events have in an object."""
    if isinstance(value, Mapping):
        value = value.get("text")
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
