"""What a bot remembers: the messages that stand before its own in a conversation.

The port is one method; ``LINGSTREAM["MEMORY"]`` names another implementation, or none. What one returns is
checked, copied and bounded, as it may be made of what visitors and models wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol, cast

from django.utils.module_loading import import_string

from lingstream.conf import app_settings
from lingstream.core.exceptions import ConfigurationError
from lingstream.core.phrases import Phrase
from lingstream.core.provider import Message
from lingstream.core.wire.json import dumps, loads
from lingstream.models import Run

from .away import AWAY

__all__ = ["MOST_CHARACTERS", "MOST_MESSAGES", "Memory", "history_of"]

MOST_MESSAGES = 1_000
MOST_CHARACTERS = 4_000_000  # a million tokens, give or take
_ROLES = ("assistant", "developer", "system", "user")
_NEEDED, _KNOWN = {"role", "content"}, {"role", "content", "name"}


class Memory(Protocol):
    """The port: made once per process, without arguments, and called in several threads."""

    def recall(self, run: Run) -> Iterable[Message]:
        """Return what is put between the prompt and the question where a step sends history, oldest first.

        Asked when a run of a conversation is first executed, in one of the two threads (one on SQLite) that
        its process has for the database: it may use the ORM, and bounds what it asks of anybody else. What it
        says is stored with the run (``context``): after a crash its bots are told the same, and none that has
        answered is asked again, whatever has become of the conversation meanwhile.

        :param run: with ``conversation``, ``owner`` and ``input``.
        """
        ...


def history_of(run: Run) -> list[Message]:
    """Return what ``run`` remembers: what the site's memory said of it once, in messages of our own.

    :raises ConfigurationError: it failed, or what it returned are no messages, or more than they may be.
    """
    path = app_settings().memory
    if run.context is not None:
        return cast(list[Message], run.context)
    if not path:
        return []
    try:
        found = _checked(path, _made(path).recall(run))
    except (ConfigurationError, *AWAY):
        raise
    except Exception as error:
        message = Phrase("the memory %(path)s failed: %(why)s", path=path, why=f"{error!r:.200}")
        raise ConfigurationError(message) from error
    # Before any bot is asked; a process that is not the run's any more pins nothing.
    Run.objects.filter(pk=run.pk, epoch=run.epoch).update(context=found)
    run.context = found
    return found


@lru_cache(maxsize=8)
def _made(path: str) -> Any:
    return import_string(path)()


def _checked(path: str, found: Any) -> list[Message]:
    if not isinstance(found, Iterable):
        raise _refused(path, Phrase("messages"), f"{found!r:.80}")
    messages: list[Message] = []
    characters = 0
    for item in islice(found, MOST_MESSAGES + 1):
        if not _is_message(item):
            expected = Phrase("role (%(known)s), content and perhaps name", known=", ".join(_ROLES))
            raise _refused(path, expected, f"{item!r:.80}")
        content, size = _copy(item["content"])
        messages.append(cast(Message, {**item, "content": content}))
        characters += size + len(item.get("name", ""))
        if len(messages) > MOST_MESSAGES or characters > MOST_CHARACTERS:
            expected = Phrase(
                "up to %(most)s messages, %(characters)s characters",
                most=MOST_MESSAGES,
                characters=MOST_CHARACTERS,
            )
            raise _refused(path, expected, Phrase("more"))
    return messages


def _copy(content: Any) -> tuple[Any, int]:
    """Return the content of a message, and how long it is."""
    if isinstance(content, str):
        return content, len(content)
    text = dumps(content)
    return loads(text), len(text)


def _refused(path: str, expected: Phrase, got: str) -> ConfigurationError:
    message = Phrase(
        "expected the memory %(path)s to return %(expected)s, got %(got)s",
        path=path,
        expected=expected,
        got=got,
    )
    return ConfigurationError(message)


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
