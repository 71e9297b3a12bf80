"""Who is told that a conversation has changed: those who look at it, and every page of its owner's."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django.db import router, transaction

from lingstream.access.identity import Identity
from lingstream.core.notices import GONE, Kind, Notice
from lingstream.hubs import get_hub
from lingstream.models import Conversation

__all__ = ["end_session", "tell", "topic_of", "topics_of_owner", "topics_of_session"]


def tell(conversation: Conversation, kind: Kind, run: UUID | None = None) -> None:
    """Publish, once the transaction is committed, that ``conversation`` has come to its present ``seq``."""
    notice = Notice(str(conversation.pk), conversation.seq, kind, str(run) if run else None)
    owner, scope = conversation.owner_key, conversation.scope
    topics = (topic_of(conversation.pk), _in_scope(owner, scope), _in_all(owner))
    publish = partial(_publish, topics, notice)
    transaction.on_commit(publish, using=router.db_for_write(Conversation), robust=True)


def topic_of(conversation: UUID) -> str:
    """Return the topic of one conversation."""
    return f"conversation {conversation}"


def topics_of_owner(identity: Identity) -> tuple[str, ...]:
    """Return the topics of all conversations that are this person's; none for who is nobody."""
    if identity.owner_key == "anyone":
        return ()
    if identity.scope is None:
        return tuple(map(_in_all, identity.owner_keys))
    return tuple(_in_scope(key, identity.scope) for key in identity.owner_keys)


def topics_of_session(identity: Identity) -> tuple[str, ...]:
    """Return the topics on which it is said that this person's session has ended, if there is one."""
    return (f"session {identity.session}",) if identity.session else ()


def end_session(sender: Any, request: Any = None, **kwargs: Any) -> None:
    """Receive ``user_logged_out``: who was connected in this session is somebody else from now on."""
    session = getattr(request, "session", None)
    if session is not None and session.session_key:
        _publish(topics_of_session(Identity.of(None, session.session_key)), GONE)


def _publish(topics: tuple[str, ...], notice: Notice) -> None:
    get_hub().notices.publish(topics, notice)


def _in_scope(owner: str, scope: str) -> str:
    return f"owner {owner} in {scope}"


def _in_all(owner: str) -> str:
    return f"owner {owner}"
