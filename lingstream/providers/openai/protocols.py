"""The two protocols that a server may speak: where to, with which body, and what decodes the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lingstream.core.provider import ChatOptions, Message

from .completions import CompletionDecoder
from .decoder import Decoder
from .inputs import response_input, response_params
from .responses import ResponseDecoder

__all__ = ["PROTOCOLS", "Dispensable", "Protocol", "Refused"]

MOST_REFUSED = 1000


@dataclass(frozen=True, slots=True)
class Dispensable:
    """A part of a request that a server may not know; without it the answer is nearly as good.

    :param path: where it is in the body.
    :param named: what is found in the error of a server that refuses it.
    """

    path: tuple[str, ...]
    named: re.Pattern[str]

    def value(self, body: Mapping[str, Any]) -> Any:
        """Return what the body has there, or ``None``."""
        value: Any = body
        for name in self.path:
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def refused(self, body: Mapping[str, Any], reason: str) -> Any:
        """Return what the body has there, if a server's reason for refusing the body names it."""
        return self.value(body) if self.named.search(reason) else None

    def without(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body without it."""
        name, *rest = self.path
        kept = {key: value for key, value in body.items() if key != name}
        if rest and (inner := {key: value for key, value in body[name].items() if key != rest[0]}):
            kept[name] = inner
        return kept


@dataclass(frozen=True, slots=True)
class Protocol:
    """One of the two; ``body`` makes a request's body of messages, options and the provider's parameters."""

    path: str
    decoder: Callable[[], Decoder]
    body: Callable[[Sequence[Message], ChatOptions, Mapping[str, Any]], dict[str, Any]]
    dispensable: tuple[Dispensable, ...]


class Refused:
    """What servers have refused: for the model and the value with which they did, and for no other.

    One schema that a server cannot read must not cost the other steps theirs. Past 1,000 all is forgotten.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, str, int]] = set()

    def add(self, model: str, part: Dispensable, value: Any) -> None:
        """Remember that this value was refused."""
        if len(self._known) >= MOST_REFUSED:
            self._known.clear()
        self._known.add(_key(model, part, value))

    def knows(self, model: str, part: Dispensable, value: Any) -> bool:
        """Whether this value was refused before."""
        return bool(self._known) and value is not None and _key(model, part, value) in self._known


def _key(model: str, part: Dispensable, value: Any) -> tuple[str, str, int]:
    return model, ".".join(part.path), hash(json.dumps(value, sort_keys=True, default=str))


def _completion(
    messages: Sequence[Message], options: ChatOptions, params: Mapping[str, Any]
) -> dict[str, Any]:
    body = {
        "stream_options": {"include_usage": True},
        "response_format": options.response_format,
        **params,
        **options.params,
        "model": options.model,
        "messages": list(messages),
        "stream": True,
    }
    return {name: value for name, value in body.items() if name not in _OF_COMPLETIONS or value is not None}


def _response(messages: Sequence[Message], options: ChatOptions, params: Mapping[str, Any]) -> dict[str, Any]:
    asked = {"response_format": options.response_format, **params, **options.params}
    return {
        "store": False,  # as with chat completions: what visitors say is kept by the site, and nowhere else
        **response_params({name: value for name, value in asked.items() if value is not None}),
        "model": options.model,
        "input": response_input(messages),
        "stream": True,
    }


_FORMAT = re.compile(
    r"(?i)response.?format|\b(response_?)?schema|json[ _-]?(schema|object)|structured.?output|text\.format"
    r"|guided|grammar"
)
_OF_COMPLETIONS = {
    "stream_options": Dispensable(("stream_options",), re.compile("(?i)stream_options|include_usage")),
    "response_format": Dispensable(("response_format",), _FORMAT),
}
_OF_RESPONSES = (
    Dispensable(("store",), re.compile(r"(?i)\bstore\b")),
    Dispensable(("text", "format"), _FORMAT),
)

PROTOCOLS: Mapping[str, Protocol] = {
    "completions": Protocol(
        "/chat/completions", CompletionDecoder, _completion, tuple(_OF_COMPLETIONS.values())
    ),
    "responses": Protocol("/responses", ResponseDecoder, _response, _OF_RESPONSES),
}
