"""What a bot remembers: the messages that stand before its own in a conversation.

The port is one method; ``LINGSTREAM["MEMORY"]`` names another implementation, or none. What one returns is
checked, copied and bounded, as it may be made of what visitors and models wrote.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, cast

from django.utils.module_loading import import_string

from lingstream.conf import app_settings
from lingstream.core.exceptions import ConfigurationError
from lingstream.core.provider import Message
from lingstream.core.wire.json import dumps, loads
from lingstream.models import Run

from .away import AWAY

__all__ = ["MOST_CHARACTERS", "MOST_MESSAGES", "Memory", "RecentRuns", "history_of"]

MOST_MESSAGES = 1_000
MOST_CHARACTERS = 4_000_000  # a million tokens, give or take
_ROLES = ("assistant", "developer", "system", "user")
_NEEDED, _KNOWN = {"role", "content"}, {"role", "content", "name"}


class Memory(Protocol):
    """The port: made once per process, without arguments, and called in several threads."""

    def recall(self, run: Run) -> Iterable[Message]:
        """Return what is put between the prompt and the question where a step sends history, oldest first.

        Asked each time that a run of a conversation is executed, in one of the two threads (one on SQLite)
        that its process has for the database: it may use the ORM, and bounds what it asks of anybody else.
        After a crash it is asked again, and bots that are then told something else are asked again too.

        :param run: with ``conversation``, ``owner`` and ``input``.
        """
        ...


class RecentRuns:
    """The conversation's last runs that have finished: what each was asked, and what it answered.

    Where they are longer than :data:`MOST_CHARACTERS`, fewer.
    """

    runs = 20

    def recall(self, run: Run) -> list[Message]:
        """See :meth:`Memory.recall`."""
        if run.conversation_id is None:
            return []
        earlier = Run.objects.filter(
            conversation_id=run.conversation_id, created_at__lt=run.created_at, status=Run.Status.FINISHED
        ).order_by("-created_at")[: min(self.runs, MOST_MESSAGES // 2)]
        messages: list[Message] = []
        room = MOST_CHARACTERS
        for row in earlier:
            asked, answer = _as_text(row.input), _as_text(row.document)
            room -= len(asked) + len(answer)
            if room < 0:
                break
            messages.append({"role": "assistant", "content": answer})
            messages.append({"role": "user", "content": asked})
        return messages[::-1]


def history_of(run: Run) -> list[Message]:
    """Return what the site's memory says of ``run``, in messages of our own.

    :raises ConfigurationError: it failed, or what it returned are no messages, or more than they may be.
    """
    path = app_settings().memory
    if not path:
        return []
    try:
        return _checked(path, _made(path).recall(run))
    except (ConfigurationError, *AWAY):
        raise
    except Exception as error:
        raise ConfigurationError(f"the memory {path} failed: {error!r:.200}") from error


@lru_cache(maxsize=8)
def _made(path: str) -> Any:
    return import_string(path)()


def _checked(path: str, found: Any) -> list[Message]:
    if not isinstance(found, Iterable):
        raise _refused(path, "messages", f"{found!r:.80}")
    messages: list[Message] = []
    characters = 0
    for item in islice(found, MOST_MESSAGES + 1):
        if not _is_message(item):
            raise _refused(path, f"role ({', '.join(_ROLES)}), content and perhaps name", f"{item!r:.80}")
        content, size = _copy(item["content"])
        messages.append(cast(Message, {**item, "content": content}))
        characters += size + len(item.get("name", ""))
        if len(messages) > MOST_MESSAGES or characters > MOST_CHARACTERS:
            raise _refused(path, f"up to {MOST_MESSAGES} messages, {MOST_CHARACTERS} characters", "more")
    return messages


def _copy(content: Any) -> tuple[Any, int]:
    """Return the content of a message, and how long it is."""
    if isinstance(content, str):
        return content, len(content)
    text = dumps(content)
    return loads(text), len(text)


def _refused(path: str, expected: str, got: str) -> ConfigurationError:
    return ConfigurationError(f"expected the memory {path} to return {expected}, got {got}")


def _is_message(item: Any) -> bool:
    return (
        isinstance(item, Mapping)
        and _NEEDED <= item.keys() <= _KNOWN
        and item["role"] in _ROLES
        and isinstance(item.get("name", ""), str)
        and _is_content(item["content"])
    )


def _is_content(content: Any) -> bool:
    if isinstance(content, str):
        return True
    return isinstance(content, list) and all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    )


def _as_text(value: Any) -> str:
    """What a person would have typed or read: the text itself where the value holds one string only."""
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
