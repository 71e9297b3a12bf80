"""Occasions on which a bot speaks first, for whoever notices one: the site's code, and who sees people come.

All of it is synchronous ORM code. What is noticed by itself (:func:`attached`, :func:`connected`,
:func:`disconnected`) raises nothing: a conversation goes on without the bot's word.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID, uuid4

from lingstream.core.exceptions import LingError, UsageError
from lingstream.execution.start import json_data
from lingstream.models import Conversation, Occasion, Run

from .nudges import enabled
from .openings import speak

__all__ = ["attached", "connected", "disconnected", "fire", "key_of"]

logger = logging.getLogger("lingstream")

_LONGEST_KEY = 100


def attached(conversation: Conversation | UUID) -> list[Run]:
    """Somebody has opened a conversation: where nothing has been said in it, the bot greets, once.

    :returns: the runs that this has queued, or had.
    """
    talk = _loaded(conversation)
    if talk is None or talk.count:
        return []
    return _speak(Occasion.Kind.GREETING, talk, "greeting:{occasion}:{talk}", opens=True)


def connected(conversation: Conversation | UUID) -> list[Run]:
    """The first tab of a person has opened a conversation, in any process; called once for it."""
    return _come_or_gone(Occasion.Kind.CONNECTED, conversation)


def disconnected(conversation: Conversation | UUID) -> list[Run]:
    """The last tab of a person has left a conversation, in any process; called once for it."""
    return _come_or_gone(Occasion.Kind.DISCONNECTED, conversation)


def fire(occasion: Occasion, conversation: Conversation, *, key: str = "", data: Any = None) -> Run | None:
    """See :meth:`Occasion.fire`."""
    if conversation.workflow != occasion.workflow_slug:
        raise UsageError(
            f"expected a conversation of {occasion.workflow_slug!r}, got one of {conversation.workflow!r}"
        )
    if len(key) > _LONGEST_KEY or not (key == "" or key.isprintable()):
        raise UsageError(f"expected a key of up to {_LONGEST_KEY} printable characters, got {key!r:.120}")
    if not occasion.enabled:
        return None
    name = key_of(occasion, conversation, key or str(uuid4()))
    return speak(occasion, conversation.pk, key=name, data=json_data(data))


def key_of(occasion: Occasion, conversation: Conversation, key: str) -> str:
    """Return what a run is known by that was fired with this key."""
    return f"{occasion.kind}:{occasion.pk}:{conversation.pk}:{key}"


def _come_or_gone(kind: Occasion.Kind, conversation: Conversation | UUID) -> list[Run]:
    talk = _loaded(conversation)
    return _speak(kind, talk, f"{kind}:{{occasion}}:{uuid4()}") if talk else []


def _speak(kind: Occasion.Kind, talk: Conversation, key: str, *, opens: bool = False) -> list[Run]:
    found: list[Run] = []
    occasions = enabled(kind).of(talk.workflow) if talk.workflow else enabled(kind).none()
    for occasion in occasions.select_related("workflow"):
        try:
            name = key.format(occasion=occasion.pk, talk=talk.pk)
            if run := speak(occasion, talk.pk, key=name, opens=opens):
                found.append(run)
        except LingError as error:
            logger.warning("occasion %s of %s: %s", occasion, talk.workflow, error.message)
    return found


def _loaded(conversation: Conversation | UUID) -> Conversation | None:
    pk = conversation if isinstance(conversation, UUID) else conversation.pk
    return Conversation.objects.filter(pk=pk, deleted_at=None).first()
