"""How a workflow is talked to: what a message becomes, and what is remembered of an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lingstream.core.document import jsonuri
from lingstream.core.document.ops import copy_json
from lingstream.core.exceptions import UsageError

from .origins import check_origin

__all__ = ["ATTACHMENTS", "MOST_IN_MESSAGE", "NO_CHAT", "ON_ABORT", "Chat", "with_text"]

ATTACHMENTS = ("none", "images", "files")
ON_ABORT = ("continue", "cancel")

#: Bytes of one message's files, which as base64 fit among what a bot remembers.
MOST_IN_MESSAGE = 2_500_000


@dataclass(frozen=True, slots=True)
class Chat:
    """What a workflow says of its conversations: ``@workflow("slug", chat=Chat(…))``, or a row.

    :param enabled: conversations may begin and go on; those that there are can be read without.
    :param input_uri: where the text of a message goes in the input; ``""``: it is the input.
    :param answer_uri: the field that is the spoken answer; a document without it is remembered as JSON.
    :param suggestions_uri: a list of texts that the chat page offers as what to say next; ``""`` for none.
    :param anonymous: visitors may hold conversations, where they may start the workflow at all.
    :param history_tokens: how much of the conversation bots with history are told, about.
    :param summarize: what does not fit is told as a summary, which a model writes.
    :param titles: a model gives a title after the first turn.
    :param helper: name of the provider that writes titles and summaries; ``""`` is the site's default one.
    :param attachments: what may be attached to a message: ``none``, ``images`` or ``files``.
    :param max_files: of one message.
    :param max_size: bytes of a file, up to :data:`MOST_IN_MESSAGE`.
    :param rate: messages of one visitor or address, as the settings of the throttle: ``20/m``; ``""``: as
        many as those allow.
    :param longest: characters of a message's text.
    :param origins: other sites whose pages may show the chat and talk to it by our API:
        ``https://shop.example``, ``https://*.example.com``.
    :param on_abort: what becomes of a turn, ``continue`` or ``cancel``, if who sent its message closes the
        response that it is streamed in.
    :param greeting: a text that stands above the first turn, or one for each language: ``{"en": "Hello!"}``.
    :raises UsageError: a value that none of them can have.
    """

    enabled: bool = True
    input_uri: str = "question"
    answer_uri: str = "answer"
    suggestions_uri: str = "related_question"
    anonymous: bool = True
    history_tokens: int = 8_000
    summarize: bool = True
    titles: bool = True
    helper: str = ""
    attachments: str = "none"
    max_files: int = 5
    max_size: int = MOST_IN_MESSAGE
    rate: str = "20/m"
    longest: int = 20_000
    origins: Sequence[str] = ()
    on_abort: str = "continue"
    greeting: str | Mapping[str, str] = ""

    def __post_init__(self) -> None:
        texts = {"": self.greeting} if isinstance(self.greeting, str) else dict(self.greeting)
        if not all(isinstance(text, str) for pair in texts.items() for text in pair):
            raise UsageError(f"expected a greeting, or texts by language, got {self.greeting!r:.80}")
        object.__setattr__(self, "greeting", {language: text for language, text in texts.items() if text})
        for uri in (self.input_uri, self.answer_uri, self.suggestions_uri):
            jsonuri.split(uri)
        for name, words in (("attachments", ATTACHMENTS), ("on_abort", ON_ABORT)):
            if getattr(self, name) not in words:
                raise UsageError(f"expected {name} among {', '.join(words)}, got {getattr(self, name)!r}")
        object.__setattr__(self, "origins", tuple(self.origins))
        for origin in self.origins:
            check_origin(origin)
        for name in ("history_tokens", "max_files", "max_size", "longest"):
            if getattr(self, name) < 0:
                raise UsageError(f"expected {name} to be 0 or more, got {getattr(self, name)!r}")
        if self.max_size > MOST_IN_MESSAGE:
            raise UsageError(f"expected max_size of up to {MOST_IN_MESSAGE} bytes, got {self.max_size}")

    def greeting_in(self, language: str) -> str:
        """Return the greeting in a language, or one that is near: ``zh-hans`` takes ``zh``, then any."""
        texts: dict[str, str] = dict(self.greeting)  # type: ignore[arg-type]  # no str from __post_init__ on
        names = (language, language.partition("-")[0], "")
        return next((texts[name] for name in (*names, *texts) if name in texts), "")


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
