"""How a workflow is talked to: what a message becomes, and what is remembered of an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import copy_json
from lingstream.core.exceptions import UsageError

__all__ = ["ATTACHMENTS", "NO_CHAT", "Chat", "with_text"]

ATTACHMENTS = ("none", "images", "files")


@dataclass(frozen=True, slots=True)
class Chat:
    """What a workflow says of its conversations: ``@workflow("slug", chat=Chat(…))``, or a row.

    :param input_uri: where the text of a message goes in the input; ``""``: it is the input.
    :param answer_uri: the field that is the spoken answer; a document without it is remembered as JSON.
    :param anonymous: visitors may hold conversations, where they may start the workflow at all.
    :param history_tokens: how much of the conversation bots with history are told, about.
    :param summarize: what does not fit is told as a summary, which a model writes.
    :param titles: a model gives a title after the first turn.
    :param attachments: what may be attached to a message: ``none``, ``images`` or ``files``.
    :param max_files: of one message.
    :param max_size: bytes of a file.
    :raises UsageError: a value that none of them can have.
    """

    input_uri: str = "question"
    answer_uri: str = "answer"
    anonymous: bool = True
    history_tokens: int = 8_000
    summarize: bool = True
    titles: bool = True
    attachments: str = "none"
    max_files: int = 5
    max_size: int = 5_000_000

    def __post_init__(self) -> None:
        for uri in (self.input_uri, self.answer_uri):
            jsonuri.split(uri)
        if self.attachments not in ATTACHMENTS:
            raise UsageError(f"expected attachments among {', '.join(ATTACHMENTS)}, got {self.attachments!r}")
        for name in ("history_tokens", "max_files", "max_size"):
            if getattr(self, name) < 0:
                raise UsageError(f"expected {name} to be 0 or more, got {getattr(self, name)!r}")


#: Of a workflow that says nothing: no model is asked that nobody has asked for.
NO_CHAT = Chat(summarize=False, titles=False)


def with_text(input: Any, uri: str, text: str) -> Any:
    """Return a copy of ``input`` with ``text`` at ``uri``; what is missing above it becomes an object.

    :raises UsageError: something stands above it that holds nothing.
    """
    if not uri:
        return text
    document = copy_json({} if input is None else input)
    keys = jsonuri.split(uri)
    for place in range(1, len(keys)):
        above = jsonuri.join(*keys[:place])
        if jsonuri.get(document, above) is None:
            document = jsonuri.set(document, above, {})
    return jsonuri.set(document, uri, text)
