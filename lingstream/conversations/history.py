"""What bots remember of a conversation: the path to their turn, newest first, as far as the budget goes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from lingstream.core.document import jsonuri
from lingstream.core.engine.chat import Chat
from lingstream.core.provider import Message, estimated_tokens
from lingstream.models import PERSON, QUIET, BotRun, Conversation, Run

from .chats import chat_of
from .files import parts_for_model
from .messages import told as told_of
from .turns import tree_of

__all__ = ["Exchange", "History", "estimated_budget", "exchanges", "transcript", "unsummarized"]

_LAST = 4  # turns, and calls in them, that tell how wrong estimates are
_TELLING = 500  # estimated tokens below which they tell nothing
_MOST_WRONG = 2.0
_AT_ONCE = 20  # rows that are read together: a document may be large, and the budget is soon spent
_SHOWN = (Run.Status.FINISHED, Run.Status.CANCELED)


class Exchange(NamedTuple):
    """What was said in one turn; either may be ``""``."""

    turn: UUID
    question: str
    answer: str

    @property
    def tokens(self) -> int:
        """About how much it costs to repeat."""
        return estimated_tokens(self.question, self.answer)

    def cut(self, tokens: int) -> Exchange:
        """Return it with the beginnings of both, in about so many tokens."""
        part = tokens / max(self.tokens, 1)
        question, answer = (text[: int(len(text) * part)] for text in (self.question, self.answer))
        return self._replace(question=question, answer=answer)


class History:
    """The default of ``LINGSTREAM["MEMORY"]``: the turns that led to this one, as its workflow's chat says.

    What was answered counts if the turn has finished or was canceled, as far as it came; of others the
    question only. The newest turn is always told, cut where it alone is too long. Earlier ones than the
    budget holds are told as the conversation's summary, if there is one of this path; where all of them are
    told, so is the greeting that stands above them, in the language of the first. Behind them come the files
    of the turn's own message; of earlier files only the names are told.
    """

    turns = 500
    """How many are told at most."""

    def recall(self, run: Run) -> list[Message]:
        """See :meth:`Memory.recall`."""
        if run.conversation_id is None:
            return []
        messages = [] if run.cause in QUIET else self._before(run, run.conversation_id)
        if files := parts_for_model(run):
            messages.append({"role": "user", "content": files})
        return messages

    def _before(self, run: Run, conversation: UUID) -> list[Message]:
        chat = chat_of(run.workflow)
        if run.parent_id is None:
            return _joined(_greeting(run, None, chat.history_tokens))
        path = tree_of(conversation).shown(run.parent_id)
        budget = estimated_budget(chat.history_tokens, path)
        summary, left = unsummarized(path, conversation) if chat.summarize else ("", path)
        budget -= estimated_tokens(summary)
        found = self._newest(left, budget)
        if path and len(found) == len(path):
            found = [*_greeting(run, path[0], budget - sum(each.tokens for each in found)), *found]
        return [*([_summarized(summary)] if summary else []), *_joined(found)]

    def _newest(self, path: list[UUID], left: int) -> list[Exchange]:
        """The last exchanges of the path that fit, in their order."""
        found: list[Exchange] = []
        for exchange in exchanges(path[-self.turns :] if self.turns > 0 else []):
            if exchange.tokens > left:
                if not found and left > 0:
                    found.append(exchange.cut(left))
                break
            left -= exchange.tokens
            found.append(exchange)
        return found[::-1]


def _greeting(run: Run, first: UUID | None, most: int) -> list[Exchange]:
    """Return what has stood above the first turn of the conversation, if it fits.

    :param first: that turn, where the run itself is a later one.
    """
    talk = run.conversation
    chat = chat_of(talk.workflow if talk and talk.workflow else run.workflow)
    if not chat.greeting:
        return []
    language: str | None = run.language
    if first:
        language = Run.objects.filter(pk=first).values_list("language", flat=True).first()
    greeting = Exchange(first or run.pk, "", chat.greeting_in(language or ""))
    return [greeting] if greeting.tokens <= most else []


def estimated_budget(tokens: int, path: list[UUID]) -> int:
    """Return how many estimated tokens are about ``tokens`` for the models that answered on this path.

    The last calls in which a model counted what it was asked say how wrong estimates are: by the language and
    the model, twice or half as many. Calls with files say nothing, and neither do short ones, of which a
    schema is the larger part.
    """
    rows = BotRun.objects.filter(run__in=path[-_LAST:], kind="bot", status=BotRun.Status.FINISHED)
    counted = estimated = 0
    for messages, usage in rows.order_by("-pk").values_list("messages", "usage")[:_LAST]:
        texts = [message["content"] for message in messages]
        if not usage.get("estimated") and all(isinstance(text, str) for text in texts):
            counted += usage.get("prompt_tokens", 0)
            estimated += estimated_tokens(*texts)
    if not counted or estimated < _TELLING:
        return tokens
    return int(tokens / min(max(counted / estimated, 1 / _MOST_WRONG), _MOST_WRONG))


def exchanges(path: list[UUID]) -> Iterator[Exchange]:
    """Yield what was said in these turns, the last one first; rows are read as they are wanted."""
    chat = lru_cache(chat_of)
    rows = Run.objects.filter(pk__in=path).order_by("-number")
    wanted = rows.only("workflow", "status", "cause", "message", "input", "document")
    for run in wanted.iterator(chunk_size=_AT_ONCE):
        yield Exchange(run.pk, _question(run, chat(run.workflow)), _answer(run, chat(run.workflow)))


def unsummarized(path: list[UUID], conversation: UUID) -> tuple[str, list[UUID]]:
    """Return the summary that holds for this path, and what of the path it does not tell."""
    summary = Conversation.objects.filter(pk=conversation).values_list("summary", flat=True).first()
    places = {str(turn): place for place, turn in enumerate(path)}
    if not isinstance(summary, dict) or (place := places.get(summary["until"])) is None:
        return "", path
    return summary["text"], path[place + 1 :]


def transcript(told: Iterable[Exchange], most: int) -> str:
    """Return exchanges as one text, oldest first as given, for a model that writes about them.

    :param most: characters of each text.
    """
    lines: list[str] = []
    for exchange in told:
        for who, text in (("User", exchange.question), ("Assistant", exchange.answer)):
            if text:
                lines.append(f"{who}: {text[:most]}{'…' if len(text) > most else ''}")
    return "\n\n".join(lines)


def _summarized(text: str) -> Message:
    return {"role": "system", "content": f"What was said before, summed up:\n{text}"}


def _joined(told: Iterable[Exchange]) -> list[Message]:
    """As messages; where one role speaks twice in a row, in one, as some models take no other."""
    messages: list[Message] = []
    for exchange in told:
        for role, text in (("user", exchange.question), ("assistant", exchange.answer)):
            if text and messages and messages[-1]["role"] == role:
                messages[-1]["content"] = f"{messages[-1]['content']}\n\n{text}"
            elif text:
                messages.append({"role": role, "content": text})
    return messages


def _question(run: Run, chat: Chat) -> str:
    if run.message is not None:
        return told_of(run.message)
    if run.cause not in PERSON:
        return ""  # the bot began
    found = jsonuri.get(run.input, chat.input_uri)
    return found if isinstance(found, str) else _as_text(run.input)


def _answer(run: Run, chat: Chat) -> str:
    if run.status not in _SHOWN or run.document in (None, {}, [], ""):
        return ""
    found = jsonuri.get(run.document, chat.answer_uri)
    return found if isinstance(found, str) else _as_text(run.document)


def _as_text(value: Any) -> str:
    """What a person would have typed or read: the text itself where the value holds one string only."""
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
