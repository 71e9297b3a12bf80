"""A request for chat completions in the words of the Responses API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lingstream.core.provider import Message

__all__ = ["response_input", "response_params"]

RENAMED = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
# Parameters that lie inside another one there.
INSIDE = {"reasoning_effort": ("reasoning", "effort"), "verbosity": ("text", "verbosity")}
LOGPROBS = "message.output_text.logprobs"


def response_input(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages as input items; names of their writers have no place there."""
    return [
        {"role": message["role"], "content": _content(message["content"], message["role"])}
        for message in messages
    ]


def response_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of a call under their names there; one that is not known there stays as it is."""
    made: dict[str, Any] = {}
    for name, value in params.items():
        if name in INSIDE:
            outer, inner = INSIDE[name]
            _add(made, outer, {inner: value})
        elif name == "response_format" and isinstance(value, Mapping):
            _add(made, "text", {"format": _format(value)})
        elif name in ("reasoning", "text") and isinstance(value, Mapping):
            _add(made, name, value)
        elif name == "logprobs":
            made["include"] = [*made.get("include", []), *([LOGPROBS] if value else [])]
        elif name == "tools" and isinstance(value, list):
            made[name] = [_tool(tool) for tool in value]
        else:
            made[RENAMED.get(name, name)] = value
    return made


def _add(made: dict[str, Any], name: str, fields: Mapping[str, Any]) -> None:
    held = made.get(name)
    made[name] = {**(held if isinstance(held, Mapping) else {}), **fields}


def _format(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A schema lies a level higher there."""
    schema = wanted.get("json_schema")
    return {"type": wanted.get("type"), **schema} if isinstance(schema, Mapping) else dict(wanted)


def _content(content: str | list[dict[str, Any]], role: str) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_part(part, role) for part in content]


def _part(part: dict[str, Any], role: str) -> dict[str, Any]:
    kind, inner = part.get("type"), part.get(str(part.get("type")))
    if kind == "text":
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text", "")}
    if kind == "image_url":
        image = inner if isinstance(inner, Mapping) else {"url": inner}
        detail = {"detail": image["detail"]} if image.get("detail") else {}
        return {"type": "input_image", "image_url": image.get("url"), **detail}
    if kind == "file" and isinstance(inner, Mapping):
        return {"type": "input_file", **inner}
    return part


def _tool(tool: Any) -> Any:
    inner = tool.get("function") if isinstance(tool, Mapping) else None
    return {"type": "function", **inner} if isinstance(inner, Mapping) else tool
