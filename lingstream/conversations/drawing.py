"""A conversation as the templates of the chat page show it: plain values, and no query behind any of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lingstream.access.network import is_on_the_web
from lingstream.core.document import jsonuri
from lingstream.core.engine.chat import Chat
from lingstream.models import OPEN, PERSON

from .messages import text_of

__all__ = ["Card", "Cited", "ShownTurn", "turns_from"]

_DEEPEST = 8  # levels of a card; what is below is shown as JSON
_MOST = 200  # entries of one list or object in a card
_STATE = "state"  # where steps say what they are at
#: Lists that are shown at the answer, by what each of their items has.
_AT_ANSWER = {"citations": "source", "sources": "score"}


@dataclass(frozen=True, slots=True)
class Card:
    """A value of a document that is neither the answer nor a suggestion.

    :param name: its key, or ``""`` in a list.
    :param text: of a value that has no entries.
    :param is_text: it is one in the document, too.
    :param entries: of a list, or of an object.
    :param more: how many entries are not shown.
    :param uri: of a field of the document: where it is; ``""`` is all of it.
    """

    name: str
    text: str = ""
    is_text: bool = False
    entries: Sequence[Card] = ()
    is_list: bool = False
    more: int = 0
    uri: str = ""

    @property
    def title(self) -> str:
        """The key as people write it."""
        return self.name.replace("_", " ").strip()


@dataclass(frozen=True, slots=True)
class Cited:
    """One citation of an answer; ``title`` is empty as long as nobody has checked it, or if there is none.

    :param stale: the source has changed since, or is gone.
    """

    source: str = ""
    title: str = ""
    url: str = ""
    verified: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """One turn; without arguments the one that the client fills.

    :param said: what the person said; ``""`` where the bot began.
    :param files: ``{"attachment", "name", "content_type", "size"}`` of each file beside it.
    :param state: what it is at.
    :param citations: of its answer.
    :param stale: the uris of those whose sources have changed since, as JSON; ``""`` without any.
    :param cards: what else the document has.
    :param siblings: the runs that stand in one place, this one too.
    :param value: what the person thinks of it: 1, -1 or 0.
    :param is_new: it is the first one that has not been seen.
    """

    run: str = ""
    number: int = 0
    cause: str = "user"
    said: str = ""
    files: Sequence[Mapping[str, Any]] = ()
    status: str = ""
    answer: str = ""
    state: str = ""
    citations: Sequence[Cited] = ()
    stale: str = ""
    cards: Sequence[Card] = ()
    suggestions: Sequence[str] = ()
    error: Mapping[str, Any] | None = None
    siblings: Sequence[str] = ()
    value: int = 0
    created: datetime | None = None
    is_new: bool = False

    @property
    def is_open(self) -> bool:
        """Whether more of it is to come."""
        return self.status in OPEN

    @property
    def is_by_person(self) -> bool:
        """Whether a person began it, who may edit what was said."""
        return self.cause in PERSON

    @property
    def position(self) -> int:
        """Which of its siblings it is, from 1 on."""
        return self.siblings.index(self.run) + 1 if self.run in self.siblings else 1

    @property
    def previous(self) -> str:
        """The sibling before it, or ``""``."""
        return self.siblings[self.position - 2] if self.position > 1 else ""

    @property
    def next(self) -> str:
        """The sibling behind it, or ``""``."""
        return self.siblings[self.position] if self.position < len(self.siblings) else ""


def turns_from(turns: Sequence[Mapping[str, Any]], chat: Chat, read: int) -> Iterator[ShownTurn]:
    """Yield turns, as the API tells them, for templates.

    :param read: number of the last turn that was seen.
    """
    seen = True
    for turn in turns:
        is_new = seen and turn["number"] > read and turn["cause"] not in PERSON
        seen = seen and not is_new
        yield _turn(turn, chat, is_new)


def _turn(turn: Mapping[str, Any], chat: Chat, is_new: bool) -> ShownTurn:
    message, document = turn["message"] or {"parts": []}, turn["document"]
    answer = jsonuri.get(document, chat.answer_uri)
    suggestions = jsonuri.get(document, chat.suggestions_uri) if chat.suggestions_uri else None
    return ShownTurn(
        run=turn["run"],
        number=turn["number"],
        cause=turn["cause"],
        said=text_of(message),
        files=[part for part in message["parts"] if part["type"] == "file"],
        status=turn["status"],
        answer=answer if isinstance(answer, str) else "",
        state=_state(document),
        citations=_citations(document, turn["stale"]),
        stale=json.dumps(turn["stale"]) if turn["stale"] else "",
        cards=_cards(document, chat, isinstance(answer, str)),
        suggestions=[text for text in _list(suggestions) if isinstance(text, str)][:_MOST],
        error=turn["error"],
        siblings=turn["siblings"],
        value=next((each["value"] for each in turn["feedback"] if each["uri"] == ""), 0),
        created=datetime.fromisoformat(turn["created"]),
        is_new=is_new,
    )


def _cards(document: Any, chat: Chat, has_answer: bool) -> list[Card]:
    """What a document has beside answer, suggestions and states; all of it where it is no object."""
    if not isinstance(document, dict):
        return [] if has_answer or document is None else [_card("", document)]
    uris = [chat.suggestions_uri, chat.answer_uri if has_answer else ""]
    told = {_STATE, *(jsonuri.split(uri)[0] for uri in uris if uri), *_at_answer(document)}
    shown = ((name, value) for name, value in document.items() if name not in told)
    return [replace(_card(name, value), uri=jsonuri.escape(name)) for name, value in shown]


def _at_answer(document: dict[str, Any]) -> list[str]:
    return [
        name
        for name, key in _AT_ANSWER.items()
        if all(isinstance(each, dict) and key in each for each in _list(document.get(name)))
    ]


def _citations(document: Any, stale: Sequence[str]) -> list[Cited]:
    if not isinstance(document, dict) or "citations" not in _at_answer(document):
        return []
    found = _list(document.get("citations"))[:_MOST]
    return [_cited(each, f"citations/{place}" in stale) for place, each in enumerate(found)]


def _cited(citation: Mapping[str, Any], stale: bool) -> Cited:
    source, title, url = (_text(citation.get(name)) for name in ("source", "title", "url"))
    return Cited(source, title, url if is_on_the_web(url) else "", citation.get("verified") is True, stale)


def _card(name: str, value: Any, level: int = 0) -> Card:
    if not isinstance(value, (dict, list)) or level == _DEEPEST:
        return Card(name, _text(value), is_text=isinstance(value, str))
    items = value.items() if isinstance(value, dict) else (("", each) for each in value)
    entries = [_card(key, each, level + 1) for key, each in items]
    return Card(
        name, entries=entries[:_MOST], is_list=isinstance(value, list), more=max(0, len(entries) - _MOST)
    )


def _state(document: Any) -> str:
    """The last text in ``state``: what the steps say that they are at."""
    found = document.get(_STATE) if isinstance(document, dict) else None
    texts = [text for text in found.values() if isinstance(text, str)] if isinstance(found, dict) else []
    return texts[-1] if texts else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
