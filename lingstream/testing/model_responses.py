"""What the model server of :mod:`lingstream.testing` answers to those who ask for a response."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .model_reply import MARK, Packet, Reply, Stamp, grouped, sent, texts_of

__all__ = ["response", "response_packets"]

#: What ends a response early, by the finish reason of a chat completion.
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def response_packets(reply: Reply, request: Mapping[str, Any]) -> Iterator[Packet]:
    """Yield the stream's body as it is written: bytes, with gates and stamps between them."""
    return grouped(_items(reply, request), reply)


def response(reply: Reply, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same answer as one JSON body, for a request without ``stream``."""
    said = [piece for piece in texts_of(reply) if isinstance(piece, str)]
    return _response(reply, request, _output(reply.reasoning, said))


def _items(reply: Reply, request: Mapping[str, Any]) -> Iterator[Packet]:
    numbers = iter(range(2**31))

    def event(kind: str, **fields: Any) -> bytes:
        kind = f"response.{kind}"
        return sent(reply, {"type": kind, "sequence_number": next(numbers), **fields}, kind)

    yield event("created", response=_head(request, "in_progress"))
    yield event("in_progress", response=_head(request, "in_progress"))
    place = {"output_index": 0, "item_id": "rs_1", "summary_index": 0}
    for text in reply.reasoning:
        yield event("reasoning_summary_text.delta", **place, delta=text)
    place = {"output_index": 1 if reply.reasoning else 0, "item_id": "msg_1", "content_index": 0}
    yield event("output_item.added", **place, item={"type": "message", "role": "assistant", "content": []})
    yield event("content_part.added", **place, part={"type": "output_text", "text": ""})
    said: list[str] = []
    for piece in texts_of(reply):
        if isinstance(piece, str):
            said.append(piece)
            yield event("output_text.delta", **place, delta=piece, logprobs=[])
        elif isinstance(piece, Stamp):
            data = event("output_text.delta", **place, delta=MARK, logprobs=[])
            yield Stamp(*data.split(json.dumps(MARK)[1:-1].encode()))
        else:
            yield sent(reply, piece, str(piece.get("type", ""))) if isinstance(piece, Mapping) else piece
    if reply.drop:
        return
    text, output = "".join(said), _output(reply.reasoning, said)
    yield event("output_text.done", **place, text=text, logprobs=[])
    yield event("content_part.done", **place, part={"type": "output_text", "text": text})
    yield event("output_item.done", **place, item=output[-1])
    if reply.finish is not None:
        whole = _response(reply, request, output)
        yield event(whole["status"], response=whole)


def _response(reply: Reply, request: Mapping[str, Any], output: list[dict[str, Any]]) -> dict[str, Any]:
    reason = INCOMPLETE.get(reply.finish or "")
    asked, answered = reply.usage or (0, 0)
    usage = {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
    return {
        **_head(request, "incomplete" if reason else "completed"),
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": {**usage, "output_tokens_details": {"reasoning_tokens": 0}} if reply.usage else None,
    }


def _head(request: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {
        "id": "resp_67ccd2bed1ec8190b14f964abc054267",
        "object": "response",
        "created_at": 1767225600,
        "status": status,
        "error": None,
        "model": request.get("model", ""),
        "output": [],
    }


def _output(reasoning: Sequence[str], said: Sequence[str]) -> list[dict[str, Any]]:
    text = {"type": "output_text", "text": "".join(said), "annotations": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": [text]}
    if not reasoning:
        return [message]
    summary = [{"type": "summary_text", "text": "".join(reasoning)}]
    return [{"type": "reasoning", "id": "rs_1", "summary": summary}, message]
